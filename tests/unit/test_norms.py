"""Softmax, the norms and the residual connection: beyond their formulas."""

import numpy as np
import pytest

import loom
from loom import (
    ConfigError,
    Dense,
    Elementwise,
    LayerNorm,
    Network,
    Residual,
    RMSNorm,
    ShapeError,
    Softmax,
)


def normal(*shape, seed=5, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_softmax_sums_to_one_along_its_axis(axis):
    x = normal(3, 4, 5)
    y, _ = Softmax(axis).forward(x)
    np.testing.assert_allclose(y.sum(axis=axis + 1 if axis >= 0 else axis), 1)
    assert y.flags.c_contiguous


def test_temperature_sharpens_and_flattens():
    x = np.array([[1.0, 2.0, 4.0]])
    top = [Softmax(temperature=t).forward(x)[0][0, 2] for t in (0.01, 1, 100)]
    assert top[0] > 0.999999
    assert 0.3 < top[2] < 0.35 < top[1]


@pytest.mark.parametrize("temperature", [0.001, 1.0, 1000.0])
def test_softmax_of_huge_values_is_finite(temperature):
    x = np.array([[3e30, -3e30, 1e30], [-1e4, -1e4, -1e4]], np.float32)
    y, _ = Softmax(temperature=temperature).forward(x)
    np.testing.assert_allclose(y, [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)


def test_layer_norm_gives_mean_zero_and_variance_one():
    layer = LayerNorm(64)
    layer.initialize(0)
    x = 3 + 5 * normal(4, 7, 64, dtype=np.float32)
    y, _ = layer.forward(x)
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=-1), 1, rtol=1e-5)


def test_a_large_mean_costs_layer_norm_its_own_rounding_alone():
    layer = LayerNorm(64)
    layer.initialize(0)
    offset = 2.0**14  # x stays exact in float32, the mean is rounded to 1 / 1024
    x = np.round(normal(5, 64) * 256) / 256
    near = layer.forward(x.astype(np.float32))[0]
    far = layer.forward((x + offset).astype(np.float32))[0]
    np.testing.assert_allclose(far, near, atol=1.5e-3)


def test_rms_norm_keeps_the_direction_and_ignores_the_length():
    layer = RMSNorm(32)
    layer.initialize(0, np.float64)
    x = normal(4, 32)
    y, _ = layer.forward(x)
    np.testing.assert_allclose((y**2).mean(axis=-1), 1, rtol=1e-4)
    np.testing.assert_allclose(layer.forward(1e4 * x)[0], y, rtol=1e-4)
    np.testing.assert_allclose(y / x, np.tile((y / x)[:, :1], 32), rtol=1e-12)


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
def test_a_norm_starts_as_the_norm_alone_and_keeps_what_is_given(kind):
    layer = kind(3)
    layer.set_parameter("weight", [1, 2, 3])
    layer.initialize(0)
    assert layer.parameters["weight"].tolist() == [1, 2, 3]
    fresh = kind(3)
    fresh.initialize(0)
    assert fresh.parameters["weight"].tolist() == [1, 1, 1]
    zero, _ = fresh.forward(np.zeros((2, 3), np.float32))
    assert not zero.any()


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
def test_a_flat_sample_becomes_rows(kind):
    net = Network.stack(kind(4), input_shape=12, seed=1)
    x = normal(2, 12, dtype=np.float32)
    assert net.shapes() == [(3, 4), (3, 4)]
    y, _ = net.forward_cpu(x)
    expected = Network.stack(kind(4), input_shape=(3, 4), seed=1)
    np.testing.assert_array_equal(y, expected.forward_cpu(x.reshape(2, 3, 4))[0])
    dx, _ = net.backward_cpu(y)
    assert dx.shape == (2, 12)


def branches(*sources, dtype=np.float64):
    """tanh, dense, dense, then a shortcut from each source in turn."""
    layers = [Elementwise("tanh"), Dense(5, 5, "sigmoid"), Dense(5, 5, "tanh")]
    layers += [Residual((0, 0, source)) for source in sources]
    return Network.stack(*layers, input_shape=5, seed=4).astype(dtype)


@pytest.mark.parametrize("sources", [(0,), (1,), (0, 0), (0, 1, 2), (2, 3, 4), (0, 3)])
def test_gradients_of_several_paths_add_up(sources):
    net = branches(*sources)
    x, dy = normal(2, 5), normal(2, 5, seed=6)
    net.forward(x)
    dx = net.backward(dy)
    step = 1e-6
    for at in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[at] += sign * step
            ends.append(float((net.forward(moved) * dy).sum()))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert abs(dx[at] - slope) < 1e-8 * max(1, np.abs(dx).max()), at


def test_a_residual_reads_across_the_grid():
    layers = [
        Elementwise("linear"),
        Dense(4, 4),
        Elementwise("tanh"),
        Elementwise("tanh"),
    ]
    net = Network.from_layers(layers, (4,), 2, 2, 1, seed=1)
    x = normal(3, 4, dtype=np.float32)
    before, _ = net.forward_cpu(x)
    net.set_layer(1, 1, 0, loom.init_residual_layer(0, 0, 0))
    inner = np.arctanh(before.astype(np.float64))
    np.testing.assert_allclose(net.forward_cpu(x)[0], inner + x, rtol=1e-4)
    again = loom.load_model_from_string(net.save_model_to_string())
    np.testing.assert_array_equal(again.forward_cpu(x)[0], net.forward_cpu(x)[0])


def stack(*layers, shape):
    return Network.stack(*layers, input_shape=shape, seed=1)


REFUSED = [
    (
        lambda: stack(Softmax(2), shape=(3, 4)),
        ShapeError,
        "layer (0, 0, 0) Softmax: expected x with an axis 2, got (B, 3, 4). Set axis "
        "from -2 to 1. Or check the network's input, whose shape is (B, 3, 4).",
    ),
    (
        lambda: Softmax(temperature=0),
        ConfigError,
        "Softmax: expected temperature from 0.001 to 1000.0, got 0.0.",
    ),
    (
        lambda: Softmax(temperature=float("nan")),
        ConfigError,
        "Softmax: expected temperature from 0.001 to 1000.0, got nan.",
    ),
    (
        lambda: LayerNorm(0),
        ConfigError,
        "LayerNorm: expected size from 1 to 2147483647, got 0.",
    ),
    (
        lambda: RMSNorm(4, -1e-5),
        ConfigError,
        "RMSNorm: expected epsilon from 1e-12 to 1.0, got -1e-05.",
    ),
    (
        lambda: stack(LayerNorm(5), shape=(3, 4)),
        ShapeError,
        "layer (0, 0, 0) LayerNorm: expected x of shape (B, ..., 5), got (B, 3, 4). "
        "Set size=4. Or check the network's input, whose shape is (B, 3, 4).",
    ),
    (
        lambda: Residual((0, 1)),
        ConfigError,
        "Residual: expected source as (row, column, layer), got (0, 1). Name the grid "
        "position whose output is added.",
    ),
    (
        lambda: Residual((0, 0, -1)),
        ConfigError,
        "Residual: expected each value of source from 0 to 2147483647, got -1.",
    ),
    (
        lambda: stack(Elementwise(), Residual((0, 0, 1)), shape=4),
        ConfigError,
        "layer (0, 0, 1) Residual: expected a source before it, got (0, 0, 1). Data "
        "flows row by row, column by column.",
    ),
    (
        lambda: stack(Elementwise(), Residual((0, 1, 0)), shape=4),
        ConfigError,
        "layer (0, 0, 1) Residual: source (0, 1, 0): col of the grid: expected 0 to 0, "
        "got 1.",
    ),
    (
        lambda: stack(Elementwise(), Dense(4, 3), Residual((0, 0, 0)), shape=4),
        ShapeError,
        "layer (0, 0, 2) Residual: expected its source layer (0, 0, 0) Elementwise to "
        "give (B, 3) as comes before it, got (B, 4).",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED)
def test_errors_say_where_expected_got_and_what_to_do(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text
