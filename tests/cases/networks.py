"""Random networks of every layer there is, on random grids, with residuals.

Each layer is drawn among those that take the shape before it, so a network of any
length fits together; one row here for each row of LAYERS.
"""

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

from hypothesis import strategies as st

import loom
from loom.layers import LAYERS, Layer
from loom.network import Network

Shape = tuple[int, ...]
GRIDS = ((1, 1, 1), (1, 1, 4), (2, 1, 2), (1, 2, 3), (2, 2, 2), (1, 3, 2), (1, 1, 7))
TOKENS = 9  # in the vocabulary
_EPSILON = 1e-2  # of the norms: rows that are nearly constant stay smooth
_MOST = 60  # values of a sample inside


class Place:
    """What a layer is drawn from: the shape before it, and what came earlier."""

    def __init__(self, draw, shape: Shape, names: Iterable[str], earlier):
        self.draw, self.shape, self.names = draw, shape, tuple(names)
        self.earlier: list[tuple[tuple[int, int, int], Shape]] = earlier

    def size(self, most: int = 5) -> int:
        return self.draw(st.integers(1, most))

    def flag(self) -> bool:
        return self.draw(st.booleans())

    def activation(self) -> str:
        return self.draw(st.sampled_from(self.names))

    def divisor(self, n: int) -> int:
        return self.draw(st.sampled_from([k for k in range(1, n + 1) if n % k == 0]))

    def sources(self) -> list[tuple[int, int, int]]:
        return [place for place, shape in self.earlier if shape == self.shape]


def conv2d(p: Place) -> Layer:
    c, h, w = p.shape
    padding = p.draw(st.integers(0, 1))
    kernel = p.draw(st.integers(1, min(h, w, 3) + padding))
    stride, f = p.size(2), p.size(3)
    return loom.Conv2D(h, w, c, kernel, stride, padding, f, p.activation())


def conv1d(p: Place) -> Layer:
    t, c = p.shape
    kernel = p.size(min(t, 3))
    return loom.Conv1D(
        c, p.size(), kernel, p.size(2), causal=p.flag(), activation=p.activation()
    )


def pool(kind) -> Callable[[Place], Layer]:
    def make(p: Place) -> Layer:
        pooled = p.shape[1:] if len(p.shape) == 3 else p.shape[:1]
        kernel = p.draw(st.integers(0, min(pooled)))
        return kind(kernel, p.size(2) if kernel else 0)

    return make


def recurrent(kind) -> Callable[[Place], Layer]:
    return lambda p: kind(p.shape[1], p.size(), return_sequences=p.flag())


def attention(p: Place) -> Layer:
    d = p.shape[1]
    heads = p.divisor(d)
    rotary = p.flag() and (d // heads) % 2 == 0
    return loom.MultiHeadAttention(
        d,
        heads,
        activation=p.activation(),
        causal=p.flag(),
        positions="rotary" if rotary else "none",
    )


def positions(p: Place) -> Layer:
    t, d = p.shape
    kind = p.draw(st.sampled_from(["sinusoidal", "learned"]))
    return loom.PositionalEncoding(d, t, kind)


def reshape(p: Place) -> Layer:
    n = prod(p.shape)
    a = p.divisor(n)
    b = p.divisor(n // a)
    shape = p.draw(st.sampled_from([(a, b, -1), (a, n // a), (n,), (-1, a)]))
    return loom.Reshape(shape)


def sequence(p: Place) -> bool:
    return len(p.shape) == 2


def image(p: Place) -> bool:
    return len(p.shape) == 3


def anything(p: Place) -> bool:
    return True


def channels(shape: Shape) -> int:
    return shape[0] if len(shape) == 3 else shape[-1]


ROWS: dict[type[Layer], tuple[Callable[[Place], Any], Callable[[Place], Layer]]] = {
    loom.Dense: (anything, lambda p: loom.Dense(p.shape[-1], p.size(), p.activation())),
    loom.Conv2D: (image, conv2d),
    loom.MultiHeadAttention: (sequence, attention),
    loom.RNN: (sequence, recurrent(loom.RNN)),
    loom.LSTM: (sequence, recurrent(loom.LSTM)),
    loom.Elementwise: (anything, lambda p: loom.Elementwise(p.activation())),
    loom.Conv1D: (sequence, conv1d),
    loom.MaxPool2D: (image, pool(loom.MaxPool2D)),
    loom.AvgPool2D: (image, pool(loom.AvgPool2D)),
    loom.Flatten: (anything, lambda p: loom.Flatten()),
    loom.Reshape: (anything, reshape),
    loom.Softmax: (anything, lambda p: loom.Softmax(-1, 0.5 + p.size())),
    loom.Dropout: (anything, lambda p: loom.Dropout(p.size() / 10)),
    loom.BatchNorm: (
        lambda p: len(p.shape) <= 3,
        lambda p: loom.BatchNorm(channels(p.shape), _EPSILON),
    ),
    loom.LayerNorm: (anything, lambda p: loom.LayerNorm(p.shape[-1], _EPSILON)),
    loom.RMSNorm: (anything, lambda p: loom.RMSNorm(p.shape[-1], _EPSILON)),
    loom.Embedding: (
        lambda p: not p.earlier and len(p.shape) == 1,
        lambda p: loom.Embedding(TOKENS, p.size()),
    ),
    loom.Residual: (
        Place.sources,
        lambda p: loom.Residual(p.draw(st.sampled_from(p.sources()))),
    ),
    loom.GRU: (sequence, recurrent(loom.GRU)),
    loom.QRNN: (sequence, recurrent(loom.QRNN)),
    loom.SRU: (sequence, recurrent(loom.SRU)),
    loom.MaxPool1D: (sequence, pool(loom.MaxPool1D)),
    loom.AvgPool1D: (sequence, pool(loom.AvgPool1D)),
    loom.PositionalEncoding: (sequence, positions),
}


def draw_network(draw, names: Iterable[str]) -> Network:
    """A network of random layers whose activations are among `names`."""
    shapes = [(5,), (4, 3), (5, 2), (2, 5, 4), (1, 6, 6), (3, 4, 4)]
    first = shape = draw(st.sampled_from(shapes), label="input shape")
    rows, cols, count = draw(st.sampled_from(GRIDS), label="grid")
    layers: list[Layer] = []
    earlier: list[tuple[tuple[int, int, int], Shape]] = []
    for index in range(rows * cols * count):
        p = Place(draw, shape, names, earlier)
        fitting = [kind for kind in LAYERS if ROWS[kind][0](p)]
        if loom.Residual in fitting and draw(st.booleans()):
            fitting = [loom.Residual]  # else they would be rare
        layer = ROWS[draw(st.sampled_from(fitting))][1](p)
        out = layer.output_shape(layer.input_shape(shape))
        if prod(out) > _MOST:
            layer = loom.AvgPool2D(0) if image(p) else loom.Elementwise("tanh")
            out = layer.output_shape(shape)
        layers.append(layer)
        shape = out
        cell, place = divmod(index, count)
        earlier.append(((*divmod(cell, cols), place), shape))
    return Network.from_layers(layers, first, rows, cols, count, seed=1)


def values(rng, net: Network, batch: int):
    """x for the network: N(0, 1), or token ids where it begins with an embedding."""
    shape = (batch, *net.input_shape)
    if isinstance(net.layers[0], loom.Embedding):
        return rng.integers(0, TOKENS, shape).astype(float)
    return rng.standard_normal(shape)
