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
}  # fmt: skip
