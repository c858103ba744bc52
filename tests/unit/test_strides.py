"""Layers of one unit and activations of strided views, in float32.

Their arrays have gaps, where NumPy 2.4's np.negative is wrong (a step of 16 bytes in,
any gap out).
"""

import numpy as np
import pytest

from loom.activations import ACTIVATIONS
from loom.layers import QRNN, SRU
from tests.cases import fill
from tests.compare import assert_close


@pytest.mark.parametrize("gap", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("row", ACTIVATIONS, ids=lambda row: row.name)
def test_activations_of_views_with_gaps(row, gap):
    v = np.random.default_rng(0).standard_normal((6, gap)).astype(np.float32)
    expected = row(np.ascontiguousarray(v[:, 0]))
    view = v[:, 0]
    assert_close(row.forward(view, view), expected, "activation", f"{row.name} {gap}")


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("kind", [SRU, QRNN])
@pytest.mark.parametrize("h", [1, 2, 4])
def test_one_unit_in_float32_is_as_in_float64(kind, h, every):
    layer = kind(2, h, return_sequences=every)
    fill(layer, np.random.default_rng(0), np.float32)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 3, 2)).astype(np.float32)
    y, cache = layer.forward(x)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx, gradients = layer.backward(dy, cache)
    layer.parameters = {k: v.astype(float) for k, v in layer.parameters.items()}
    _, cache = layer.forward(x.astype(float))
    exact, expected = layer.backward(dy.astype(float), cache)
    assert_close(dx, exact, "gradient", f"{layer!r} dx")
    for name, value in expected.items():
        assert_close(gradients[name], value, "gradient", f"{layer!r} d{name}")
