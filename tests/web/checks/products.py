"""Matrix products, convolution, and what the kernels leave to NumPy."""

import numpy as np

from checks.bounds import NAMES, exact


def laid_out(rng, shape, how):
    """A random matrix whose memory lies in one of seven ways."""
    m, n = shape[-2:]
    lead = shape[:-2]

    def normal(*s):
        return rng.standard_normal((*lead, *s)).astype(np.float32)

    return {
        "rows": lambda: normal(m, n),
        "columns": lambda: normal(n, m).swapaxes(-1, -2),
        "part": lambda: normal(m + 3, n + 5)[..., 2 : 2 + m, 1 : 1 + n],
        "part columns": lambda: normal(n + 2, m + 1)[..., :n, :m].swapaxes(-1, -2),
        "every other": lambda: normal(2 * m, 3 * n)[..., ::2, ::3],
        "backward": lambda: normal(m, n)[..., ::-1, ::-1],
        "repeated": lambda: np.broadcast_to(normal(1, n), shape),
    }[how]()


LAYOUTS = (
    "rows",
    "columns",
    "part",
    "part columns",
    "every other",
    "backward",
    "repeated",
)
SIZES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17, 33, 64, 97, 130)


def matmul(k, rng, worst):
    """Random shapes and layouts; edges; batches; every epilogue."""
    for trial in range(260):
        m, n, inner = (int(rng.choice(SIZES)) for _ in range(3))
        if trial % 20 == 0:
            inner = int(rng.integers(300, 700))  # more than one block of K
        how = tuple(rng.choice(LAYOUTS, 2))
        a, b = laid_out(rng, (m, inner), how[0]), laid_out(rng, (inner, n), how[1])
        if trial % 5 == 0 and a.size and b.size and how[0] != "repeated":
            a[rng.integers(m), rng.integers(inner)] = rng.choice(
                [np.nan, np.inf, -np.inf, 1e-42, 0.0]
            )
        out = outputs(trial, m, n)
        bias = rng.standard_normal(n).astype(np.float32) if trial % 3 == 0 else None
        code = trial % 9 if out.strides[-1] == 4 or n < 2 else 5
        if out.strides[-1] != 4 and n > 1:
            bias = None
        what = f"({m}, {inner}) {how[0]} @ ({inner}, {n}) {how[1]}, code {code}"
        assert k.matmul(a, b, out, bias, code), what
        product(worst, a, b, bias, code, out, what)
    batches(k, rng, worst)


def outputs(trial, m, n):
    """An output by rows, by columns, or a part of something larger."""
    if trial % 4 == 1:
        return np.full((n, m), 7, np.float32).T
    if trial % 4 == 2:
        return np.full((m + 1, n + 3), 7, np.float32)[:m, 2 : 2 + n]
    return np.full((m, n), 7, np.float32)


def product(worst, a, b, bias, code, out, what):
    """Compare with float64, f's slope (at most 1.13) included in the bound."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        v, scale = a @ b, np.abs(a) @ np.abs(b)
        if bias is not None:
            v, scale = v + bias, scale + np.abs(bias)
        expected = exact(NAMES[code], v)
    scale = np.nan_to_num(scale, posinf=1.0) * 1.13 + np.abs(np.nan_to_num(expected))
    depth = 2 + a.shape[-1] ** 0.5
    with np.errstate(invalid="ignore"):
        worst.scaled("matmul", out, expected, (scale + (code > 0)) * depth, what)


def batches(k, rng, worst):
    """Leading axes, repeated where one side has fewer; heads as strided views."""
    shapes = (
        ((3, 4, 5), (3, 5, 6)),
        ((2, 3, 4, 5), (5, 6)),
        ((4, 5), (3, 5, 6)),
        ((2, 1, 7, 9), (1, 3, 9, 8)),
        ((2, 3, 1, 9), (2, 3, 9, 1)),
        ((0, 4, 5), (0, 5, 6)),
    )
    for left, right in shapes:
        a, b = laid_out(rng, left, "rows"), laid_out(rng, right, "columns")
        expected = a.astype(np.float64) @ b.astype(np.float64)
        out = np.full(expected.shape, 7, np.float32)
        assert k.matmul(a, b, out, None, 5), (left, right)
        product(worst, a, b, None, 5, out, f"{left} @ {right}")
    x = rng.standard_normal((2, 10, 3, 4, 8)).astype(np.float32)
    q, keys, v = x.transpose(2, 0, 3, 1, 4)  # (B, N, T, d) each, views
    out = np.empty((2, 4, 10, 10), np.float32)
    assert k.matmul(q, keys.swapaxes(-1, -2), out, None, 5)
    product(worst, q, keys.swapaxes(-1, -2), None, 5, out, "heads")
    joined = np.empty((2, 10, 4, 8), np.float32)
    assert k.matmul(out, v, joined.transpose(0, 2, 1, 3), None, 5)
    product(worst, out, v, None, 5, joined.transpose(0, 2, 1, 3), "heads joined")


# Convolution -----------------------------------------------------------------------


def windows_of(x, kernel, stride, padding):
    """(taps, n, places) in float64, taps in the order (c, j, i)."""
    p, s = padding, stride
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (p, p), (p, p)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (2, 3))
    view = view[:, :, ::s, ::s]  # n, c, oh, ow, i, j
    n, c, oh, ow = view.shape[:4]
    taps = view.transpose(1, 5, 4, 0, 2, 3).reshape(c * kernel**2, n, oh * ow)
    return taps, (n, oh, ow)


def convolution(k, rng, worst):
    """Every kind of window: forward, gathered, and scattered back."""
    for trial in range(60):
        kernel, stride = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        padding, c, n = (int(rng.integers(0, 3)) for _ in range(3))
        h, w = (int(rng.integers(kernel, kernel + 12)) for _ in range(2))
        x = rng.standard_normal((n, c + 1, h, w)).astype(np.float32)
        columns, (_, oh, ow) = windows_of(x, kernel, stride, padding)
        taps = len(columns)
        window = kernel, stride, padding
        what = f"{x.shape} window {window}"
        gathered = np.full((taps + 1, n, oh * ow), 7, np.float32)
        assert k.gather(x, gathered, None, *window), what
        np.testing.assert_array_equal(gathered[:taps], columns, what)
        assert (gathered[taps] == 7).all()
        filters = int(rng.choice([1, 2, 3, 5, 6, 16]))
        weight = rng.standard_normal((filters, taps + 1)).astype(np.float32)
        if trial % 6 == 0 and x.size:
            x[0, 0, 0, 0] = np.nan
            columns, _ = windows_of(x, *window)
        y = np.full((n, filters, oh, ow), 7, np.float32)
        assert k.convolve(x, weight, y, *window), what
        wide, bias = weight[:, :-1].astype(np.float64), weight[:, -1:, None]
        expected = np.einsum("ft,tnp->fnp", wide, columns) + bias
        scale = np.einsum("ft,tnp->fnp", np.abs(wide), np.abs(columns)) + np.abs(bias)
        expected, scale = (
            a.transpose(1, 0, 2).reshape(y.shape) for a in (expected, scale)
        )
        scale = np.nan_to_num(scale, nan=1.0) * (2 + taps**0.5)
        worst.scaled("convolve", y, expected, scale, what)
        back = rng.standard_normal((taps, n, oh * ow)).astype(np.float32)
        dx = np.full(x.shape, 7, np.float32)
        assert k.scatter(back, dx, None, *window), what
        total, size = (scattered(a, x.shape, *window) for a in (back, np.abs(back)))
        worst.scaled("scatter", dx, total, size + 1, what)
    assert not k.convolve(x, weight, y[:, :, :0], *window)
    assert not k.gather(x[:, :, ::-1], gathered, None, *window)
    assert not k.gather(x, gathered, None, 99, 1, 0)
    assert not k.gather(x, gathered, None, 0, 1, 0)


def scattered(back, shape, kernel, stride, padding):
    """The sum over the windows that a value is in, in float64."""
    n, c, h, w = shape
    p = padding
    out = np.zeros((n, c, h + 2 * p, w + 2 * p))
    oh, ow = ((size + 2 * p - kernel) // stride + 1 for size in (h, w))
    taps = back.astype(np.float64).reshape(c, kernel, kernel, n, oh, ow)
    for j in range(kernel):
        for i in range(kernel):
            rows = slice(i, i + stride * (oh - 1) + 1, stride)
            columns = slice(j, j + stride * (ow - 1) + 1, stride)
            out[:, :, rows, columns] += taps[:, j, i].transpose(1, 0, 2, 3)
    return out[:, :, p : p + h, p : p + w]


# Refusals --------------------------------------------------------------------------


def refusals(k, rng, worst):
    """Other dtypes, overlaps, wrong shapes, read-only: False, and nothing written."""
    a = np.ones((4, 4), np.float32)
    out = np.full((4, 4), 7, np.float32)
    fixed = out.copy()
    fixed.flags.writeable = False
    integers = np.ones((4, 4), np.int32)
    odd = np.zeros(4 * 4 * 4 + 2, np.uint8)[2:].view(np.float32).reshape(4, 4)
    uneven = np.zeros((4, 4), [("x", "u1"), ("y", "f4")])["y"]
    shared = np.zeros(20, np.float32)
    refused = {
        "float64": k.matmul(a.astype(np.float64), a, out, None, 5),
        "float16": k.matmul(a, a.astype(np.float16), out, None, 5),
        "integers": k.matmul(integers, a, out, None, 5),
        "other byte order": k.matmul(a.astype(">f4"), a, out, None, 5),
        "uneven strides": k.matmul(uneven, a, out, None, 5),
        "unaligned": k.matmul(odd, a, out, None, 5),
        "no array": k.matmul(3, a, out, None, 5),
        "wrong K": k.matmul(a[:, :3], a, out, None, 5),
        "wrong out": k.matmul(a[:3], a, out, None, 5),
        "wrong bias": k.matmul(a, a, out, a[0, :3], 5),
        "one axis": k.matmul(a[0], a, out, None, 5),
        "read-only": k.matmul(a, a, fixed, None, 5),
        "out is a": k.matmul(out, a, out, None, 5),
        "out overlaps b": k.matmul(
            a, shared[:16].reshape(4, 4), shared[4:].reshape(4, 4), None, 5
        ),
        "softmax's code": k.matmul(a, a, out, None, 9),
        "no code": k.matmul(a, a, out, None, "tanh"),
        "arguments": k.matmul(a, a, out),
        "forward shapes": k.forward(1, a, out[:3]),
        "forward overlap": k.forward(1, shared[:16], shared[1:17]),
        "forward strided": k.forward(1, a[:, ::2], out[:, ::2]),
        "backward shapes": k.backward(1, a, a[:2], out),
        "softmax shapes": k.softmax(a, out[:2]),
        "sgd dtype": k.sgd(out, a.astype(np.float64), None, 0.1, 0.0, 0.0, False),
        "sgd scalars": k.sgd(out, a, None, "x", 0.0, 0.0, False),
        "squares dtype": k.squares(a.astype(np.float64)),
    }
    for what, answer in refused.items():
        assert answer is False, what
    assert (out == 7).all()
    assert (fixed == 7).all()
    assert not shared.any()
