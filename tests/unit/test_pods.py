"""The pods on the CPU, and what they refuse on any device."""

import numpy as np
import pytest

from loom import pods
from loom.errors import ConfigError, InputError, ShapeError

ONES = np.ones((2, 3), np.float32)


def test_gemm_scales_adds_and_transposes():
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(s).astype("f") for s in ((3, 4), (5, 3), (4, 5)))
    y = pods.gemm(a, b, c, alpha=2, beta=-0.5, transpose_a=True, transpose_b=True)
    np.testing.assert_allclose(y, 2 * a.T @ b.T - 0.5 * c, rtol=1e-5)
    np.testing.assert_array_equal(pods.gemm(np.ones((2, 0)), np.ones((0, 3))), 0 * ONES)
    assert pods.gemm(np.ones((0, 2)), np.ones((2, 3))).shape == (0, 3)


def test_softmax_and_layer_norm():
    x = np.array([[1.0, 2.0, 4.0]], np.float32)
    np.testing.assert_allclose(pods.softmax(x), np.exp(x) / np.exp(x).sum(), rtol=1e-6)
    np.testing.assert_array_equal(pods.softmax(x, axis=0), ONES[:1])
    y = pods.layer_norm(x, [1, 1, 2], [0, 1, 0], epsilon=0)
    expected = (x - x.mean()) / x.std() * [1, 1, 2] + [0, 1, 0]
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert pods.layer_norm(np.ones((0, 3))).shape == (0, 3)


def test_scan_wraps():
    x = np.array([2**32 - 1, 2, 3], np.uint32)
    assert pods.scan(x).tolist() == [2**32 - 1, 1, 4]
    assert pods.scan(x, inclusive=False).tolist() == [0, 2**32 - 1, 1]
    assert pods.scan([]).tolist() == []


def test_reduce():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert pods.reduce(x) == 15
    assert pods.reduce(x, "mean", axis=1).tolist() == [1, 4]
    assert pods.reduce(x, "min", axis=-2).tolist() == [0, 1, 2]
    assert pods.reduce(np.ones((0, 2)), axis=0).tolist() == [0, 0]


def test_transpose():
    assert pods.transpose(np.arange(6).reshape(1, 2, 3)).shape == (1, 3, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pods.gemm(ONES, ONES), ShapeError, r"expected b of shape \(3, 3\)"),
        (lambda: pods.gemm(ONES, [[1], [2], [3]], beta=1), InputError, "no c"),
        (lambda: pods.gemm(ONES, ONES.T, ONES, beta=1), ShapeError, r"c of shape"),
        (lambda: pods.gemm(ONES[0], ONES), ShapeError, "expected 2 axes"),
        (lambda: pods.softmax(ONES, axis=2), ShapeError, "no axis 2"),
        (lambda: pods.layer_norm(ONES, [1, 2]), ShapeError, r"weight of shape \(3,\)"),
        (lambda: pods.layer_norm(3.0), ShapeError, "a number"),
        (
            lambda: pods.layer_norm(ONES, epsilon="x"),
            ConfigError,
            "epsilon: expected a",
        ),
        (lambda: pods.gemm(ONES, ONES.T, alpha=None), ConfigError, "alpha: expected a"),
        (lambda: pods.gemm(ONES * 1j, ONES.T), InputError, "a: expected numbers"),
        (lambda: pods.softmax(ONES, axis=None), ConfigError, "axis as a whole number"),
        (lambda: pods.scan([1.5]), InputError, "whole numbers"),
        (lambda: pods.scan([-1]), InputError, "whole numbers"),
        (lambda: pods.scan([[1]]), ShapeError, "one axis"),
        (lambda: pods.reduce(ONES, "product"), ConfigError, "unknown operation"),
        (lambda: pods.reduce(np.ones((0,)), "max"), InputError, "no max of nothing"),
        (lambda: pods.transpose([1.0]), ShapeError, "two axes"),
        (lambda: pods.softmax("text"), InputError, "expected numbers"),
        (lambda: pods.softmax(ONES, device="tpu"), ConfigError, "unknown device"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
