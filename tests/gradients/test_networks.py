"""Whole networks against central differences: layers exact alone, exact together."""

import numpy as np
import pytest

import loom
from loom.layers import (
    GRU,
    SRU,
    Conv1D,
    Dense,
    Elementwise,
    Flatten,
    LayerNorm,
    MultiHeadAttention,
    PositionalEncoding,
    Residual,
    RMSNorm,
    Softmax,
)
from tests.cases import fill
from tests.compare import assert_close
from tests.gradients.differences import central


def transformer():
    """Two blocks, one of either kind, behind positions."""
    return [
        PositionalEncoding(6, 5, "learned"),
        LayerNorm(6),
        MultiHeadAttention(6, 3, causal=True),
        Residual((0, 0, 0)),
        LayerNorm(6),
        Dense(6, 8, "gelu"),
        Dense(8, 6, "linear"),
        Residual((0, 0, 3)),
        RMSNorm(6),
        MultiHeadAttention(6, 3, positions="rotary"),
        Residual((0, 0, 7)),
        Dense(6, 4, "linear"),
        Softmax(),
    ], (5, 6)


def recurrent():
    """Convolution, two SRU layers with a shortcut around the second, a classifier."""
    return [
        Conv1D(3, 5, 2, causal=True, activation="tanh"),
        SRU(5, 4),
        SRU(4, 4),
        Residual((0, 0, 1)),
        GRU(4, 3, return_sequences=False),
        Dense(3, 2, "softmax"),
    ], (7, 3)


def diamond():
    """One output that three later layers read."""
    return [
        Dense(4, 4, "tanh"),
        Dense(4, 4, "silu"),
        Residual((0, 0, 0)),
        Elementwise("sigmoid"),
        Residual((0, 0, 0)),
        Residual((0, 0, 2)),
        Flatten(),
        Dense(12, 3, "linear"),
    ], (3, 4)


@pytest.mark.parametrize("make", [transformer, recurrent, diamond])
@pytest.mark.parametrize("batch", [1, 3])
def test_gradients(make, batch):
    layers, shape = make()
    net = loom.Network.stack(*layers, input_shape=shape, seed=1).astype(np.float64)
    rng = np.random.default_rng(batch)
    for layer in net.layers:
        fill(layer, rng)
    x = rng.standard_normal((batch, *shape))
    y = net.forward(x)
    dy = rng.standard_normal(y.shape)
    dx = net.backward(dy)

    def loss() -> float:
        return float((net.forward(x) * dy).sum())

    def check(name, array, gradient):
        at, expected = central(loss, array, rng)
        what = f"{make.__name__} batch {batch} d{name}"
        actual = gradient.reshape(-1)[at]
        assert_close(actual, expected, "difference", what, "float64")

    gradients = net.gradients()
    check("x", x, dx)
    for index, layer in enumerate(net.layers):
        for name, array in layer.parameters.items():
            where = f"layer {index} {type(layer).__name__} {name}"
            check(where, array, gradients[index][name])
