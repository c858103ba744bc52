"""Sizes at which kernels change their way: 1, tile-1, tile, tile+1, ragged, large.

A row a layer: (layer, sample shape, batch). The tiles of the matrix product are 32, 64
and 128; groups hold 64 or 256 threads, rows of softmax and norms go over 64 and 2,048.
"""

from loom import layers as L

SIZES = {
    L.Dense: [
        *((L.Dense(n, m, "tanh"), (n,), b) for n, m, b in (
            (1, 1, 1), (31, 33, 1), (64, 64, 64), (65, 63, 65), (128, 129, 127),
            (127, 32, 129), (257, 10, 64), (784, 392, 1), (300, 520, 200),
        )),
        (L.Dense(70, 33, "gelu"), (3, 5, 70), 4),
        (L.Dense(70, 1000, "softmax"), (70,), 3),
        (L.Dense(2500, 40, "linear"), (2500,), 70),
    ],
    L.Elementwise: [
        (L.Elementwise("gelu"), (n,), b)
        for n, b in ((1, 1), (3, 1), (1023, 1), (1024, 1), (1025, 3), (4096, 80))
    ],
    L.Flatten: [(L.Flatten(), (3, 5, 7), 2)],
    L.Reshape: [(L.Reshape((5, -1)), (3, 5, 7), 2)],
    L.Residual: [(L.Residual((0, 0, 0)), (n,), b) for n, b in ((1, 1), (1025, 3))],
    L.Dropout: [
        (L.Dropout(0.3), (n,), b)
        for n, b in ((1, 1), (5, 1), (4, 1), (1023, 1), (1025, 2), (70000, 3))
    ],
    L.Embedding: [
        (L.Embedding(v, d), (t,), b)
        for v, d, t, b in ((1, 1, 1, 1), (300, 257, 300, 1), (50, 3, 20, 40))
    ],
    L.PositionalEncoding: [
        (L.PositionalEncoding(d, t, kind), (t, d), b)
        for d, t, kind, b in (
            (1, 1, "learned", 1),
            (33, 65, "learned", 3),
            (33, 65, "sinusoidal", 1),
            (64, 128, "sinusoidal", 2),
        )
    ],
    L.Conv2D: [
        (L.Conv2D(h, w, c, k, s, p, f, "linear"), (c, h, w), b)
        for h, w, c, k, s, p, f, b in (
            (1, 1, 1, 1, 1, 0, 1, 1),
            (8, 8, 3, 3, 1, 1, 31, 2),
            (9, 7, 5, 3, 2, 1, 33, 3),
            (16, 16, 8, 5, 1, 0, 32, 1),
            (7, 5, 2, 4, 3, 2, 65, 2),
            (6, 13, 2, 9, 2, 4, 17, 2),
        )
    ],
    L.Conv1D: [
        (L.Conv1D(c, f, k, s, p, causal, activation=act), (t, c), b)
        for t, c, f, k, s, p, causal, act, b in (
            (1, 1, 1, 1, 1, 0, False, "gelu", 1),
            (64, 5, 33, 3, 1, 1, False, "tanh", 2),
            (65, 4, 32, 4, 3, 0, True, "linear", 3),
            (30, 3, 20, 5, 2, 2, False, "softmax", 1),
        )
    ],
    **{
        kind: [
            (kind(*window), (c, h, w), b)
            for c, h, w, window, b in (
                (1, 1, 1, (1,), 1),
                (3, 9, 8, (2,), 2),
                (2, 11, 13, (3, 2, 1), 3),
                (5, 20, 7, (0,), 2),
            )
        ]
        for kind in (L.MaxPool2D, L.AvgPool2D)
    },
    **{
        kind: [
            (kind(*window), (t, c), b)
            for t, c, window, b in (
                (1, 1, (1,), 1),
                (65, 7, (4, 3, 2), 2),
                (257, 3, (0,), 3),
            )
        ]
        for kind in (L.MaxPool1D, L.AvgPool1D)
    },
    L.BatchNorm: [
        (L.BatchNorm(shape[0] if len(shape) == 3 else shape[-1]), shape, b)
        for shape, b in (
            ((1,), 5), ((33,), 65), ((9, 31), 4), ((3, 5, 7), 3), ((2, 32, 33), 5),
            ((65,), 700),
        )
    ],
    **{
        kind: [
            (kind(n), (*lead, n), b)
            for lead, n, b in (
                ((), 2, 1), ((), 64, 5), ((3,), 65, 2), ((), 2048, 3), ((), 2049, 2),
                ((5, 7), 30, 20),
            )
        ]
        for kind in (L.LayerNorm, L.RMSNorm)
    },
    L.Softmax: [
        (L.Softmax(axis, temperature), shape, b)
        for axis, temperature, shape, b in (
            (-1, 1.0, (1,), 1), (-1, 0.5, (64,), 5), (-1, 2.0, (3, 65), 2),
            (0, 1.0, (70, 3), 2), (1, 0.7, (3, 9, 5), 2), (-1, 1.0, (2049,), 2),
        )
    ],
    **{
        kind: [
            (kind(c, h, return_sequences=every), (t, c), b)
            for c, h, every, t, b in (
                (1, 1, True, 1, 1), (5, 31, True, 3, 2), (3, 33, False, 4, 3),
                (4, 64, True, 2, 5), (3, 20, True, 3, 21),
            )
        ]
        for kind in (L.RNN, L.LSTM, L.GRU, L.QRNN, L.SRU)
    },
    L.MultiHeadAttention: [
        (L.MultiHeadAttention(d, n, 0, f, causal, positions), (t, d), b)
        for d, n, t, b, f, causal, positions in (
            (1, 1, 1, 1, "linear", False, "none"),
            (12, 3, 31, 2, "tanh", True, "none"),
            (32, 2, 33, 1, "gelu", True, "rotary"),
            (66, 1, 65, 2, "linear", False, "none"),
        )
    ],
}  # fmt: skip
