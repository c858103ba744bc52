"""Every loss's gradient against central differences in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom.training import LOSSES
from tests.compare import assert_close
from tests.gradients.differences import central

PROBABILITIES = ("cross_entropy", "binary_cross_entropy")
CLASSES = [row for row in LOSSES if row.classes]
shapes = st.lists(st.integers(1, 5), min_size=2, max_size=3)


def outputs(row, shape, rng):
    if row.name in PROBABILITIES:
        return rng.uniform(0.05, 0.95, shape)
    return 2 * rng.standard_normal(shape)


def check(row, y, t, rng, what):
    kept = y.copy(), t.copy()
    value, dy = row(y, t)
    assert isinstance(value, float)
    assert dy.shape == y.shape
    assert (y == kept[0]).all(), f"{what}: y was changed"
    assert (t == kept[1]).all(), f"{what}: t was changed"
    at, expected = central(lambda: row(y, t)[0], y, rng)
    assert_close(dy.reshape(-1)[at], expected, "difference", what, "float64")


@pytest.mark.parametrize("row", LOSSES, ids=lambda row: row.name)
@given(shape=shapes, seed=st.integers(0, 9999))
def test_gradients(row, shape, seed):
    rng = np.random.default_rng(seed)
    y = outputs(row, shape, rng)
    t = rng.uniform(0, 1, shape)
    check(row, y, t, rng, f"{row.name} {tuple(shape)} seed={seed}")


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.name)
@given(shape=shapes, seed=st.integers(0, 9999))
def test_gradients_of_class_indices(row, shape, seed):
    rng = np.random.default_rng(seed)
    y = outputs(row, shape, rng)
    t = rng.integers(0, shape[-1], shape[:-1])
    what = f"{row.name} classes {tuple(shape)} seed={seed}"
    check(row, y, t, rng, what)
    one_hot = np.eye(shape[-1])[t]
    for a, b in zip(row(y, t), row(y, one_hot), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)
