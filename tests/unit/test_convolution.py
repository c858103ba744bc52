"""Conv2D, Conv1D and pooling: rules and refusals; the numbers are in parity."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import loom
from loom import (
    AvgPool1D,
    AvgPool2D,
    ConfigError,
    Conv1D,
    Conv2D,
    InputError,
    MaxPool1D,
    MaxPool2D,
    Network,
    ShapeError,
    linalg,
)
from loom.layers import convolution
from loom.linalg import BLOCK


def error(kind, call) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def direct(x, layer):
    """Conv2D as its formula says, in float64."""
    p, s, k = layer.padding, layer.stride, layer.kernel_size
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (p, p), (p, p)))
    w, b = layer.parameters["weight"], layer.parameters["bias"]
    y = np.empty((len(x), *layer.output_shape(x.shape[1:])))
    for h in range(y.shape[2]):
        for j in range(y.shape[3]):
            window = x[:, :, h * s : h * s + k, j * s : j * s + k]
            y[:, :, h, j] = np.einsum("ncij,fcij->nf", window, w) + b
    return y


@pytest.mark.parametrize(
    ("batch", "layer"),
    [
        (5, Conv2D(6, 5, 3, 3, 1, 1, 4, "linear")),
        (3, Conv2D(70, 64, 8, 3, 1, 1, 2, "linear")),  # strips of 56 rows and of 14
        (2, Conv2D(151, 64, 4, 9, 2, 4, 2, "linear")),  # strips of 25, last one of 1
        (8, Conv2D(32, 34, 8, 3, 1, 1, 2, "linear")),  # three a block, the last has two
        (200, Conv2D(7, 7, 8, 3, 1, 1, 3, "linear")),  # merged, a last block of 52
    ],
)
def test_blocks_of_a_batch_give_what_the_formula_gives(batch, layer):
    rng = np.random.default_rng(1)
    layer.initialize(3)
    layer.parameters["bias"] += rng.standard_normal(layer.filters, np.float32)
    x = rng.standard_normal((batch, *layer.declared_input_shape()), np.float32)
    y, cache = layer.forward(x)
    np.testing.assert_allclose(y, direct(x, layer), atol=1e-4)
    # Backward is linear in dy: the batch's gradients are the sums of the samples'.
    dy = rng.standard_normal(y.shape, np.float32)
    dx, gradients = layer.backward(dy, cache)
    total = {name: np.zeros(g.shape) for name, g in gradients.items()}
    for i in range(batch):
        one, cache = layer.forward(x[i : i + 1])
        np.testing.assert_allclose(one, y[i : i + 1], atol=1e-5)
        part, found = layer.backward(dy[i : i + 1], cache)
        np.testing.assert_allclose(part, dx[i : i + 1], atol=1e-4)
        for name, g in found.items():
            total[name] += g
    for name, g in gradients.items():
        np.testing.assert_allclose(g, total[name], rtol=1e-4, atol=2e-3)


def test_the_blocks_above_are_what_they_are_said_to_be():
    assert BLOCK // (8 * 9 * 64) == 56
    assert BLOCK // (4 * 81 * 32) == 25
    assert Conv2D(151, 64, 4, 9, 2, 4, 2).output_shape(()) == (2, 76, 32)
    assert BLOCK // (8 * 9 * 32 * 34) == 3
    assert BLOCK // (8 * 9 * 7 * 7) == 74
    assert 7 * 7 < linalg._MERGE <= 8 * 8


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((90_001, 2), Conv1D(2, 3, 5, 2, 2, activation="linear")),
        ((70_000, 1), Conv1D(1, 2, 4, causal=True, activation="linear")),
        ((2, 150, 131), Conv2D(150, 131, 2, 5, 1, 6, 2, "linear")),
    ],
)
def test_strips_of_a_large_sample_fit_together(shape, layer, monkeypatch):
    """As the whole at once; and <dy, A u> = <A' dy, u> for any step u."""
    rng = np.random.default_rng(2)
    layer.initialize(1, np.float64)
    x, step = rng.standard_normal((2, 1, *shape))
    y, cache = layer.forward(x)
    dy = rng.standard_normal(y.shape)
    dx, gradients = layer.backward(dy, cache)
    moved = layer.forward(x + step)[0] - y
    with monkeypatch.context() as patch:
        patch.setattr(convolution, "BLOCK", 1 << 30)
        np.testing.assert_allclose(layer.forward(x)[0], y, atol=1e-12)
    np.testing.assert_allclose((dy * moved).sum(), (dx * step).sum(), rtol=1e-9)
    for name, gradient in gradients.items():
        step = rng.standard_normal(gradient.shape)
        layer.parameters[name] += step
        moved = layer.forward(x)[0] - y
        layer.parameters[name] -= step
        np.testing.assert_allclose(
            (dy * moved).sum(), (gradient * step).sum(), rtol=1e-9
        )


def test_the_wire_has_the_names_of_the_original():
    config = loom.init_conv2d_layer(28, 26, 1, 3, 2, 1, 8, "tanh")
    assert config == {
        "Type": 1,
        "InputHeight": 28,
        "InputWidth": 26,
        "InputChannels": 1,
        "KernelSize": 3,
        "Stride": 2,
        "Padding": 1,
        "Filters": 8,
        "Activation": 2,
        "OutputHeight": 14,
        "OutputWidth": 13,
    }
    net = Network(28 * 26, 1, 1, 1, seed=1)
    net.set_layer(0, 0, 0, config | {"Kernel": np.ones(72), "Bias": [0.5] * 8})
    assert (net.parameters()[0]["weight"] == 1).all()
    assert net.forward_cpu(np.zeros(28 * 26))[0].shape == (8 * 14 * 13,)


def test_causal_sees_nothing_after():
    net = Network.stack(Conv1D(2, 3, 4, causal=True, seq_length=9), seed=1)
    x = np.random.default_rng(0).standard_normal((1, 9, 2))
    before, _ = net.forward_cpu(x)
    x[0, 5:] += 1
    after, _ = net.forward_cpu(x)
    assert after.shape == (1, 9, 3)
    np.testing.assert_array_equal(after[0, :5], before[0, :5])
    assert (after[0, 5] != before[0, 5]).any()


def test_the_first_of_equal_values_gets_the_gradient():
    layer = MaxPool2D(2)
    _, cache = layer.forward(np.ones((1, 1, 2, 4), np.float32))
    dx, _ = layer.backward(np.array([[[[3, 5]]]], np.float32), cache)
    assert dx.tolist() == [[[[3, 0, 5, 0], [0, 0, 0, 0]]]]


def test_what_the_stride_leaves_over_is_not_looked_at():
    x = np.arange(5, dtype=np.float32).reshape(1, 5, 1)
    y, cache = MaxPool1D(2).forward(x)
    assert y.ravel().tolist() == [1, 3]
    dx, _ = MaxPool1D(2).backward(y, cache)
    assert dx.ravel().tolist() == [0, 1, 0, 3, 0]


def test_padding_counts_in_means_and_never_wins_a_maximum():
    x = np.full((1, 1, 2, 2), -4.0, np.float32)
    assert AvgPool2D(2, 2, 1).forward(x)[0].tolist() == [[[[-1, -1], [-1, -1]]]]
    assert MaxPool2D(2, 2, 1).forward(x)[0].tolist() == [[[[-4, -4], [-4, -4]]]]


@pytest.mark.parametrize("kind", [MaxPool2D, AvgPool2D])
def test_global_pooling(kind):
    net = Network.stack(kind(0), input_shape=(3, 4, 5), seed=1)
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    expected = x.max((2, 3)) if kind is MaxPool2D else x.mean((2, 3))
    y, _ = net.forward_cpu(x)
    assert y.shape == (2, 3, 1, 1)
    np.testing.assert_allclose(y[:, :, 0, 0], expected, rtol=1e-5, atol=1e-6)


def test_images_of_one_channel_need_no_channel_axis():
    net = Network.stack(Conv2D(4, 5, 1, 3), input_shape=(4, 5), seed=1)
    assert net.forward_cpu(np.ones((2, 4, 5)))[0].shape == (2, 1, 2, 3)


REFUSED = [
    (
        lambda: Conv2D(4, 9, 1, 7, 1, 1, 2),
        ConfigError,
        "Conv2D: expected kernel_size of at most 6, the smaller side of an image of "
        "4 x 9 with padding 1, got 7. Use a smaller kernel or more padding.",
    ),
    (
        lambda: Conv2D(0, 9, 1, 3),
        ConfigError,
        "Conv2D: expected input_height from 1 to 2147483647, got 0.",
    ),
    (
        lambda: Conv2D(8, 8, 1, 3, -1),
        ConfigError,
        "Conv2D: expected stride from 1 to 2147483647, got -1.",
    ),
    (
        lambda: Conv2D(8, 8, 1, 3, 1, -1),
        ConfigError,
        "Conv2D: expected padding from 0 to 2147483647, got -1.",
    ),
    (
        lambda: Conv2D(8, 8, 1, 2.5),
        ConfigError,
        "Conv2D: expected kernel_size as int, got 2.5 (float).",
    ),
    (
        lambda: Conv2D(8, 8, 1, 3, 1, 2**20, 1),
        ConfigError,
        "Conv2D: one sample has 4,398,080,065,600 values; at most 2,147,483,647 are "
        "possible. Use less padding or fewer filters.",
    ),
    (
        lambda: loom.layers.layer_from_wire(
            loom.init_conv2d_layer(8, 8, 1, 3, 1, 0, 2) | {"OutputHeight": 7}
        ),
        ConfigError,
        "Conv2D: expected output_height 6 as the other fields give, got 7. Leave it "
        "out, or correct them.",
    ),
    (
        lambda: loom.layers.layer_from_wire(
            loom.init_conv2d_layer(8, 8, 1, 3, 1, 0, 2) | {"Kernel": np.ones((2, 9))}
        ),
        ShapeError,
        "Conv2D: weight: expected shape (2, 1, 3, 3), got (2, 9).",
    ),
    (
        lambda: loom.layers.layer_from_wire(
            loom.init_conv2d_layer(8, 8, 1, 3, 1, 0, 2) | {"Bias": [1, np.inf]}
        ),
        InputError,
        "Conv2D: bias: has a NaN or an infinity.",
    ),
    (
        lambda: Network.stack(Conv2D(8, 8, 3, 3), input_shape=(8, 8, 3)),
        ShapeError,
        "layer (0, 0, 0) Conv2D: expected x of shape (B, 3, 8, 8), got (B, 8, 8, 3). "
        "Set input_channels=8, input_height=8, input_width=3. Or check the network's "
        "input, whose shape is (B, 8, 8, 3).",
    ),
    (
        lambda: Network.stack(Conv2D(8, 8, 3, 3), input_shape=63),
        ShapeError,
        "layer (0, 0, 0) Conv2D: expected x of shape (B, 3, 8, 8), got (B, 63). "
        "Give it 192 values. Or check the network's input, whose shape is (B, 63).",
    ),
    (
        lambda: Conv1D(4, 2, 3, padding=1, causal=True),
        ConfigError,
        "Conv1D: expected padding 0 with causal, which pads with kernel_size - 1 zeros "
        "in front, got 1. Leave one of them out.",
    ),
    (
        lambda: Conv1D(4, 2, 6, padding=1, seq_length=3),
        ConfigError,
        "Conv1D: expected kernel_size of at most 5, a sequence of 3 with padding 1, "
        "got 6. Use a smaller kernel or more padding.",
    ),
    (
        lambda: Network.stack(Conv1D(4, 2, 6), input_shape=(3, 4)),
        ShapeError,
        "layer (0, 0, 0) Conv1D: expected kernel_size of at most 3, a sequence of 3 "
        "with padding 0, got 6. Use a smaller kernel or more padding. Or check the "
        "network's input, whose shape is (B, 3, 4).",
    ),
    (
        lambda: Network.stack(Conv1D(4, 2, 2, seq_length=5), input_shape=(3, 4)),
        ShapeError,
        "layer (0, 0, 0) Conv1D: expected x of shape (B, 5, 4), got (B, 3, 4). Set "
        "seq_length=3, or 0 for any length. Or check the network's input, whose shape "
        "is (B, 3, 4).",
    ),
    (
        lambda: MaxPool2D(-1),
        ConfigError,
        "MaxPool2D: expected kernel_size from 0 to 2147483647, got -1.",
    ),
    (
        lambda: AvgPool2D(3, 1, 2),
        ConfigError,
        "AvgPool2D: expected padding of at most 1, half of kernel_size 3, got 2: a "
        "window may not lie in the padding alone.",
    ),
    (
        lambda: AvgPool1D(0, 2),
        ConfigError,
        "AvgPool1D: expected stride 0 and padding 0 with kernel_size 0 (the whole "
        "axis), got 2 and 0.",
    ),
    (
        lambda: Network.stack(MaxPool2D(4, 1, 1), input_shape=(3, 9, 1)),
        ShapeError,
        "layer (0, 0, 0) MaxPool2D: expected kernel_size of at most 3, width 1 with "
        "padding 1, got 4. Use a smaller window, or 0 for the whole. Or check the "
        "network's input, whose shape is (B, 3, 9, 1).",
    ),
    (
        lambda: Network.stack(MaxPool1D(4), input_shape=(3, 2)),
        ShapeError,
        "layer (0, 0, 0) MaxPool1D: expected kernel_size of at most 3, length 3 with "
        "padding 0, got 4. Use a smaller window, or 0 for the whole. Or check the "
        "network's input, whose shape is (B, 3, 2).",
    ),
    (
        lambda: Network.stack(MaxPool2D(2), input_shape=(64,)),
        ShapeError,
        "layer (0, 0, 0) MaxPool2D: expected x of shape (B, C, H, W), got (B, 64). "
        "Reshape it first. Or check the network's input, whose shape is (B, 64).",
    ),
    (
        lambda: Network.stack(AvgPool1D(2**31 - 1, 1, 2**30 - 1), input_shape=(9, 2)),
        ShapeError,
        "layer (0, 0, 0) AvgPool1D: one sample has 4,294,967,310 values; at most "
        "2,147,483,647 are possible. Use less padding. Or check the network's input, "
        "whose shape is (B, 9, 2).",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED)
def test_errors_say_where_expected_got_and_what_to_do(call, kind, text):
    assert error(kind, call) == text


def test_threads_that_predict_at_once_do_not_meet():
    """NumPy lets others run meanwhile; what a pass works in is its own."""
    net = Network.stack(Conv2D(40, 40, 3, 3, 1, 1, 8), Conv2D(40, 40, 8, 3, 1, 1, 8))
    batches = np.random.default_rng(0).standard_normal((24, 4, 3, 40, 40), np.float32)
    expected = [net.forward(x) for x in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(net.forward, batches))
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))]
)
def test_copies_made_after_a_pass_predict_the_same(copied):
    net = Network.stack(Conv2D(9, 9, 2, 3, 1, 1, 3), input_shape=(2, 9, 9), seed=1)
    x, other = np.random.default_rng(0).standard_normal((2, 4, 2, 9, 9), np.float32)
    net.forward(x)
    again = copied(net)
    np.testing.assert_array_equal(again.forward(other), net.forward(other))
