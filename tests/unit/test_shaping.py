"""Flatten, Reshape, Dropout, BatchNorm and Embedding: rules and refusals."""

import numpy as np
import pytest

import loom
from loom import (
    BatchNorm,
    ConfigError,
    Conv2D,
    Dense,
    Dropout,
    Elementwise,
    Embedding,
    Flatten,
    InputError,
    Network,
    Reshape,
    ShapeError,
    random,
)
from loom.layers import Run


def error(kind, call) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_each_value_of_a_mask_comes_from_its_own_place():
    """What a GPU does: one counter, one word, for one element alone."""
    layer = Dropout(0.3)
    layer.index = 5
    run = Run(training=True, seed=2**33 + 7, step=11)
    mask = layer.mask(1003, run)
    key = (run.seed & 0xFFFFFFFF, run.seed >> 32)
    for i in (0, 1, 2, 3, 4, 500, 1001, 1002):
        word = random.philox(key, i // 4, 11, 5, random.DROPOUT)[i % 4]
        assert mask[i] == (int(word) >> 8 >= 0.3 * 2**24)
    assert abs((~mask).mean() - 0.3) < 0.05


def test_a_mask_is_the_same_as_the_comparison_of_uniform_numbers():
    for rate in (0.1, 0.5, 1 / 3, 2**-24, 1 - 2**-24):
        u = random.uniform(3, 4096, step=1, stream=2, purpose=random.DROPOUT)
        mask = random.uniform_at_least(
            rate, 3, 4096, step=1, stream=2, purpose=random.DROPOUT
        )
        np.testing.assert_array_equal(mask, u.astype(np.float64) >= rate)


def test_masks_change_with_step_and_layer_and_not_with_the_batch_size():
    one, two = Dropout(0.5), Dropout(0.5)
    two.index = 1
    base = one.mask(64, Run(True, 1, 0))
    assert (base != one.mask(64, Run(True, 1, 1))).any()
    assert (base != two.mask(64, Run(True, 1, 0))).any()
    np.testing.assert_array_equal(base, one.mask(640, Run(True, 1, 0))[:64])


def test_dropout_is_off_in_evaluation_and_on_in_training():
    net = Network.stack(Dropout(0.25), input_shape=4000, seed=9)
    x = np.ones((1, 4000), np.float32)
    np.testing.assert_array_equal(net.forward_cpu(x)[0], x)
    first, second = net.forward(x, training=True), net.forward(x, training=True)
    assert set(np.unique(first)) == {0, np.float32(4 / 3)}
    assert (first != second).any()
    np.testing.assert_array_equal(net.backward(x), second)
    assert abs(second.mean() - 1) < 0.05


def test_batch_norm_learns_its_statistics_in_training_alone():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (50, 4)).astype(np.float32)
    net = Network.stack(BatchNorm(4, momentum=0.5), input_shape=4, seed=0)
    state = net.get_layer(0, 0, 0).state
    net.forward_cpu(x)
    assert (state["running_mean"] == 0).all()
    assert (state["running_var"] == 1).all()
    y = net.forward(x, training=True)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-4)
    np.testing.assert_allclose(state["running_mean"], x.mean(0) / 2, rtol=1e-5)
    wanted = 0.5 + x.var(0, ddof=1) / 2
    np.testing.assert_allclose(state["running_var"], wanted, rtol=1e-5)


def test_the_channel_axis_is_the_last_but_in_images_the_first():
    rng = np.random.default_rng(0)
    for shape, axes in [((4,), 0), ((5, 4), (0, 1)), ((4, 3, 3), (0, 2, 3))]:
        x = rng.normal(2, 3, (30, *shape)).astype(np.float32)
        net = Network.stack(BatchNorm(4), input_shape=shape, seed=0)
        y = net.forward(x, training=True)
        np.testing.assert_allclose(y.mean(axes), 0, atol=1e-5)
        np.testing.assert_allclose(y.std(axes), 1, atol=1e-3)


def test_training_moves_saved_statistics_and_evaluation_reads_them():
    rng = np.random.default_rng(1)
    x = rng.normal(5, 3, (64, 6)).astype(np.float32)
    t = (x[:, :2] > 5).astype(np.float32)
    layers = BatchNorm(6), Dense(6, 8, "tanh"), Dropout(0.1), Dense(8, 2, "sigmoid")
    net = Network.stack(*layers, input_shape=6, seed=2)
    net.train((x, t), {"Epochs": 40, "BatchSize": 16, "LearningRate": 0.5})
    state = net.get_layer(0, 0, 0).state
    np.testing.assert_allclose(state["running_mean"], x.mean(0), atol=0.5)
    np.testing.assert_allclose(state["running_var"], x.var(0), rtol=0.3)
    kept = {name: value.copy() for name, value in state.items()}
    net.evaluate_network(x, t)
    assert all((state[name] == value).all() for name, value in kept.items())
    assert ((net.forward_cpu(x)[0] > 0.5) == t).mean() > 0.9


def test_embedding_gives_rows_and_sums_their_gradients():
    net = Network.stack(Embedding(5, 3), input_shape=4, seed=1)
    w = net.parameters()[0]["weight"]
    y, _ = net.forward_cpu([[4, 0, 4, 2]])
    np.testing.assert_array_equal(y, w[[[4, 0, 4, 2]]])
    dx, _ = net.backward_cpu(np.arange(12, dtype=np.float32).reshape(1, 4, 3))
    assert dx.tolist() == [[0, 0, 0, 0]]
    expected = [[3, 4, 5], [0, 0, 0], [9, 10, 11], [0, 0, 0], [6, 8, 10]]
    assert net.gradients()[0]["weight"].tolist() == expected


def test_a_shape_with_a_rest():
    net = Network.stack(Reshape((-1, 2, 3)), Flatten(), input_shape=24, seed=1)
    assert net.shapes() == [(24,), (4, 2, 3), (24,)]
    x = np.arange(48, dtype=np.float32).reshape(2, 24)
    np.testing.assert_array_equal(net.forward_cpu(x)[0], x)


def forward(layer, x):
    shape = np.shape(x)[1:]
    return Network.stack(layer, input_shape=shape, seed=1).forward_cpu(x)


REFUSED = [
    (
        lambda: forward(Embedding(7, 2), [[1, 2], [3.5, 0]]),
        InputError,
        "layer (0, 0, 0) Embedding: expected whole token ids from 0 to 6, got 3.5 at "
        "index (1, 0). Set vocabulary_size, or check the tokens.",
    ),
    (
        lambda: forward(Embedding(7, 2), [[-1, 7]]),
        InputError,
        "layer (0, 0, 0) Embedding: expected whole token ids from 0 to 6, got -1.0 at "
        "index (0, 0). Set vocabulary_size, or check the tokens.",
    ),
    (
        lambda: forward(Embedding(7, 2), [[3e38]]),
        InputError,
        "layer (0, 0, 0) Embedding: expected whole token ids from 0 to 6, got "
        f"{np.float32(3e38)} at index (0, 0). Set vocabulary_size, or check the "
        "tokens.",
    ),
    (
        lambda: Embedding(2**24 + 1, 4),
        ConfigError,
        "Embedding: expected vocabulary_size from 1 to 16777216, got 16777217.",
    ),
    (
        lambda: Dropout(1),
        ConfigError,
        "Dropout: expected rate from 0 to below 1, got 1.0. It is the share of values "
        "that are set to zero.",
    ),
    (
        lambda: Dropout(-0.1),
        ConfigError,
        "Dropout: expected rate from 0.0 to 1.0, got -0.1.",
    ),
    (
        lambda: Reshape((2, 0)),
        ConfigError,
        "Reshape: expected shape as sizes of at least 1, one of which may be -1, got "
        "[2, 0].",
    ),
    (
        lambda: Reshape((-1, -1)),
        ConfigError,
        "Reshape: expected shape as sizes of at least 1, one of which may be -1, got "
        "[-1, -1].",
    ),
    (
        lambda: Reshape((2, 1.5)),
        ConfigError,
        "Reshape: expected each value of shape as int, got 1.5 (float).",
    ),
    (
        lambda: Reshape(6),
        ConfigError,
        "Reshape: expected shape as a list of whole numbers, got 6 (int).",
    ),
    (
        lambda: Network.stack(Reshape((4, -1)), input_shape=(3, 2)),
        ShapeError,
        "layer (0, 0, 0) Reshape: expected x of a multiple of 4 values for shape [4, "
        "-1], got (B, 3, 2), which is 6. Or check the network's input, whose shape is "
        "(B, 3, 2).",
    ),
    (
        lambda: Network.stack(BatchNorm(4), input_shape=(3, 4, 4)),
        ShapeError,
        "layer (0, 0, 0) BatchNorm: expected x of shape (B, 4), (B, T, 4) or (B, 4, H, "
        "W), got (B, 3, 4, 4). Set size=3. Or check the network's input, whose shape "
        "is (B, 3, 4, 4).",
    ),
    (
        lambda: loom.layers.layer_from_wire(
            loom.init_batch_norm_layer(2) | {"RunningVar": [1, -0.5]}
        ),
        InputError,
        "BatchNorm: running_var: expected variances of 0 or more, got -0.5. The file "
        "is damaged, or another array was taken for it.",
    ),
    (
        lambda: BatchNorm(4, epsilon=0),
        ConfigError,
        "BatchNorm: expected epsilon from 1e-12 to 1.0, got 0.0.",
    ),
    (
        lambda: Network.stack(BatchNorm(4), input_shape=4, seed=1).forward(
            np.ones((1, 4), np.float32), training=True
        ),
        ShapeError,
        "layer (0, 0, 0) BatchNorm: expected at least 2 values of each channel in "
        "training, got 1 (x of shape (1, 4)). Choose a batch size that leaves no batch "
        "of one.",
    ),
]


def test_a_refused_pass_leaves_nothing_to_go_back_through():
    net = Network.stack(Embedding(5, 2), Dense(2, 1), input_shape=3, seed=1)
    net.forward_cpu([[0, 1, 2]])
    with pytest.raises(InputError):
        net.forward_cpu([[0, 1, 9]])
    with pytest.raises(ConfigError, match="run forward_cpu first"):
        net.backward_cpu(np.ones((1, 3, 1)))


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED)
def test_errors_say_where_expected_got_and_what_to_do(call, kind, text):
    assert error(kind, call) == text


def mixed(seed=4):
    """Images through every family of this file on a grid of 2 x 2 x 3."""
    layers = [
        Reshape((1, 8, 8)),
        Conv2D(8, 8, 1, 3, 1, 1, 4, "silu"),
        BatchNorm(4),
        loom.MaxPool2D(2),
        Dropout(0.2),
        Reshape((4, 16)),
        loom.Conv1D(16, 6, 2, causal=True, activation="tanh"),
        loom.AvgPool1D(2),
        BatchNorm(6),
        loom.LSTM(6, 5),
        Flatten(),
        Dense(10, 3, "softmax"),
    ]
    return Network.from_layers(layers, (64,), 2, 2, 3, seed=seed)


def test_a_mixed_network_trains_and_keeps_its_predictions_through_a_file():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((40, 64)).astype(np.float32)
    t = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 40)]
    net = mixed()
    config = {"Epochs": 60, "BatchSize": 20, "LearningRate": 0.01, "Optimizer": "adam"}
    result = net.train((x, t), config)
    assert result.final_loss < 0.5 * result.loss_history[0]
    again = loom.load_model_from_string(net.save_model_to_string())
    for old, new in zip(net.layers, again.layers, strict=True):
        for kept, read in ((old.parameters, new.parameters), (old.state, new.state)):
            assert kept.keys() == read.keys()
            for name, array in kept.items():
                assert array.tobytes() == read[name].tobytes(), name
    expected, _ = net.forward_cpu(x)
    assert again.forward_cpu(x)[0].tobytes() == expected.tobytes()
    assert again.shapes() == net.shapes()


def test_a_mixed_network_goes_over_the_wire():
    net = mixed()
    x = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    net.forward(x, training=True)
    again = Network(64, 2, 2, 3, seed=0)
    for index, layer in enumerate(net.layers):
        again.set_layer(*net.position(index), layer.wire_config())
    assert again.forward_cpu(x)[0].tobytes() == net.forward_cpu(x)[0].tobytes()


def test_a_neighbour_that_does_not_fit_is_named():
    net = Network.from_layers([Conv2D(8, 8, 1, 3), Elementwise()], (64,), seed=0)
    assert error(ShapeError, lambda: net.set_layer(0, 0, 1, BatchNorm(5))) == (
        "layer (0, 0, 1) BatchNorm: expected x of shape (B, 5), (B, T, 5) or (B, 5, H, "
        "W), got (B, 1, 6, 6). Set size=1. Or check layer (0, 0, 0) Conv2D, whose "
        "output is (B, 1, 6, 6)."
    )
