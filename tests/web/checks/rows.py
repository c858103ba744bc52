"""Activations, softmax and norms."""

import numpy as np

from checks.bounds import EXP, NAMES, NEEDS_V, TINY, exact, exact_slope


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


def exp_rows(k, rng, worst):
    """exp(x - max) in place, and its sums into a strided view."""
    for n in (1, 2, 5, 8, 31, 64):
        x = (rng.standard_normal((2, 3, 4, n)) * 5).astype(np.float32)
        exact_e = np.exp((x - x.max(-1, keepdims=True)).astype(np.float64))
        total = np.full((2, 5, 6, 1), 7, np.float32)
        assert k.exp_rows(x, x, total[:, 1:4, 2:])
        worst.scaled("exp_rows", x, exact_e, np.ones(()), f"rows of {n}")
        sums = exact_e.sum(-1, keepdims=True)
        worst.scaled("exp_rows", total[:, 1:4, 2:], sums, sums, f"sums of {n}")
        assert (total[:, 0] == 7).all()
        assert (total[:, 4] == 7).all()
        assert not k.exp_rows(x, x, total)
    assert not k.exp_rows(x, x[:1], total)


def norm(k, rng, worst):
    """Layer norm and RMS norm, there and back, at every short length."""
    for n in (*range(1, 14), 64, 101):
        x = (rng.standard_normal((2, 5, n)) * 3 + 2).astype(np.float32)
        w, b = rng.standard_normal((2, n)).astype(np.float32)
        dy = rng.standard_normal(x.shape).astype(np.float32)
        for plain in (False, True):
            epsilon = 0.25  # well conditioned where a row is one value
            wide = x.astype(np.float64)
            centred = wide if plain else wide - wide.mean(-1, keepdims=True)
            root = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
            exact_rows = centred / root
            rows, y = np.empty_like(x), np.empty_like(x)
            scale = np.empty((2, 5, 1), np.float32)
            bias = None if plain else b
            assert k.norm(x, w, bias, epsilon, plain, rows, scale, y)
            size = np.abs(wide).max() / root + np.abs(exact_rows)
            what = f"rows of {n}, plain {plain}"
            worst.scaled("norm", rows, exact_rows, size, what)
            worst.scaled("norm", scale, 1 / root, size.max() / root, what)
            expected = exact_rows * w + (0 if plain else b)
            worst.scaled("norm", y, expected, size * np.abs(w) + np.abs(b), what)
            norm_backward(k, worst, (dy, rows, scale, w, plain), what)


def norm_backward(k, worst, given, what):
    """dx, and what is added to dw and db."""
    dy, rows, scale, w, plain = given
    dx, dw, db = np.empty_like(dy), np.ones_like(w), np.ones_like(w)
    assert k.norm_backward(*given, dx, dw, None if plain else db)
    a, r, g = dy.astype(np.float64), rows.astype(np.float64), dy.astype(np.float64) * w
    mean = 0 if plain else g.mean(-1, keepdims=True)
    along = (g * r).mean(-1, keepdims=True)
    top = (np.abs(g).max() * (1 + np.abs(r)) * (1 + np.abs(r).max())) * scale
    worst.scaled("norm'", dx, (g - mean - r * along) * scale, top, what)
    for got, row, there in ((dw, a * r, True), (db, a, not plain)):
        expected = 1 + row.sum((0, 1)) if there else np.ones_like(w)
        worst.scaled("norm'", got, expected, 1 + np.abs(row).sum((0, 1)), what)
    again = np.ones_like(w)
    assert k.norm_backward(*given, None, again, None if plain else db)
    np.testing.assert_array_equal(again, dw)
