"""Products: every layout, and no floating-point flags."""

import numpy as np
import pytest

from loom.linalg import matmul

RNG = np.random.default_rng(4)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (normal(3, 5), normal(5, 4)),
        (normal(5, 3).T, normal(4, 5).T),
        (normal(1, 5), normal(6, 5).T),
        (normal(2, 3, 5), normal(5, 4)),
        (normal(3, 2, 5).swapaxes(0, 1), normal(5, 4)),
        (normal(2, 3, 5), normal(2, 5, 4)),
        (normal(3, 5), normal(2, 5, 4)),
        (normal(4, 10)[1:, ::2], normal(9, 8)[2:7, 1:5]),
        (normal(2, 1, 5), normal(2, 6, 5).swapaxes(1, 2)),
        (normal(3, 5).astype(np.float64), normal(5, 4)),
        (normal(0, 5), normal(5, 4)),
    ],
)
def test_every_layout_with_and_without_a_place_for_the_result(a, b):
    expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
    y = matmul(a, b)
    assert y.dtype == np.result_type(a, b)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    whole = np.empty_like(y)
    assert matmul(a, b, whole).shape == y.shape
    np.testing.assert_array_equal(whole, y)
    part = np.full((*y.shape[:-1], y.shape[-1] + 3), 9, y.dtype)
    matmul(a, b, part[..., 1:-2])
    np.testing.assert_allclose(part[..., 1:-2], expected, rtol=1e-5, atol=1e-5)
    crossed = np.empty((y.shape[-2], *y.shape[:-2], y.shape[-1]), y.dtype)
    matmul(a, b, np.moveaxis(crossed, 0, -2))
    np.testing.assert_array_equal(np.moveaxis(crossed, 0, -2), part[..., 1:-2])
    assert (part[..., 0] == 9).all()
    assert (part[..., -2:] == 9).all()


@pytest.mark.parametrize("shape", [(1, 2), (3, 1, 2)])
def test_a_product_raises_no_flag(shape):
    """Those of OpenBLAS are not to be trusted; a NaN shows where it is used."""
    a = np.full(shape, np.inf, np.float32)
    b = np.array([[0], [1]], np.float32)
    assert np.isnan(matmul(a, b)).all()
    assert np.isnan(matmul(a, np.broadcast_to(b, (*shape[:-2], 2, 1)))).all()
