"""What each function replies, in this interpreter, beside the Python core itself."""

import json

import numpy as np
import pytest

import loom
from loom import introspection
from loom.training import Trainer


@pytest.fixture
def net(api):
    handle = api.network(3, 4, 2)
    yield handle
    api.free(handle)


@pytest.fixture
def twin():
    """The same network in Python."""
    layers = [loom.Dense(3, 4, "sigmoid"), loom.Dense(4, 2, "sigmoid")]
    return loom.Network.stack(*layers, seed=7)


X = np.array([[0.25, -1, 3], [2, 0.5, -0.125]], np.float32)


def test_new_network(api):
    reply = api.text("NewNetwork", 784, 2, 1, 1, False)
    assert api.free(reply.pop("handle")) == 0
    assert reply == {
        "type": "Network",
        "input_size": 784,
        "grid_rows": 2,
        "grid_cols": 1,
        "layers_cell": 1,
        "total_layers": 2,
        "gpu": False,
        "gpu_init_ms": 0,
    }


def test_the_library_shares_this_interpreter(api, net):
    from loom.cabi import handles

    with handles.network(net) as entry:
        assert isinstance(entry.net, loom.Network)


def test_replies_are_compact_json(api, net):
    """Programs look for `"handle":1` in the text."""
    assert api.raw("GetInfo", net).startswith(b'{"type":"Network","kind":')


def test_info_methods_and_signatures(api, net):
    info = api.text("GetInfo", net)
    assert info["handle"] == net
    assert info["methods"] == len(introspection.methods())
    assert (info["batch_size"], info["total_layers"]) == (1, 2)
    methods = api.text("ListMethods", net)
    assert methods["count"] == len(methods["methods"]) == info["methods"]
    forward = api.text("GetMethodSignature", net, b"ForwardCPU")
    assert forward in methods["methods"]
    assert forward["parameters"] == ["float32[]"]
    assert forward["signature"] == "ForwardCPU(inputs: float32[]) -> (float32[], int)"


def test_version(api):
    assert api.raw("GetVersion").decode() == loom.__version__


def test_layers_come_back_as_they_went(api, net):
    layer = api.raw("GetLayer", net, 0, 0, 1)
    assert json.loads(layer)["InputHeight"] == 4
    before = api.call(net, "ForwardCPU", [1, 2, 3])[0]
    assert api.text("SetLayer", net, 0, 0, 1, layer) == {"status": "layer set"}
    assert api.call(net, "ForwardCPU", [1, 2, 3])[0] == before


def test_forward_and_backward_are_the_cores(api, net, twin):
    y = api.run("Loom_ForwardF32", net, X, 4)
    np.testing.assert_array_equal(y.reshape(2, 2), twin.forward_cpu(X)[0])
    dy = np.array([[1, -1], [0.5, 2]], np.float32)
    dx = api.run("Loom_BackwardF32", net, dy, 6)
    np.testing.assert_array_equal(dx.reshape(2, 3), twin.backward_cpu(dy)[0])
    gradients = api.call(net, "KernelGradients")[0]
    for mine, theirs in zip(gradients, twin.kernel_gradients(), strict=True):
        np.testing.assert_array_equal(np.float32(mine), theirs)


def test_the_callers_array_may_change_after_the_call(api, net, twin):
    x = X.copy()
    api.run("Loom_ForwardF32", net, x, 4)
    x[:] = 99
    twin.forward_cpu(X)
    dy = np.ones((2, 2), np.float32)
    api.run("Loom_BackwardF32", net, dy, 6)
    twin.backward_cpu(dy)
    np.testing.assert_array_equal(
        np.float32(api.call(net, "KernelGradients")[0][0]), twin.kernel_gradients()[0]
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"LearningRate": 0.1, "LossType": "mae"},
        {"Optimizer": "adam", "LearningRate": 0.02},
        {"Momentum": 0.9, "Nesterov": True, "GradientClip": 0.1},
    ],
)
def test_training_steps_are_those_of_train(api, net, twin, settings):
    targets = np.array([[0, 1], [1, 0]], np.float32)
    text = json.dumps(settings) if settings else None
    losses = [api.train(net, X, targets, text) for _ in range(5)]
    config = {"Epochs": 5, "BatchSize": 2, "Shuffle": False} | settings
    trainer = Trainer(twin, (X, targets), config)
    expected = [event.loss for event in trainer.run() if event.kind == "epoch"]
    np.testing.assert_allclose(losses, np.float32(expected), rtol=1e-6)
    np.testing.assert_array_equal(
        api.run("Loom_ForwardF32", net, X, 4).reshape(2, 2), twin.forward_cpu(X)[0]
    )


def test_class_indices_train(api):
    net = api.network(3, 2)
    settings = '{"LossType": "softmax_cross_entropy", "LearningRate": 1}'
    losses = [api.train(net, X, [0, 1], settings) for _ in range(50)]
    assert losses[-1] < 0.5 * losses[0]
    api.free(net)


def test_a_new_layer_begins_the_optimizer_anew(api, net):
    settings = '{"Optimizer": "adam"}'
    assert api.train(net, X, np.ones((2, 2)), settings) > 0
    config = api.raw("InitDenseLayer", 4, 3, 1)
    api.text("SetLayer", net, 0, 0, 1, config)
    assert api.train(net, X, np.ones((2, 3)), settings) > 0


def test_save_and_load_keep_every_bit(api, net):
    bundle = api.raw("SaveModel", net, b"mine")
    assert json.loads(bundle)["models"][0]["id"] == "mine"
    again = api.text("LoadModel", bundle, b"mine")["handle"]
    first = api.text("LoadModel", bundle, None)["handle"]
    y = api.run("Loom_ForwardF32", net, X, 4)
    for handle in (again, first):
        np.testing.assert_array_equal(api.run("Loom_ForwardF32", handle, X, 4), y)
        assert api.free(handle) == 0
    assert json.loads(api.raw("SaveModel", net, None))["models"][0]["id"] == "model"


def test_functions_without_a_network(api):
    assert [row["name"] for row in api.call(0, "ListActivations")[0]] == [
        row.name for row in loom.ACTIVATIONS
    ]
    reply = api.call(0, "NewNetwork", 3, 1, 1, 1)[0]
    assert reply["total_layers"] == 1
    assert api.free(reply["handle"]) == 0


def test_the_size_can_be_asked_for(api, net):
    from tests.cabi.api import SIZE, floats

    size = SIZE()
    status = api.lib.Loom_ForwardF32(net, floats(X), X.size, None, 0, size)
    assert (status, size.value) == (2, 4)
    assert "has 4 values, the buffer room for 0" in api.error()
    y = np.zeros(4, np.float32)
    assert api.lib.Loom_ForwardF32(net, floats(X), X.size, floats(y), 4, None) == 0
    assert y.all()


@pytest.mark.parametrize(
    "numbers",
    [
        "1, 2.5, -3e2",
        "0.1,0.30000000000000004,1e-320",
        "-0,-0.0,123456789012345678901234567890",
        "9007199254740993,0.12345678901234567890123,1E5",
        " \t\n1 , 2\r, 3 ",
        "4.9406564584124654e-324,1e22,1e23",
    ],
)
def test_numbers_are_read_as_json_reads_them(api, numbers):
    """Flat arrays have a reader of their own; the nested form has not."""
    net = api.call(0, "NewNetwork", 3, 1, 1, 1, 1)[0]["handle"]
    flat = api.raw("Call", net, b"ForwardCPU", f"[[{numbers}]]".encode())
    nested = api.raw("Call", net, b"ForwardCPU", f"[[[{numbers}]]]".encode())
    assert json.loads(flat)[0] == json.loads(nested)[0]
    assert str(json.loads(flat)[0]) == str(json.loads(nested)[0])
    api.free(net)


def test_initialisers_of_every_kind(api):
    """Texts and JSON cross, and NULL is the usual value."""
    import ctypes

    def init(name, *arguments):
        function = getattr(api.lib, name)
        function.restype = ctypes.c_void_p
        pointer = function(*arguments)
        reply = json.loads(ctypes.string_at(pointer))
        api.lib.Loom_FreeCString(pointer)
        return reply

    norm = init("Loom_InitLayerNormLayer", 8, ctypes.c_double(0.25))
    assert norm == loom.init_layer_norm_layer(8, 0.25)
    shape = init("Loom_InitReshapeLayer", b"[2, 4]")
    assert shape == json.loads(json.dumps(loom.init_reshape_layer([2, 4])))
    assert "shape: expected int[]" in init("Loom_InitReshapeLayer", None)["error"]
    usual = loom.init_multi_head_attention_layer(8, 2, 4)
    for text in (None, usual["Positions"].encode()):
        assert init("Loom_InitMultiHeadAttentionLayer", 8, 2, 4, 5, 0, text) == (
            loom.init_multi_head_attention_layer(8, 2, 4, 5)
        )
    assert init("Loom_InitFlattenLayer") == loom.init_flatten_layer()


def test_a_convolutional_network_from_its_initialisers(api):
    """Other layers' functions, generated, make what their classes make."""
    import ctypes

    def init(name, *arguments) -> bytes:
        function = getattr(api.lib, f"Loom_Init{name}Layer")
        function.restype = ctypes.c_void_p
        pointer = function(*arguments)
        text = ctypes.string_at(pointer)
        api.lib.Loom_FreeCString(pointer)
        return text

    net = api.call(0, "NewNetwork", 72, 1, 1, 4, 7)[0]["handle"]
    configs = [
        init("Conv2D", 6, 6, 2, 3, 1, 1, 4, 1),
        init("MaxPool2D", 2, 2, 0),
        init("Flatten"),
        init("Dense", 36, 5, 2),
    ]
    for place, config in enumerate(configs):
        reply = api.text("SetLayer", net, 0, 0, place, config)
        assert reply == {"status": "layer set"}
    twin = loom.Network.from_layers(
        [
            loom.Conv2D(6, 6, 2, 3, padding=1, filters=4, activation="sigmoid"),
            loom.MaxPool2D(2, 2),
            loom.Flatten(),
            loom.Dense(36, 5, "tanh"),
        ],
        (2, 6, 6),
        seed=7,
    )
    x = np.random.default_rng(0).random((3, 72), np.float32)
    y = api.run("Loom_ForwardF32", net, x, 15)
    np.testing.assert_array_equal(y.reshape(3, 5), twin.forward_cpu(x)[0])
    api.free(net)
