"""What a stranger gets wrong meets an error of ours that says what to do."""

from collections.abc import Callable

import numpy as np
import pytest

import loom
from loom import ConfigError, Dense, FormatError, InputError, LoomError, Network
from loom.training import TrainingConfig

X = np.arange(20, dtype=np.float32).reshape(5, 4) / 20


def chain() -> Network:
    return Network.stack(Dense(4, 8), Dense(8, 3, "linear"), seed=1)


def message(kind: type[LoomError], call: Callable) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    "inputs",
    [
        X + 1j,
        [["1", "2", "3", "4"]],
        X.astype(str),
        np.zeros((5, 4), "datetime64[D]"),
        [[10**400] * 4],
        np.ma.masked_less(X, 0.5),
        [[None] * 4],
    ],
    ids=["complex", "text", "text array", "dates", "huge", "masked", "none"],
)
def test_only_numbers_are_numbers(inputs):
    net = chain()
    message(InputError, lambda: net.forward_cpu(inputs))
    message(InputError, lambda: net.train((X, inputs)))
    config = loom.init_dense_layer(4, 5) | {"Kernel": inputs}
    message(LoomError, lambda: net.set_layer(0, 0, 0, config))


def test_arrays_of_other_kinds_are_taken_by_value():
    net = chain()
    y = net.forward_cpu(X)[0]
    readonly = X.copy()
    readonly.flags.writeable = False
    kinds = [X.tolist(), X.astype(float), np.asfortranarray(X), readonly]
    kinds += [
        memoryview(X),
        np.ma.array(X),
        X.astype(">f4"),
        np.repeat(X, 2, 1)[:, ::2],
    ]
    for inputs in kinds:
        got = net.forward_cpu(inputs)[0]
        assert type(got) is np.ndarray
        np.testing.assert_allclose(got, y, rtol=1e-6, atol=1e-7)


def test_a_shape_is_named_once():
    text = message(loom.ShapeError, lambda: chain().forward_cpu(X[:0]))
    assert text == (
        "forward_cpu: expected x of shape (B, 4), at least one sample, got (0, 4)."
    )


@pytest.mark.parametrize("size", [0, -1, 1.5, "3", None, True])
def test_batch_size_is_checked_when_it_is_set(size):
    net = chain()
    with pytest.raises(ConfigError, match="batch_size: expected"):
        net.batch_size = size
    assert net.batch_size == 1


@pytest.mark.parametrize("rate", ["0.1", None, [1], 10**400, 1e300, float("nan")])
def test_a_rate_is_a_finite_number(rate):
    net = chain()
    net.forward_cpu(X)
    net.backward_cpu(np.ones((5, 3)))
    assert "update_weights: expected" in message(
        InputError, lambda: net.update_weights(rate)
    )


@pytest.mark.parametrize("layer", [Dense, 3, [Dense(4, 3)], {"type": "dense"}])
def test_a_stack_is_of_layers(layer):
    text = message(ConfigError, lambda: Network.stack(Dense(4, 4), layer))
    assert text.startswith("Network.stack: expected a layer as argument 1, got ")


@pytest.mark.parametrize("shape", ["a", 4.5, (), (4, "a"), (0,), None, [[4]]])
def test_a_sample_has_sizes(shape):
    text = message(ConfigError, lambda: Network.from_layers([Dense(4, 3)], shape))
    assert text.startswith("Network: input_shape: expected")


def test_a_sample_shape_may_be_one_number_of_any_kind():
    for shape in (4, np.int64(4), 4.0, [4], np.array([4])):
        net = Network.stack(Dense(4, 3), input_shape=shape, seed=1)
        assert net.input_shape == (4,)
        assert loom.load_model_from_string(net.save_model_to_string())


@pytest.mark.parametrize("path", [None, 3, "a\0b", b"model.json", ""])
def test_a_path_is_a_path(path):
    net = chain()
    if path != b"model.json":
        message(InputError, lambda: net.save_model(path))
    message(FormatError, lambda: loom.load_model(path))


@pytest.mark.parametrize("text", [None, 3, [], b"\xff"])
def test_a_bundle_is_text(text):
    assert message(FormatError, lambda: loom.load_model_from_string(text))


@pytest.mark.parametrize("models", [{}, [chain()], chain(), None])
def test_a_bundle_is_of_networks_by_id(models, tmp_path):
    path = tmp_path / "bundle.json"
    text = message(InputError, lambda: loom.save_bundle(models, path))
    assert text.startswith("save_bundle: expected networks by id")
    assert not path.exists()


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "notes.json"
    path.write_text("no model")
    text = message(FormatError, lambda: loom.load_model(path))
    assert text.startswith(f"{path}: bundle: not valid JSON")


def test_layers_that_do_not_fit_are_not_saved(tmp_path):
    net = Network(4, 1, 1, 3, seed=1)
    net.set_layer(0, 0, 0, Dense(4, 8))
    net.set_layer(0, 0, 2, Dense(9, 3))
    path = tmp_path / "model.json"
    assert "expected x of shape (B, 9)" in message(
        loom.ShapeError, lambda: net.save_model(path)
    )
    assert not path.exists()


def test_a_callback_is_a_function():
    net = chain()
    before = net.get_layer(0, 0, 0).parameters["weight"].copy()
    config = TrainingConfig(epochs=1)
    data = (X, np.zeros((5, 3)))
    text = message(ConfigError, lambda: net.train(data, config, 3))
    assert text.startswith("train: expected a function of an event as the callback")
    np.testing.assert_array_equal(net.get_layer(0, 0, 0).parameters["weight"], before)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "qrnn", "sru"])
@pytest.mark.parametrize("size", [0, -2, "two"])
def test_a_recurrent_layer_refuses_a_batch_of_no_size(name, size):
    init = getattr(loom, f"init_{name}_layer")
    text = message(ConfigError, lambda: init(4, 8, size, 5))
    assert text.startswith(f"{name.upper()}: expected batch_size ")


def test_arrays_are_replaced_by_arrays_of_their_shape():
    net = chain()
    parameters = net.get_layer(0, 0, 0).parameters
    before = parameters["weight"]

    def replace(name, value):
        return lambda: parameters.__setitem__(name, value)

    for wrong in (np.zeros((8, 4)), np.zeros(31), 3, None):
        text = message(loom.ShapeError, replace("weight", wrong))
        assert text.startswith("weight: expected shape (4, 8), got ")
    message(InputError, replace("weight", "a"))
    assert parameters["weight"] is before
    parameters["weight"] = np.ones((4, 8)).tolist()
    assert parameters["weight"].dtype == np.float32
    parameters["bias"] = np.ones(8)
    y = net.forward_cpu(X)[0]
    assert y.dtype == np.float32
    again = loom.load_model_from_string(net.save_model_to_string())
    np.testing.assert_array_equal(again.forward_cpu(X)[0], y)
    assert net.astype(np.float64).forward_cpu(X)[0].dtype == np.float64
