"""Matrix products in every tile, beside float64."""

import numpy as np
import pytest

from loom.gpu.builder import Builder
from loom.gpu.kernels import matmul as products
from loom.gpu.kernels.matmul import Operand, matmul, product
from loom.gpu.kernels.tiles import TILES
from tests.compare import assert_close
from tests.gpu.harness import by_kind, limits_of


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(device, build, *arrays, kind="GPU"):
    b = Builder(limits=limits_of(device, kind))
    inputs = [b.input(f"x{i}", array.shape) for i, array in enumerate(arrays)]
    b.output("y", build(b, *inputs))
    program = device.load(b.finish())
    try:
        for i, array in enumerate(arrays):
            program.write(f"x{i}", array)
        return program.run(("forward",), ("y",))[0]
    finally:
        program.close()


def name(tile):
    return f"{tile.bm}x{tile.bn}x{tile.bk}"


def batch(device, m, n, k, transposed, kind="GPU", **chosen):
    """2 x 3 products on the device, and what they should be."""
    ta, tb = (letter == "t" for letter in transposed)
    a = draw(2, 3, k, m) if ta else draw(2, 3, m, k)
    w = draw(2, 3, n, k, seed=1) if tb else draw(2, 3, k, n, seed=1)

    def build(b, x, z):
        y = b.tensor((2, 3, m, n))
        product(
            b,
            Operand(x, a.shape[-1], 3 * m * k, m * k),
            Operand(z, w.shape[-1], 3 * n * k, n * k),
            Operand(y, n, 3 * m * n, m * n),
            (m, n, k),
            batch=(2, 3),
            transpose_a=ta,
            transpose_b=tb,
            **chosen,
        )
        return y

    left = (a.swapaxes(-1, -2) if ta else a).astype(np.float64)
    expected = left @ (w.swapaxes(-1, -2) if tb else w)
    return run(device, build, a, w, kind=kind), expected


@pytest.mark.parametrize("tile", TILES, ids=name)
@pytest.mark.parametrize(
    ("m", "n", "k", "transposed", "splits"),
    [(132, 260, 68, "nn", 1), (67, 33, 130, "tt", 3)],
)
def test_every_tile(device, tile, m, n, k, transposed, splits):
    """At the edges of the tile, in fours and one by one."""
    if tile.shared > device.limits.shared or tile.threads > device.limits.invocations:
        pytest.skip("more than this device has")
    options = {"tile": tile, "splits": splits}
    actual, expected = batch(device, m, n, k, transposed, **options)
    assert_close(actual, expected, "forward", name(tile))


@by_kind
@pytest.mark.parametrize("transposed", ["nn", "tn", "nt", "tt"])
@pytest.mark.parametrize(
    "size", [(1, 12, 8), (3, 5, 7), (12, 20, 16), (68, 36, 10), (13, 7, 33)], ids=str
)
def test_what_is_chosen(device, kind, size, transposed):
    """One row and more, in fours and one by one, with ends of k and without."""
    actual, expected = batch(device, *size, transposed, kind)
    assert_close(actual, expected, "forward", f"{size} {transposed} {kind}")


@pytest.mark.parametrize("large", [0, 2**30], ids=["16 rows", "8 rows"])
@pytest.mark.parametrize("transposed", ["nn", "tn", "nt", "tt"])
@pytest.mark.parametrize(
    "size", [(1, 12, 8), (3, 5, 7), (68, 36, 10), (13, 7, 33)], ids=str
)
def test_more_work(device, monkeypatch, large, transposed, size):
    """What a processor takes for more work than a test has."""
    monkeypatch.setattr(products, "SMALL", 0)
    monkeypatch.setattr(products, "LARGE", large)
    actual, expected = batch(device, *size, transposed, "processor")
    assert_close(actual, expected, "forward", f"{size} {transposed}")


@pytest.mark.parametrize("columns", [8, 16, 32])
@pytest.mark.parametrize("rows", [1, 4, 8])
@pytest.mark.parametrize(
    ("m", "n", "k", "transposed"),
    [(1, 10, 392, "nn"), (9, 36, 520, "nn"), (5, 33, 38, "nt"), (8, 12, 64, "nt")],
)
def test_few_rows(device, rows, columns, m, n, k, transposed):
    """One of both operands, or none of them, can be read in fours."""
    tb = transposed == "nt"
    a, w = draw(m, k), draw(n, k, seed=1) if tb else draw(k, n, seed=1)

    def build(b, x, z):
        y = b.tensor((m, n))
        one = Operand(x, k), Operand(z, w.shape[-1]), Operand(y, n)
        product(b, *one, (m, n, k), transpose_b=tb, few=(rows, columns))
        return y

    expected = a.astype(np.float64) @ (w.T if tb else w)
    assert_close(run(device, build, a, w), expected, "forward", f"{rows}x{columns}")


@by_kind
@pytest.mark.parametrize("transposed", ["nn", "tn", "nt", "tt"])
@pytest.mark.parametrize("size", [(70, 67, 301), (33, 37, 66), (65, 34, 64)], ids=str)
def test_ragged_matrices_are_padded(device, monkeypatch, kind, transposed, size):
    monkeypatch.setattr(products, "PADDED_FROM", 0)
    m, n, k = size
    ta, tb = (letter == "t" for letter in transposed)
    a = draw(k, m) if ta else draw(m, k)
    w = draw(n, k, seed=1) if tb else draw(k, n, seed=1)
    y = run(
        device,
        lambda b, x, z: matmul(b, x, z, transpose_a=ta, transpose_b=tb),
        a,
        w,
        kind=kind,
    )
    expected = (a.T if ta else a).astype(np.float64) @ (w.T if tb else w)
    assert_close(y, expected, "forward", f"{size} {transposed}")


@by_kind
@pytest.mark.parametrize("size", [(1, 5, 40), (4, 64, 33), (9, 31, 300)], ids=str)
def test_the_epilogue(device, kind, size):
    """Bias, accumulation, the value before the activation, another's slope."""
    m, n, k = size
    a, w, bias, c, s = (
        draw(*shape, seed=i)
        for i, shape in enumerate(((m, k), (k, n), (n,), (m, n), (m, n)))
    )

    def build(b, x, z, bias, c, s):
        from loom.gpu.kernels.move import copy

        y, before = matmul(
            b, x, z, bias=bias, activation="gelu", keep=True, out=copy(b, c),
            alpha=0.5, accumulate=True, slope=("relu", s),
        )  # fmt: skip
        b.output("before", before)
        return y

    v = 0.5 * (a.astype(np.float64) @ w) + c + bias
    t = np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v**3))
    expected = 0.5 * v * (1 + t) * (s > 0)
    actual = run(device, build, a, w, bias, c, s, kind=kind)
    assert_close(actual, expected, "forward", str(size))
