"""Every activation's derivative against central differences in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom.activations import ACTIVATIONS
from tests.compare import assert_close
from tests.gradients.differences import central


@pytest.mark.parametrize("row", ACTIVATIONS, ids=lambda row: row.name)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    seed=st.integers(0, 9999),
    scale=st.sampled_from([0.1, 1.0, 5.0]),
)
def test_gradients(row, shape, seed, scale):
    rng = np.random.default_rng(seed)
    v = scale * rng.standard_normal(shape)
    dy = rng.standard_normal(shape)
    y = row(v)
    dv = row.backward(dy, *((None, y) if row.needs == "y" else (v, None)))
    at, expected = central(lambda: float((row(v) * dy).sum()), v, rng)
    what = f"{row.name} dv {tuple(shape)} seed={seed}"
    assert_close(dv.reshape(-1)[at], expected, "difference", what, "float64")
