"""Recurrent layers and optimizers."""

import numpy as np

from checks.bounds import TINY, sigmoid


def recurrent(k, rng, worst):
    """All steps of LSTM, RNN and GRU against the same steps in float64."""
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
            v[: 3 * h], v[3 * h :] = sigmoid(v[: 3 * h]), np.tanh(v[3 * h :])
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
        gated(k, rng, worst, t, h, c, b)


def gated(k, rng, worst, t, h, c, b):
    """GRU."""
    rows = h + 1 + c
    w = (rng.standard_normal((4 * h, rows)) / rows**0.5).astype(np.float32)
    columns = rng.standard_normal((t + 1, rows, b)).astype(np.float32)
    columns[0, :h] = 0
    wide_w, wide = w.astype(np.float64), columns.astype(np.float64)
    gates = np.zeros((t, 4 * h, b))
    for s in range(t):
        r, z, hidden, n = (wide_w @ wide[s]).reshape(4, h, b)
        r, z = sigmoid(r), sigmoid(z)
        n = np.tanh(n + r * hidden)
        gates[s] = np.concatenate((r, z, hidden, n))
        wide[s + 1, :h] = (1 - z) * n + z * wide[s, :h]
    got = np.zeros(gates.shape, np.float32)
    assert k.gru_forward(w, columns, got)
    worst.scaled("recurrent", got, gates, np.ones(()), f"gru gates {h} {b}")
    worst.scaled("recurrent", columns, wide, np.ones(()), f"gru {h} {b}")
    dy = rng.standard_normal((t, h, b)).astype(np.float32)
    dv, expected, dh = np.zeros((4 * h, t, b), np.float32), np.zeros((4 * h, t, b)), 0.0
    for s in range(t - 1, -1, -1):
        r, z, hidden, n = gates[s].reshape(4, h, b)
        dh = dh + dy[s]
        dn = dh * (1 - z) * (1 - n * n)
        dz = dh * (wide[s, :h] - n) * z * (1 - z)
        d = (dn * hidden * r * (1 - r), dz, dn * r, dn)
        expected[:, s] = np.concatenate(d)
        dh = dh * z + wide_w[: 3 * h, :h].T @ expected[: 3 * h, s]
    assert k.gru_backward(w, columns, got, dy, dv)
    top = max(1.0, float(np.abs(expected).max(initial=0)))
    worst.scaled("recurrent", dv, expected, top, f"gru backward {h} {b}")


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
