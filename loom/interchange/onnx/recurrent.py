"""Layers over time as ONNX nodes; ONNX has time first and its own order of gates."""

import numpy as np


def rnn(g, layer, x, shape, sources):
    """RNN."""
    return _cell(g, layer, x, "RNN", [0], [0])


def lstm(g, layer, x, shape, sources):
    """LSTM, whose gates are i, o, f, c."""
    return _cell(g, layer, x, "LSTM", [0, 3, 1, 2], [])


def gru(g, layer, x, shape, sources):
    """GRU, whose gates are z, r, h."""
    p, h = layer.parameters, layer.hidden_size
    hidden = np.concatenate([np.zeros(2 * h, np.float32), p["bias_hn"]])
    return _cell(g, layer, x, "GRU", [1, 0, 2], hidden, linear_before_reset=1)


def _cell(g, layer, x, kind, order, hidden_bias, **attributes):
    p, h = layer.parameters, layer.hidden_size
    sort = np.concatenate([np.arange(h) + gate * h for gate in order])
    bias = p["bias"][sort]
    second = hidden_bias if len(hidden_bias) == bias.size else np.zeros_like(bias)
    y = g.op(
        kind,
        g.transpose(x, 1, 0, 2),
        p["weight_ih"][sort][None],
        p["weight_hh"][sort][None],
        np.concatenate([bias, second])[None],
        hidden_size=h,
        **attributes,
    )
    y = g.transpose(g.take(y, 0, axis=1), 1, 0, 2)  # (T, 1, B, H) -> (B, T, H)
    return y if layer.return_sequences else g.take(y, -1, axis=1)


def qrnn(g, layer, x, shape, sources):
    """The gates as a Conv, the pooling as a Scan."""
    p = layer.parameters
    gates = g.op(
        "Conv",
        g.transpose(x, 0, 2, 1),
        p["weight"],
        p["bias"],
        pads=[layer.kernel_size - 1, 0],
    )
    z, f, o = g.split(g.transpose(gates, 0, 2, 1), 3, axis=-1)
    c = _forget_pool(g, layer, g.op("Sigmoid", f), g.op("Tanh", z))
    y = g.op("Mul", g.op("Sigmoid", o), c)
    return y if layer.return_sequences else g.take(y, -1, axis=1)


def sru(g, layer, x, shape, sources):
    """The gates as one product, the pooling as a Scan."""
    p, h = layer.parameters, layer.hidden_size
    count = len(p["weight"]) // h
    parts = g.split(g.op("MatMul", x, p["weight"].T), count, axis=-1)
    z, f, r = parts[:3]
    highway = parts[3] if count == 4 else x
    f = g.op("Sigmoid", g.op("Add", f, p["bias"][:h]))
    r = g.op("Sigmoid", g.op("Add", r, p["bias"][h:]))
    out = g.activate(_forget_pool(g, layer, f, z), layer.activation)
    y = g.op("Add", highway, g.op("Mul", r, g.op("Sub", out, highway)))
    return y if layer.return_sequences else g.take(y, -1, axis=1)


def _forget_pool(g, layer, f, z):
    """c_t = f_t c_{t-1} + (1 - f_t) z_t = z_t + f_t (c_{t-1} - z_t), c_0 = 0."""
    zero = g.op("Mul", g.take(z, 0, axis=1), np.float32(0))

    def step(inner, c, f, z):
        return inner.op("Add", z, inner.op("Mul", f, inner.op("Sub", c, z)))

    return g.scan([f, z], zero, step, axis=1)
