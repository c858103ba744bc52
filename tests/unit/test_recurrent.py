"""RNN, LSTM, GRU, QRNN and SRU: what they promise beyond their formulas."""

import numpy as np
import pytest

import loom
from loom import GRU, LSTM, QRNN, RNN, SRU, ConfigError, Network, ShapeError
from loom.layers import layer_from_wire
from tests.cases import fill

KINDS = (RNN, LSTM, GRU, QRNN, SRU)
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def normal(*shape, seed=5, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def recurrent(kind, *arguments, dtype=np.float64, **fields):
    layer = kind(*arguments, **fields)
    return fill(layer, np.random.default_rng(2), dtype)


@each_kind
def test_no_step_sees_a_later_one(kind):
    layer, x = recurrent(kind, 3, 4), normal(2, 8, 3)
    later = x.copy()
    later[:, 5:] += 1
    y, changed = layer.forward(x)[0], layer.forward(later)[0]
    np.testing.assert_array_equal(y[:, :5], changed[:, :5])
    assert (y[:, 5:] != changed[:, 5:]).all()


@each_kind
def test_every_later_step_remembers_the_first(kind):
    layer, x = recurrent(kind, 3, 4), normal(1, 8, 3)
    other = x.copy()
    other[:, 0] += 1
    assert (layer.forward(x)[0] != layer.forward(other)[0]).any(axis=-1).all()


@each_kind
def test_the_last_state_is_the_last_of_the_sequence(kind):
    whole = recurrent(kind, 3, 4)
    last = kind(3, 4, return_sequences=False)
    last.parameters = whole.parameters
    x = normal(2, 7, 3)
    y, cache = whole.forward(x)
    end, end_cache = last.forward(x)
    assert end.shape == (2, 4)
    np.testing.assert_array_equal(end, y[:, -1])
    dy = np.zeros_like(y)
    dy[:, -1] = normal(2, 4)
    dx, gradients = whole.backward(dy, cache)
    end_dx, end_gradients = last.backward(dy[:, -1], end_cache)
    np.testing.assert_allclose(end_dx, dx, rtol=1e-12, atol=1e-15)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(end_gradients[name], gradient, rtol=1e-12)


@each_kind
def test_a_very_long_sequence_has_bounded_gradients(kind):
    """The framework we follow: norm 7e14 instead of 20 at 50 steps."""
    net = Network.stack(kind(4, 8, 3000), seed=1)
    x = normal(1, 3000, 4, dtype=np.float32)
    y, _ = net.forward_cpu(x)
    dx, _ = net.backward_cpu(np.ones_like(y) / y.size)
    assert np.isfinite(y).all()
    assert 0 < np.abs(dx).max() < 1
    for gradient in net.gradients()[0].values():
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() < 10


@pytest.mark.parametrize("kind", [LSTM, QRNN, SRU], ids=lambda kind: kind.__name__)
def test_a_new_cell_remembers(kind):
    layer = kind(3, 4)
    layer.initialize(1)
    parts = layer.export_weights()
    assert (parts["bias_f"] == 1).all()
    assert all(not a.any() for n, a in parts.items() if "bias" in n and n != "bias_f")
    given = kind(3, 4)
    given.set_parameter("bias", np.full(layer.parameters["bias"].shape, 0.25))
    given.initialize(1)
    assert (given.parameters["bias"] == 0.25).all()


@each_kind
def test_gates_are_drawn_within_their_fan_in(kind):
    layer = kind(64, 50)
    layer.initialize(3)
    for name, (_, fan_in) in layer.weight_shapes().items():
        array = layer.parameters[name]
        if fan_in:
            assert abs(array.var() * fan_in - 1) < 0.1, name


@each_kind
def test_files_have_each_gate_apart(kind):
    layer = recurrent(kind, 3, 4)
    parts = layer.export_weights()
    assert [row.name for row in layer.weight_rows()] == list(parts)
    assert sum(part.size for part in parts.values()) == layer.parameter_count()
    again = kind(3, 4)
    again.import_weights(parts)
    for name, array in layer.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)


def test_the_window_of_a_qrnn_ends_at_its_own_step():
    layer = QRNN(1, 1, kernel_size=3)
    layer.initialize(0, np.float64)
    layer.set_parameter("weight", np.array([[[0, 0, 1]], [[0, 0, 0]], [[0, 0, 0]]]))
    layer.set_parameter("bias", np.array([0, -50.0, 50.0]))  # forgets all, lets all out
    x = normal(1, 4, 1)
    np.testing.assert_allclose(layer.forward(x)[0], np.tanh(x), rtol=1e-12)
    layer.set_parameter("weight", np.array([[[1.0, 0, 0]], [[0, 0, 0]], [[0, 0, 0]]]))
    y = layer.forward(x)[0]
    assert not y[:, :2].any()
    np.testing.assert_allclose(y[:, 2:], np.tanh(x[:, :2]), rtol=1e-12)


def test_an_sru_whose_gate_is_shut_is_the_highway():
    layer = recurrent(SRU, 4, 4)
    layer.parameters["bias"][4:] = -50
    layer.parameters["weight"][8:] = 0
    x = normal(2, 5, 4)
    np.testing.assert_allclose(layer.forward(x)[0], x, rtol=1e-12)


def test_the_wire_and_bundles_have_the_names_of_the_original():
    assert loom.init_rnn_layer(3, 4, 2, 5) == {
        "Type": 3,
        "RNNInputSize": 3,
        "HiddenSize": 4,
        "SeqLength": 5,
        "ReturnSequences": True,
    }
    sent = recurrent(LSTM, 3, 4).wire_config()
    for gate in "ifgo":
        assert sent[f"WeightIH_{gate}"].shape == (4, 3)
        assert sent[f"WeightHH_{gate}"].shape == (4, 4)
        assert sent[f"BiasH_{gate}"].shape == (4,)
    config = loom.init_lstm_layer(3, 4, 2, 5) | {"Activation": 3}  # it says one
    assert repr(layer_from_wire(config)) == repr(LSTM(3, 4, 5))


def test_each_initialiser_gives_its_layer():
    for made, layer in (
        (loom.init_gru_layer(3, 4, 2, 5), GRU(3, 4, 5)),
        (loom.init_qrnn_layer(3, 4, kernel_size=3), QRNN(3, 4, kernel_size=3)),
        (
            loom.init_sru_layer(3, 4, 1, 5, False, "linear"),
            SRU(3, 4, 5, return_sequences=False, activation="linear"),
        ),
    ):
        assert repr(layer_from_wire(made)) == repr(layer)


def stack(layer, shape):
    return Network.stack(layer, input_shape=shape, seed=1)


REFUSED = [
    (
        lambda: RNN(0, 4),
        ConfigError,
        "RNN: expected input_size from 1 to 2147483647, got 0.",
    ),
    (lambda: LSTM(4), ConfigError, "LSTM: hidden_size is missing."),
    (
        lambda: GRU(4, -3),
        ConfigError,
        "GRU: expected hidden_size from 1 to 2147483647, got -3.",
    ),
    (
        lambda: GRU(4, 3, seq_len=5),
        ConfigError,
        "GRU: unknown field 'seq_len'. Did you mean 'seq_length'? Known: input_size, "
        "hidden_size, seq_length, return_sequences.",
    ),
    (
        lambda: QRNN(4, 3, kernel_size=0),
        ConfigError,
        "QRNN: expected kernel_size from 1 to 2147483647, got 0.",
    ),
    (
        lambda: stack(SRU(4, 3, 5), (6, 4)),
        ShapeError,
        "layer (0, 0, 0) SRU: expected x of shape (B, 5, 4), got (B, 6, 4). Set "
        "seq_length=6, or 0 for any length. Or check the network's input, whose shape "
        "is (B, 6, 4).",
    ),
    (
        lambda: stack(QRNN(4, 3), (18,)),
        ShapeError,
        "layer (0, 0, 0) QRNN: expected x of shape (B, T, 4), got (B, 18). Give it a "
        "multiple of 4 values. Or check the network's input, whose shape is (B, 18).",
    ),
    (
        lambda: layer_from_wire(loom.init_gru_layer(2, 1) | {"WeightIH_r": [1, 2]}),
        ConfigError,
        "GRU: expected every part of weight_ih, got none for weight_iz, weight_in. "
        "Give all of weight_ir, weight_iz, weight_in, or none to draw them.",
    ),
    (
        lambda: SRU(4, 4).import_weights({"weight_p": np.ones((4, 4))}),
        ConfigError,
        "SRU: unknown array 'weight_p'. Did you mean 'weight_z'? Known: weight_z, "
        "weight_f, weight_r, bias_f, bias_r.",
    ),
    (
        lambda: layer_from_wire(
            loom.init_sru_layer(2, 1)
            | {f"Weight_{part}": [1.0, 2.0] for part in "zfr"}
            | {"Weight_p": [1.0]}
        ),
        ShapeError,
        "SRU: weight_p: expected shape (1, 2), got (1,).",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED)
def test_errors_say_where_expected_got_and_what_to_do(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text
