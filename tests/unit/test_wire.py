"""The wire and the reflection that it stands on."""

import json

import numpy as np
import pytest

import loom
from loom import LoomError, introspection, wire

ORIGINAL = [
    "BackwardCPU",
    "BiasGradients",
    "EvaluateFromCheckpointFiles",
    "EvaluateNetwork",
    "ForwardCPU",
    "GetActivation",
    "GetLayer",
    "GetMethodSignature",
    "GetMethods",
    "GetMethodsJSON",
    "HasMethod",
    "KernelGradients",
    "ListMethods",
    "SaveModel",
    "SaveModelToString",
    "SerializeModel",
    "SetLayer",
    "TotalLayers",
    "Train",
    "UpdateWeights",
]


@pytest.fixture
def net():
    net = wire.call(None, "NewNetwork", [3, 1, 1, 2, 7])[0]
    for index, (size, out) in enumerate([(3, 4), (4, 2)]):
        config = wire.call_json(None, "InitDenseLayer", f"[{size}, {out}, 1]")
        arguments = json.dumps([0, 0, index, json.loads(config)[0]])
        assert wire.call_json(net, "SetLayer", arguments) == "[]"
    return net


def test_the_methods_of_the_framework_we_follow_are_there():
    assert set(ORIGINAL) <= set(introspection.methods())


def test_every_method_is_described():
    for row in introspection.get_methods() + introspection.get_functions():
        assert row["doc"].endswith((".", ":", "...")), row
        assert all(p["type"] and p["name"] for p in row["parameters"])
    json.dumps(introspection.get_methods())


@pytest.mark.parametrize(
    ("name", "wire_name"),
    [
        ("forward_cpu", "ForwardCPU"),
        ("init_gpu", "InitGPU"),
        ("get_methods_json", "GetMethodsJSON"),
    ],
)
def test_wire_names(name, wire_name):
    assert introspection.wire_name(name) == wire_name


def test_signature(net):
    assert net.get_method_signature("ForwardCPU") == (
        "ForwardCPU(inputs: float32[]) -> (float32[], int)"
    )
    assert net.get_method_signature("SaveModel") == (
        "SaveModel(path: string, model_id: string = 'model')"
    )
    assert net.has_method("SetLayer")
    assert not net.has_method("position")


def test_forward_through_json_and_through_arrays_agree(net):
    x = [0.25, -1, 3]
    y, nanoseconds = json.loads(wire.call_json(net, "ForwardCPU", json.dumps([x])))
    assert isinstance(nanoseconds, int)
    direct, _ = wire.call(net, "ForwardCPU", [np.array([x], np.float32)])
    assert y == direct.ravel().tolist()


def test_get_layer_gives_what_set_layer_takes(net):
    layer = wire.call_json(net, "GetLayer", "[0, 0, 1]")
    assert json.loads(layer)[0]["InputHeight"] == 4
    before = json.loads(wire.call_json(net, "ForwardCPU", "[[1, 2, 3]]"))[0]
    wire.call_json(net, "SetLayer", json.dumps([0, 0, 1, json.loads(layer)[0]]))
    assert json.loads(wire.call_json(net, "ForwardCPU", "[[1, 2, 3]]"))[0] == before


def test_the_skeleton_round_trips():
    value = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": [1, "x", None]}
    text, arrays = wire.encode(value)
    assert json.loads(text)["a"] == {"$array": 0, "shape": [2, 3]}
    again = wire.decode(text, [memoryview(a) for a in arrays])
    np.testing.assert_array_equal(again["a"], value["a"])
    assert again["b"] == value["b"]
    assert again["a"].flags.owndata or again["a"].base is not arrays[0]


@pytest.mark.parametrize(
    ("method", "text", "message"),
    [
        (
            "ForwardCpu",
            "[[1,2,3]]",
            "unknown method 'ForwardCpu'. Did you mean 'ForwardCPU'",
        ),
        ("ForwardCPU", "", "expected 1 argument (inputs), got 0"),
        ("ForwardCPU", "[", "expected the arguments as JSON"),
        ("ForwardCPU", "{}", "expected the arguments as a list, got an object"),
        ("ForwardCPU", "[[1,2]]", "expected 1 x 3 = 3 values"),
        ("ForwardCPU", "[[1,2,NaN]]", "NaN is not a number"),
        ("ForwardCPU", "[[1,2,1e99]]", "finite numbers, got inf at index (2,)"),
        ("ForwardCPU", "[null]", "inputs: expected float32[], got null"),
        ("ForwardCPU", '[["a","b","c"]]', "rows of equal length"),
        ("SetLayer", "[0, 0, 9, {}]", "layer of the grid: expected 0 to 1, got 9"),
        ("SetLayer", "[0, 0, 0.5, {}]", "layer: expected int, got float 0.5"),
        ("SetLayer", "[0, 0, true, {}]", "layer: expected int, got bool True"),
        ("SetLayer", '[0, 0, 0, {"Type": 0, "X": 1}]', "unknown field 'X'"),
        ("SetLayer", "[0, 0, 0, 3]", "config: expected an object, got int"),
        ("UpdateWeights", '["x"]', "learning_rate: expected float, got text 'x'"),
        ("GetMethodSignature", '["Forward"]', "unknown method 'Forward'"),
        ("SetBatchSize", "[0]", "batch_size: expected 1 to"),
        ("UpdateWeights", "[1e308]", "expected a finite rate, got 1e+308"),
        (
            "EvaluateFromCheckpointFiles",
            '[["x", 1], [1]]',
            "paths: expected string[], got ['x', 1]",
        ),
    ],
)
def test_bad_calls_are_errors_that_say_what_to_do(net, method, text, message):
    with pytest.raises(LoomError) as caught:
        wire.call_json(net, method, text)
    assert message in str(caught.value)
    assert message in json.loads(wire.error_json(caught.value))["error"]


def test_huge_sizes_are_refused_before_anything_is_allocated():
    for arguments in ([2**40, 1, 1, 1], [4, 10**9, 10**9, 1]):
        with pytest.raises(LoomError):
            wire.call(None, "NewNetwork", arguments)
    with pytest.raises(LoomError):
        wire.call(None, "InitDenseLayer", [2**30, 2**30, 0])


def test_a_result_that_json_cannot_hold_is_an_error(net):
    net.layers[1].parameters["bias"][0] = np.nan
    with pytest.raises(LoomError, match="NaN or an infinity"):
        wire.call_json(net, "ForwardCPU", "[[1, 2, 3]]")


def test_constructors_stand_beside_the_network():
    assert json.loads(wire.call_json(None, "GetVersion", "[]")) == [loom.__version__]
    rows = wire.call(None, "ListLayers", [])[0]
    assert [row["code"] for row in rows] == [row.code for row in loom.LAYERS]
    assert {"NewNetwork", "InitDenseLayer", "LoadModelFromString"} <= set(
        wire.FUNCTIONS
    )
