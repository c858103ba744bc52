"""The pods on the device beside float64: every option, sizes 0, 1, tiles and more."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from loom import pods
from loom.gpu import detector, native
from tests.compare import assert_close

SIZES = [
    *((1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0), (31, 33, 32), (64, 64, 64)),
    *((65, 127, 129), (5, 700, 1030), (200, 3, 4097)),
]


@pytest.fixture(autouse=True)
def _kept(device):
    yield
    pods.release()


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("transposed", ["nn", "tn", "nt", "tt"])
def test_gemm(size, transposed):
    m, n, k = size
    a, b, c = draw(m, k), draw(k, n, seed=1), draw(m, n, seed=2)
    expected = 1.5 * (a.astype("d") @ b) - 0.5 * c
    actual = pods.gemm(
        a.T if transposed[0] == "t" else a,
        b.T if transposed[1] == "t" else b,
        c,
        alpha=1.5,
        beta=-0.5,
        transpose_a=transposed[0] == "t",
        transpose_b=transposed[1] == "t",
        device="gpu",
    )
    assert_close(actual, expected, "forward", f"gemm {size} {transposed}")


SHAPES = [(1,), (0, 4), (7,), (3, 64), (5, 65), (2, 3001), (3, 5, 9), (70, 2, 33)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_softmax(shape):
    x = draw(*shape) * 3
    for axis in range(len(shape)):
        e = np.exp(x.astype("d") - x.max(axis, keepdims=True, initial=-9))
        expected = e / e.sum(axis, keepdims=True)
        actual = pods.softmax(x, axis=axis, device="gpu")
        assert_close(actual, expected, "forward", f"softmax {shape} axis {axis}")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layer_norm(shape):
    x, w, b = draw(*shape), draw(shape[-1], seed=1), draw(shape[-1], seed=2)
    v = x.astype("d") - x.mean(-1, keepdims=True, dtype="d")
    expected = v / np.sqrt((v * v).mean(-1, keepdims=True) + 1e-5) * w + b
    actual = pods.layer_norm(x, w, b, device="gpu")
    assert_close(actual, expected, "forward", f"layer_norm {shape}")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("operation", pods.OPERATIONS)
def test_reduce(shape, operation):
    x = draw(*shape)
    for axis in (*range(len(shape)), None):
        if operation != "sum" and not (x.size if axis is None else shape[axis]):
            continue
        expected = getattr(x.astype("d"), operation)(axis=axis)
        actual = pods.reduce(x, operation, axis=axis, device="gpu")
        assert_close(actual, expected, "forward", f"{operation} {shape} axis {axis}")


@pytest.mark.parametrize("n", [0, 1, 5, 1023, 1024, 1025, 300_000])
@pytest.mark.parametrize("inclusive", [True, False])
def test_scan(n, inclusive):
    x = np.random.default_rng(n).integers(0, 2**32, n, np.uint32)
    sums = np.cumsum(x, dtype=np.uint32)
    expected = sums if inclusive else sums - x
    actual = pods.scan(x, inclusive=inclusive, device="gpu")
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("shape", [(1, 1), (0, 3), (3, 33, 65), (2, 2, 64, 32)])
def test_transpose(shape):
    x = draw(*shape)
    np.testing.assert_array_equal(pods.transpose(x, device="gpu"), x.swapaxes(-1, -2))


def test_more_than_65535_of_anything():
    x = draw(66_000, 2, 3)
    assert_close(pods.transpose(x, device="gpu"), x.swapaxes(1, 2), "forward", "")
    for axis in range(3):
        actual = pods.reduce(x, axis=axis, device="gpu")
        assert_close(actual, x.sum(axis, dtype="d"), "forward", f"axis {axis}")


def test_threads_share_the_programs():
    x = draw(50, 60)

    def work(scale):
        for _ in range(20):
            y = pods.transpose(x * scale, device="gpu")
            np.testing.assert_array_equal(y, (x * scale).T)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(1, 5)))


def test_a_nan_stays():
    x = draw(3, 100)
    x[1, 50] = np.nan
    for operation in pods.OPERATIONS:
        y = pods.reduce(x, operation, axis=1, device="gpu")
        assert np.isnan(y).tolist() == [False, True, False], operation


def test_programs_are_kept_and_freed(device):
    x = draw(4, 5)
    pods.softmax(x, device="gpu")
    before = device.live_bytes
    for _ in range(3):
        pods.softmax(x, device="gpu")
    assert device.live_bytes == before
    for n in range(1, 40):
        pods.transpose(draw(n, 2), device="gpu")
    pods.release()
    assert device.live_bytes < before


def test_a_lost_device_is_opened_again():
    x = draw(3, 4)
    pods.transpose(x, device="gpu")
    native.opened(detector.choose()).destroy()
    np.testing.assert_array_equal(pods.transpose(x, device="gpu"), x.T)
