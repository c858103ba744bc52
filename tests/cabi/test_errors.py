"""Every mistake is an error that says what to do; nothing crashes."""

import ctypes

import numpy as np
import pytest

from tests.cabi.api import SIZE, floats

DENSE = b'{"Type":0,"InputHeight":3,"OutputHeight":4,"Activation":1}'


@pytest.fixture(scope="module")
def net(api):
    return api.network(3, 4, 2)


def message(reply) -> str:
    assert list(reply) == ["error"]
    return reply["error"]


@pytest.mark.parametrize("handle", [-1, -(2**63), 0, 10**6, 2**63 - 1])
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("SetLayer", (0, 0, 0, DENSE)),
        ("GetLayer", (0, 0, 0)),
        ("Call", (b"ForwardCPU", b"[[1,2,3]]")),
        ("ListMethods", ()),
        ("GetMethodSignature", (b"ForwardCPU",)),
        ("GetInfo", ()),
        ("SaveModel", (b"id",)),
        ("EnableGPU", (True,)),
    ],
)
def test_foreign_handles(api, function, arguments, handle):
    text = message(api.text(function, handle, *arguments))
    if handle == 0 and function == "Call":
        assert "unknown method 'ForwardCPU'. Known: NewNetwork" in text
    else:
        assert f"handle {handle}: no network has it" in text
    assert api.error() == text


def test_freed_handles(api):
    handle = api.network(3, 2)
    assert api.free(handle) == 0
    assert api.free(handle) == 1
    assert f"handle {handle}: no network has it. It was freed" in api.error()
    x = np.ones(3, np.float32)
    assert api.run("Loom_ForwardF32", handle, x, 2) == 1
    assert api.run("Loom_BackwardF32", handle, x, 2) == 1
    assert api.train(handle, x, x) == -1
    assert api.text("GetInfo", handle) == {"error": api.error()}
    assert api.network(3, 2) > handle


@pytest.mark.parametrize(
    ("method", "arguments", "expected"),
    [
        (b"ForwardCpu", b"[[1,2,3]]", "Did you mean 'ForwardCPU'"),
        (b"ForwardCPU", None, "expected 1 argument (inputs), got 0"),
        (b"ForwardCPU", b"", "expected 1 argument (inputs), got 0"),
        (b"ForwardCPU", b"[", "expected the arguments as JSON"),
        (b"ForwardCPU", b"{}", "expected the arguments as a list, got an object"),
        (b"ForwardCPU", b"[[1,2]]", "expected 1 x 3 = 3 values"),
        (b"ForwardCPU", b"[[]]", "expected 1 x 3 = 3 values"),
        (b"ForwardCPU", b"[[1,2,]]", "expected the arguments as JSON"),
        (b"ForwardCPU", b"[[1,2,3]],", "expected the arguments as JSON"),
        (b"ForwardCPU", b"[[1,2,NaN]]", "NaN is not a number"),
        (b"ForwardCPU", b"[[1,2,-Infinity]]", "not a number"),
        (b"ForwardCPU", b"[[1,2,1e99]]", "finite numbers, got inf at index (2,)"),
        (b"ForwardCPU", b"[[1,2,1e999]]", "finite numbers, got inf at index (2,)"),
        (b"ForwardCPU", b"[[1,2,01]]", "expected the arguments as JSON"),
        (b"ForwardCPU", b"[[1,2,.5]]", "expected the arguments as JSON"),
        (b"ForwardCPU", b"[[1,2,+5]]", "expected the arguments as JSON"),
        (b"ForwardCPU", b"[[1,2,0x5]]", "expected the arguments as JSON"),
        (b"ForwardCPU", b'[["a","b","c"]]', "rows of equal length"),
        (b"ForwardCPU", b"\xff\xfe", "expected text in UTF-8"),
        (b"\xc3\x28", b"[]", "expected text in UTF-8"),
        (b"ForwardCPU", b"[" * 10_000 + b"]" * 10_000, "recursion"),
        (b"ForwardCPU", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "recursion"),
        (b"ForwardCPU", b"[[" + b"9" * 5000 + b",1,1]]", "finite numbers, got inf"),
        (b'\\"\x01\x1f', b"[]", "unknown method"),
        (None, b"[]", "method: expected text, got NULL"),
        (b"", b"[]", "unknown method ''"),
        (b"SetLayer", b"[0,0,9,{}]", "layer of the grid: expected 0 to 1, got 9"),
        (b"SetBatchSize", b"[1e300]", "batch_size: expected 1 to"),
        (b"LoadModel", b"[]", "unknown method 'LoadModel'"),
        (b"UpdateWeights", b"[1]", "run forward_cpu and backward_cpu first"),
        (b"Train", b'[[[[1,2,3],[1,2]]], {"Epochs": 0}]', "expected Epochs"),
        (b"SaveModel", b'["/no/such/folder/x"]', "cannot write"),
    ],
)
def test_bad_calls(api, method, arguments, expected):
    net = api.network(3, 4, 2)
    assert expected in message(api.text("Call", net, method, arguments))
    assert len(api.call(net, "ForwardCPU", [1, 2, 3])[0]) == 2
    api.free(net)


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        ("NewNetwork", (0, 1, 1, 1, False), "input_size: expected 1 to"),
        ("NewNetwork", (-5, 1, 1, 1, False), "input_size: expected 1 to"),
        ("NewNetwork", (4, 2**31 - 1, 2**31 - 1, 2**31 - 1, False), "grid_rows"),
        ("NewNetwork", (4, 1000, 1000, 1000, False), "at most 1,000,000"),
        ("InitDenseLayer", (0, 4, 0), "input_size"),
        ("InitDenseLayer", (2**31 - 1, 2**31 - 1, 0), "values"),
        ("InitDenseLayer", (3, 4, 99), "unknown activation code 99"),
        ("InitDenseLayer", (3, 4, -1), "unknown activation code -1"),
        ("LoadModel", (None, None), "json: expected text, got NULL"),
        ("LoadModel", (b"", None), "not valid JSON"),
        ("LoadModel", (b"{}", None), "expected type 'modelhost/bundle'"),
        ("LoadModel", (b"[" * 10_000, None), "not valid JSON"),
        ("LoadModel", (b"\xff", None), "expected text in UTF-8"),
    ],
)
def test_bad_constructions(api, function, arguments, expected):
    assert expected in message(api.text(function, *arguments))


@pytest.mark.parametrize(
    ("place", "config", "expected"),
    [
        ((0, 0, 0), None, "config: expected text, got NULL"),
        ((0, 0, 0), b"", "expected a configuration as JSON"),
        ((0, 0, 0), b"[1]", "expected a layer configuration"),
        ((0, 0, 0), b'{"Type":99}', "unknown layer Type 99"),
        ((0, 0, 0), DENSE.replace(b"3", b"5"), "expected x of shape"),
        ((0, 0, 5), DENSE, "layer of the grid: expected 0 to 1, got 5"),
        ((-1, 0, 0), DENSE, "row of the grid: expected 0 to 0, got -1"),
        ((0, 0, 0), b"[" * 10_000, "expected a configuration as JSON"),
    ],
)
def test_bad_layers(api, net, place, config, expected):
    assert expected in message(api.text("SetLayer", net, *place, config))


def test_a_layer_larger_than_memory(api, monkeypatch):
    monkeypatch.setattr("loom.grid.available_memory", lambda: 10**9)
    net = api.text("NewNetwork", 2**31 - 1, 1, 1, 1, False)["handle"]
    config = api.raw("InitDenseLayer", 2**31 - 1, 1, 0)
    text = message(api.text("SetLayer", net, 0, 0, 0, config))
    assert "2,147,483,648 parameters need 17.2 GB to be drawn" in text
    api.free(net)


def test_methods_that_are_not_there(api, net):
    assert "Did you mean" in message(api.text("GetMethodSignature", net, b"Forward"))
    text = message(api.text("GetMethodSignature", net, None))
    assert "method: expected text, got NULL" in text


def test_a_result_that_json_cannot_hold(api):
    from loom.cabi import handles

    handle = api.network(3, 2)
    with handles.network(handle) as entry:
        entry.net.layers[0].parameters["bias"][0] = np.nan
    for reply in (
        api.call(handle, "ForwardCPU", [1, 2, 3]),
        api.text("SaveModel", handle, None),
        api.text("GetLayer", handle, 0, 0, 0),
    ):
        assert "NaN or an infinity" in message(reply)
    y = api.run("Loom_ForwardF32", handle, [1, 2, 3], 2)
    assert np.isnan(y[0])
    assert np.isfinite(y[1])


def test_bad_arrays(api, net):
    lib, x, y = api.lib, np.ones(3, np.float32), np.zeros(2, np.float32)
    forward, backward = lib.Loom_ForwardF32, lib.Loom_BackwardF32
    for arguments, expected in [
        ((None, 3, floats(y), 2, None), "Loom_ForwardF32: expected 3 values, got NULL"),
        ((floats(x), 0, floats(y), 2, None), "expected 1 to 2,147,483,647 values, got"),
        ((floats(x), 2**64 - 1, floats(y), 2, None), "got 18446744073709551615"),
        (
            (floats(x), 2, floats(y), 2, None),
            "multiple of input_size = 3 values, got 2",
        ),
        ((floats(x), 3, None, 2, None), "expected a buffer for the result, got NULL"),
    ]:
        assert forward(net, *arguments) == 1
        assert expected in api.error()
    bad = np.array([1, np.nan, 3], np.float32)
    assert api.run("Loom_ForwardF32", net, bad, 2) == 1
    assert "finite numbers, got nan at index (0, 1)" in api.error()
    assert api.run("Loom_ForwardF32", net, x, 1) == 2
    assert api.run("Loom_BackwardF32", api.network(3, 2), y, 3) == 1
    assert "run forward_cpu first" in api.error()
    api.run("Loom_ForwardF32", net, x, 2)
    assert api.run("Loom_BackwardF32", net, x, 3) == 1
    assert "expected dL/dy of shape (1, 2)" in api.error()
    size = SIZE(77)
    assert backward(net, floats(y), 2, None, 0, size) == 2
    assert size.value == 3


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("[", "settings as a JSON object"),
        ("[]", "settings as a JSON object"),
        ("[" * 10_000, "settings as a JSON object"),
        ('{"Epochs": 3}', "unknown setting 'Epochs'"),
        ('{"learning_rate": 3}', "unknown setting 'learning_rate'"),
        ('{"LearningRate": -1}', "expected LearningRate"),
        ('{"LossType": "x"}', "unknown LossType"),
        ('{"LearningRate": 1e30}', "the loss is"),
    ],
)
def test_bad_settings(api, net, settings, expected):
    before = api.raw("SaveModel", net, None)
    targets = np.full(2, 1e30 if "1e30" in settings else 1, np.float32)
    assert api.train(net, np.ones(3), targets, settings) == -1
    assert expected in api.error()
    assert api.raw("SaveModel", net, None) == before


def test_bad_targets(api, net):
    assert api.train(net, np.ones(3), np.ones(5)) == -1
    assert "expected targets of shape (1, 2), got (5,)" in api.error()
    assert api.train(net, np.ones(4), np.ones(2)) == -1
    assert "Loom_TrainStepF32: expected a multiple of input_size" in api.error()


def test_freeing_what_is_not_ours(api):
    lib = api.lib
    lib.Loom_FreeCString(None)
    text = ctypes.create_string_buffer(b"mine")
    lib.Loom_FreeCString(ctypes.addressof(text))
    assert "no reply of Loom" in api.error()
    assert text.value == b"mine"
    pointer = lib.Loom_GetVersion()
    lib.Loom_FreeCString(pointer)
    lib.Loom_FreeCString(pointer)
    lib.Loom_FreeCString(0xDEAD)


def test_errors_belong_to_their_thread(api):
    from concurrent.futures import ThreadPoolExecutor

    api.free(-1)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(api.error).result() == "no error"
        assert pool.submit(api.free, -2).result() == 1
        assert "handle -2" in pool.submit(api.error).result()
    assert "handle -1" in api.error()


def test_a_long_error_is_cut_between_characters(api, net):
    reply = api.text("Call", net, "é".encode() * 3000, None)
    assert message(reply).count("é") == 3000
    assert 2040 < len(api.error().encode()) < 2048
