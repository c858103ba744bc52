"""Checks of the SIMD kernels against NumPy in float64, run inside Pyodide.

`run(kernels)` raises AssertionError for the first difference and gives, for each row of
BOUNDS, the worst error seen. A host (Node, Chromium, Firefox) writes this file beside
the kernels and calls it; see test_kernels.py.
"""

import numpy as np

FORWARD, BACKWARD = "forward", "backward"
NAMES = (
    "scaled_relu",
    "sigmoid",
    "tanh",
    "softplus",
    "leaky_relu",
    "linear",
    "relu",
    "gelu",
    "silu",
)
EXP = 100
NEEDS_V = {"softplus", "gelu", "silu"}
TINY = float(np.finfo(np.float32).tiny)  # the smallest normal number
EPSILON = 2.0**-24  # half a unit in the last place of one

# Row -> units in the last place of the exact result, and an absolute floor below which
# an error counts as none: subnormal results may be zero.
BOUNDS = {
    "exp": (1.0, 0.0),
    "scaled_relu": (1.0, 0.0),
    "sigmoid": (2.5, TINY),
    "tanh": (3.0, 0.0),
    "softplus": (2.0, TINY),
    "leaky_relu": (1.0, 0.0),
    "linear": (0.0, 0.0),
    "relu": (0.0, 0.0),
    "gelu": (130.0, 2e-37),  # exp(2 u) multiplies u's rounding by 2 u
    "silu": (4.0, TINY),
    "scaled_relu'": (1.0, 0.0),
    "sigmoid'": (2.5, 2 * TINY),
    "tanh'": (2.5, 2 * TINY),
    "softplus'": (2.5, 2 * TINY),  # dy is up to 2
    "leaky_relu'": (1.0, 0.0),
    "linear'": (0.0, 0.0),
    "relu'": (0.0, 0.0),
    "softmax": (6.0, TINY),
    # The rest in units of EPSILON times the sum of what was added, without signs.
    "gelu'": (10.0, TINY),  # terms near one cancel where it is zero
    "silu'": (6.0, TINY),
    "softmax'": (2.0, TINY),
    "matmul": (0.6, TINY),  # times 2 + sqrt(K)
    "squares": (1e-6, TINY),
    "sgd": (2.0, TINY),
    "adam": (3.0, TINY),
    # In units of EPSILON times the greatest value, after 5 steps.
    "recurrent": (8.0, TINY),
}


class Worst(dict):
    """The worst error by row, checked as it comes."""

    def ulp(self, row, got, expected, what):
        """Compare with the exact result in units in its last place."""
        expected = np.asarray(expected, np.float64)
        with np.errstate(over="ignore"):
            rounded = expected.astype(np.float32)
        unit = np.spacing(np.maximum(np.abs(rounded), TINY)).astype(np.float64)
        self._check(row, got, expected, np.where(np.isfinite(unit), unit, 1), what)

    def scaled(self, row, got, expected, scale, what):
        """Compare in units of EPSILON times `scale`."""
        self._check(row, got, expected, EPSILON * np.asarray(scale), what)

    def _check(self, row, got, expected, unit, what):
        bound, floor = BOUNDS[row]
        got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
        assert got.shape == expected.shape, f"{row} {what}: shape {got.shape}"
        with np.errstate(over="ignore"):
            special = ~np.isfinite(expected.astype(np.float32))
        kind = expected[special].astype(np.float32)
        np.testing.assert_array_equal(got[special], kind, f"{row} {what}")
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.where(special, 0, np.abs(got - expected))
            error = np.where(difference <= floor, 0, difference / unit)
        error = np.where(np.isnan(error), np.inf, error)
        if error.size:
            at = np.unravel_index(error.argmax(), error.shape)
            self[row] = max(self.get(row, 0.0), float(error[at]))
            assert error[at] <= bound, (
                f"{row} {what}: {error[at]:.2f} units, {bound} allowed, at {at}: "
                f"got {got[at]!r}, expected {expected[at]!r}"
            )


# Activations, in float64 by forms that keep every digit ------------------------------


def _sigmoid(v):
    e = np.exp(-np.abs(v))
    return np.where(v < 0, e, 1.0) / (1 + e)


def _gelu_argument(v):
    return 2 * np.sqrt(2 / np.pi) * v * (1 + 0.044715 * v * v)


def _positive(v):
    return np.where(np.isnan(v), np.nan, np.maximum(v, 0))


def exact(name, v):
    """f(v) in float64."""
    return {
        "exp": lambda: np.exp(v),
        "scaled_relu": lambda: _positive(v) * np.float64(np.float32(1.1)),
        "sigmoid": lambda: _sigmoid(v),
        "tanh": lambda: np.tanh(v),
        "softplus": lambda: _positive(v) + np.log1p(np.exp(-np.abs(v))),
        "leaky_relu": lambda: np.where(v > 0, v, v * np.float64(np.float32(0.1))),
        "linear": lambda: v,
        "relu": lambda: _positive(v),
        "gelu": lambda: v * _sigmoid(_gelu_argument(v)),
        "silu": lambda: v * _sigmoid(v),
    }[name]()


def exact_slope(name, s):
    """f' of what the row reads: the result, or for NEEDS_V the argument."""

    def gelu():
        g, v = _sigmoid(_gelu_argument(s)), s
        square = np.minimum(v * v, 1e30)
        return g + v * g * (1 - g) * 2 * np.sqrt(2 / np.pi) * (1 + 0.134145 * square)

    def silu():
        g = _sigmoid(s)
        return g * (1 + s * (1 - g))

    one = np.where(s > 0, 1.0, 0.0)
    return {
        "scaled_relu": lambda: one * np.float64(np.float32(1.1)),
        "sigmoid": lambda: s * (1 - s),
        "tanh": lambda: (1 - s) * (1 + s),
        "softplus": lambda: _sigmoid(s),
        "leaky_relu": lambda: np.where(s > 0, 1.0, np.float64(np.float32(0.1))),
        "linear": lambda: np.ones_like(s),
        "relu": lambda: one,
        "gelu": gelu,
        "silu": silu,
    }[name]()


def values(rng, size):
    """Every magnitude of both signs, the range where exp lives, and the edges."""
    spread = np.exp(rng.uniform(-103, 88, size)) * rng.choice([-1, 1], size)
    middle = rng.uniform(-110, 110, size)
    near = rng.standard_normal(2 * size) * 2
    low = np.finfo(np.float32).smallest_subnormal
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, low, -low, TINY, -TINY, 1, -1]
    edges += [
        3.4028235e38,
        -3.4028235e38,
        88.72284,
        88.72283,
        -87.33,
        -103.97,
        0.414214,
    ]
    v = np.concatenate((spread, middle, near, edges)).astype(np.float32)
    rng.shuffle(v)
    return v


def activations(k, rng, worst):
    """Every row forward and backward over values(), in every short length."""
    v = values(rng, 8000)
    wide = v.astype(np.float64)
    with np.errstate(all="ignore"):
        for code, name in (*enumerate(NAMES), (EXP, "exp")):
            y = np.empty_like(v)
            assert k.forward(code, v, y), name
            worst.ulp(name, y, exact(name, wide), "forward")
            same = v.copy()
            assert k.forward(code, same, same)
            np.testing.assert_array_equal(same, y, f"{name} in place")
            for n in (*range(12), 31):
                part = np.full(n + 1, 7, np.float32)
                assert k.forward(code, v[:n], part[:n])
                np.testing.assert_array_equal(part[:n], y[:n], f"{name} of {n}")
                assert part[n] == 7, f"{name} of {n} wrote past the end"
            if name != "exp":
                backward(k, rng, worst, code, name, v if name in NEEDS_V else y)


def backward(k, rng, worst, code, name, s):
    """dy f' over s, which holds every edge."""
    finite = np.isfinite(s)
    s = s[finite] if name not in ("relu", "scaled_relu", "leaky_relu") else s
    dy = rng.choice([1.0, -2.0, 0.5], s.size).astype(np.float32)  # exact factors
    d = np.empty_like(s)
    assert k.backward(code, dy, s, d), name
    expected = exact_slope(name, s.astype(np.float64)) * dy
    if name in ("gelu", "silu"):
        worst.scaled(name + "'", d, expected, np.abs(dy), "backward")
    else:
        worst.ulp(name + "'", d, expected, "backward")
    for n in (*range(9), 13):
        part = np.full(n + 1, 7, np.float32)
        assert k.backward(code, dy[:n], s[:n], part[:n])
        np.testing.assert_array_equal(part[:n], d[:n])
        assert part[n] == 7


# Rows --------------------------------------------------------------------------------


def softmax(k, rng, worst):
    """Rows of every short length, with edges."""
    for n in (*range(1, 18), 100, 257):
        x = (rng.standard_normal((9, n)) * rng.choice([1, 30])).astype(np.float32)
        x[1], x[2, :] = 3e38, -3e38
        x[3, 0], x[4, -1], x[5, n // 2] = np.nan, np.inf, -np.inf
        x[6] = -np.inf
        with np.errstate(invalid="ignore", over="ignore"):
            # The difference is rounded as it is in NumPy's softmax of float32.
            e = np.exp((x - x.max(-1, keepdims=True)).astype(np.float64))
            expected = e / e.sum(-1, keepdims=True)
        y = np.empty_like(x)
        assert k.softmax(x, y)
        worst.ulp("softmax", y, expected, f"rows of {n}")
        y = np.nan_to_num(y)
        dy = rng.standard_normal(x.shape).astype(np.float32)
        dx = np.empty_like(x)
        assert k.softmax_backward(dy, y, dx)
        a, b = dy.astype(np.float64), y.astype(np.float64)
        total = (a * b).sum(-1, keepdims=True)
        scale = b * (np.abs(a) + np.abs(a * b).sum(-1, keepdims=True) * (2 + n**0.5))
        worst.scaled("softmax'", dx, b * (a - total), scale, f"rows of {n}")
    assert not k.softmax(np.empty((3, 0), np.float32), np.empty((3, 0), np.float32))


# Matrix products ---------------------------------------------------------------------


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


# What a kernel leaves to NumPy --------------------------------------------------------


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


# Recurrent layers and optimizers ------------------------------------------------------


def recurrent(k, rng, worst):
    """All steps of LSTM and RNN against the same steps in float64."""
    for t, h, c, b in (
        (5, 1, 1, 1),
        (5, 3, 2, 1),
        (5, 7, 5, 4),
        (5, 9, 3, 11),
        (0, 2, 2, 3),
    ):
        rows = h + 1 + c
        w = (rng.standard_normal((4 * h, rows)) / rows**0.5).astype(np.float32)
        columns = rng.standard_normal((t + 1, rows, b)).astype(np.float32)
        columns[0, :h] = 0
        wide_w, wide = w.astype(np.float64), columns.astype(np.float64)
        gates, cells = np.zeros((t, 4 * h, b)), np.zeros((t + 1, h, b))
        for s in range(t):
            v = wide_w @ wide[s]
            v[: 3 * h], v[3 * h :] = _sigmoid(v[: 3 * h]), np.tanh(v[3 * h :])
            o, i, f, g = v.reshape(4, h, b)
            gates[s], cells[s + 1] = v, f * cells[s] + i * g
            wide[s + 1, :h] = o * np.tanh(cells[s + 1])
        got = [
            np.zeros(s, np.float32) for s in ((t, 4 * h, b), (t + 1, h, b), (t, h, b))
        ]
        assert k.lstm_forward(w, columns, *got)
        for one, other, what in (
            (got[0], gates, "gates"),
            (got[1], cells, "cells"),
            (got[2], np.tanh(cells[1:]), "tanh c"),
            (columns, wide, "columns"),
        ):
            worst.scaled("recurrent", one, other, np.ones(()), f"lstm {what} {h} {b}")
        dy = rng.standard_normal((t, h, b)).astype(np.float32)
        dv, expected = np.zeros((4 * h, t, b), np.float32), np.zeros((4 * h, t, b))
        dh, dc = np.zeros((2, h, b))
        for s in range(t - 1, -1, -1):
            o, i, f, g = gates[s].reshape(4, h, b)
            dh = dh + dy[s]
            tanh_c = np.tanh(cells[s + 1])
            dc = dc + dh * o * (1 - tanh_c**2)
            d = (o * (1 - o) * tanh_c * dh, i * (1 - i) * g * dc)
            d += (f * (1 - f) * cells[s] * dc, (1 - g * g) * i * dc)
            expected[:, s] = np.concatenate(d)
            dc = dc * f
            dh = wide_w[:, :h].T @ expected[:, s]
        assert k.lstm_backward(w, *got, dy, dv)
        top = max(1.0, float(np.abs(expected).max(initial=0)))
        worst.scaled("recurrent", dv, expected, top, f"lstm backward {h} {b}")
        plain(k, rng, worst, t, h, c, b)


def plain(k, rng, worst, t, h, c, b):
    """The plain recurrent layer."""
    rows = h + 1 + c
    w = (rng.standard_normal((h, rows)) / rows**0.5).astype(np.float32)
    columns = rng.standard_normal((t + 1, rows, b)).astype(np.float32)
    columns[0, :h] = 0
    wide = columns.astype(np.float64)
    for s in range(t):
        wide[s + 1, :h] = np.tanh(w.astype(np.float64) @ wide[s])
    assert k.rnn_forward(w, columns)
    worst.scaled("recurrent", columns, wide, np.ones(()), f"rnn {h} {b}")
    dy = rng.standard_normal((t, h, b)).astype(np.float32)
    dv, expected, dh = np.zeros((h, t, b), np.float32), np.zeros((h, t, b)), 0.0
    recurrent = np.ascontiguousarray(w[:, :h])
    for s in range(t - 1, -1, -1):
        expected[:, s] = (1 - wide[s + 1, :h] ** 2) * (dy[s] + dh)
        dh = recurrent.T.astype(np.float64) @ expected[:, s]
    assert k.rnn_backward(recurrent, columns, dy, dv)
    top = max(1.0, float(np.abs(expected).max(initial=0)))
    worst.scaled("recurrent", dv, expected, top, f"rnn backward {h} {b}")


def optimizers(k, rng, worst):
    """One step of every kind at every short length, and the sum of squares."""
    for n in (*range(10), 1001):
        w, g, m = rng.standard_normal((3, n)).astype(np.float32)
        v = np.square(rng.standard_normal(n)).astype(np.float32)
        wide = [a.astype(np.float64) for a in (w, g, m, v)]
        for decay, momentum, nesterov in (
            (0, 0, 0),
            (0.1, 0, 0),
            (0.1, 0.9, 0),
            (0, 0.9, 1),
        ):
            now, slot = w.copy(), m.copy() if momentum else None
            assert k.sgd(now, g, slot, 0.05, decay, momentum, bool(nesterov))
            step = wide[1] + decay * wide[0]
            if momentum:
                kept = momentum * wide[2] + step
                worst.scaled("sgd", slot, kept, 1 + np.abs(wide[2]) + np.abs(step), "m")
                step = step + momentum * kept if nesterov else kept
            expected = wide[0] - 0.05 * step
            worst.scaled("sgd", now, expected, 1 + np.abs(wide[0]) + np.abs(step), "w")
        for decay, shrink in ((0.0, 1.0), (0.1, 1.0), (0.0, 0.99)):
            arrays = [a.copy() for a in (w, m, v)]
            assert k.adam(
                arrays[0], g, *arrays[1:], 0.01, 0.3, 0.9, 0.999, 1e-8, decay, shrink
            )
            a, b, c, d = wide
            grad = b + decay * a * shrink
            first, second = c + 0.1 * (grad - c), 0.999 * d + 0.001 * grad**2
            expected = a * shrink - 0.01 * first / (np.sqrt(second) / 0.3 + 1e-8)
            scale = 1 + np.abs(a) + np.abs(grad) + np.abs(c) + d
            for got, want in zip(arrays, (expected, first, second), strict=True):
                worst.scaled("adam", got, want, scale, f"n {n}")
        total = k.squares(g)
        assert isinstance(total, float)
        exact_total = (wide[1] ** 2).sum()
        worst.scaled("squares", total, exact_total, exact_total + TINY, f"n {n}")
    assert np.isnan(k.squares(np.array([1, np.nan], np.float32)))
    assert k.squares(np.full(8, 3e38, np.float32)) > 1e77


CHECKS = (activations, softmax, matmul, refusals, recurrent, optimizers)


def run(kernels, seed=0):
    """Row -> the worst error seen, in its units. Raises where one is too large."""
    worst = Worst()
    for check in CHECKS:
        check(kernels, np.random.default_rng(seed), worst)
    assert set(worst) == set(BOUNDS), set(BOUNDS) ^ set(worst)
    return dict(worst)
