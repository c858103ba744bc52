"""The JavaScript API in the page's own thread: both modes, errors, memory."""

import json

import numpy as np
import pytest

import loom
from loom import wire

SNIPPET = """
const network = NewNetwork(784, 1, 1, 2);
const layer0Config = InitDenseLayer(784, 392, 0);
const layer1Config = InitDenseLayer(392, 10, 1);
network.SetLayer(JSON.stringify([0, 0, 0, JSON.parse(layer0Config)]));
network.SetLayer(JSON.stringify([0, 0, 1, JSON.parse(layer1Config)]));
const input = new Array(784).fill(0).map(() => Math.random());
const output = JSON.parse(network.ForwardCPU(JSON.stringify([input])))[0];
const modelJSON = network.SaveModelToString(JSON.stringify(["my_model"]));
const model = JSON.parse(JSON.parse(modelJSON)[0]);
const loadedNetwork = LoadModelFromString(JSON.stringify(model), "my_model");
const methods = JSON.parse(network.GetMethods());
methods.forEach((m) => console.log(`${m.method_name}(${m.parameters.map((p) => p.type).join(", ")})`));
"""  # noqa: E501


def test_snippet_verbatim(page):
    result = page.run(
        "const {NewNetwork, InitDenseLayer, LoadModelFromString} = loom;"
        + SNIPPET
        + """
        const again = JSON.parse(loadedNetwork.ForwardCPU(JSON.stringify([input])))[0];
        return { output, again, methods };
        """
    )
    assert len(result["output"]) == 10
    assert result["again"] == result["output"]
    names = [row["method_name"] for row in result["methods"]]
    assert names == loom.Network(1, 1, 1, 1).list_methods()


def test_progress_reaches_the_total_in_bytes(page):
    events = page.run("return progress;")
    assert [e["stage"] for e in (events[0], *events[-2:])] == [
        "download",
        "start",
        "ready",
    ]
    loaded = [event["loadedBytes"] for event in events]
    assert loaded == sorted(loaded)
    assert loaded[-1] == events[-1]["totalBytes"] > 10_000_000
    assert len(events) > 10


def test_typed_mode(page):
    result = page.run("""
        const network = loom.NewNetwork(4, 1, 1, 1, 7);
        network.SetLayer(0, 0, 0, loom.InitDenseLayer(4, 3, "linear"));
        const x = Float32Array.of(1, 2, 3, 4);
        const [y, nanoseconds] = network.ForwardCPU(x);
        const [nested] = network.ForwardCPU([[1, 2, 3, 4], [0, 0, 0, 1]]);
        const wide = Float32Array.from({ length: 40 }, (_, i) => i % 4 + 1);
        wide.shape = [10, 4];
        const [batch] = network.call("ForwardCPU", wide);
        return {
          kind: y.constructor.name, y: [...y], flat: y.shape === undefined,
          time: Number.isInteger(nanoseconds),
          nested: [...nested.slice(0, 3)], shape: [...nested.shape],
          batch: [...batch.slice(0, 3)], batchShape: [...batch.shape],
          kept: x.length, none: network.call("SetBatchSize", 1) === undefined,
          total: network.call("TotalLayers"), json: network.TotalLayers(),
          has: [network.call("HasMethod", "Train"), network.HasMethod('["Nope"]')],
        };
    """)
    assert result["kind"] == "Float32Array"
    assert result["flat"]
    assert result["time"]
    assert result["none"]
    assert result["y"] == result["nested"] == result["batch"]
    assert result["shape"] == [2, 3]
    assert result["batchShape"] == [10, 3]
    assert (result["total"], result["json"]) == (1, "[1]")
    assert result["has"] == [True, "[false]"]


def test_every_kind_of_typed_array_is_taken(either):
    found = either.run("""
        const network = await loom.NewNetwork(4, 1, 1, 1, 7);
        await network.SetLayer(0, 0, 0, await loom.InitDenseLayer(4, 3, "linear"));
        const values = [1, 2, 3, 4];
        const grows = new Float32Array(new ArrayBuffer(16, { maxByteLength: 64 }));
        grows.set(values);
        const all = [
          Float32Array, Float64Array, Float16Array, Int8Array, Uint8Array, Int16Array,
          Uint8ClampedArray, Uint16Array, Int32Array, Uint32Array, BigInt64Array,
        ].map((kind) => kind.from(kind === BigInt64Array ? [1n, 2n, 3n, 4n] : values));
        const found = [];
        all.push(grows, Float32Array.of(9, ...values).subarray(1));
        for (const array of all) {
          for (let i = 0; i < 2; i++) { // the second is made without Python
            const [y] = await network.ForwardGPU(array);
            found.push([...y, ...(await network.ForwardCPU(array))[0]]);
          }
        }
        return found;
    """)
    assert len(found) == 26
    for values in found:
        np.testing.assert_allclose(values, found[0], rtol=1e-5)


def test_a_text_where_one_is_wanted_is_no_json(page):
    """Only an array is JSON there; else an error would come back as text, unseen."""
    result = page.run("""
        const network = loom.NewNetwork(4, 1, 1, 1, 7);
        const seen = (call) => {
          try {
            return ["value", call()];
          } catch (error) {
            return [error.kind, error.message];
          }
        };
        const text = network.SaveModelToString("mine");
        const again = loom.LoadModelFromString(text, "mine");
        const init = await network.InitGPU("f8").catch((error) => error.message);
        return {
          total: again.call("TotalLayers"), init,
          has: [network.HasMethod("Train"), network.HasMethod(' ["Train"]')],
          unknown: seen(() => network.GetMethodSignature("Trane")),
          empty: seen(() => network.GetMethodSignature("")),
        };
    """)
    assert result["total"] == 1
    assert result["has"] == [True, "[true]"]
    assert result["unknown"][0] == "WireError"
    assert "Did you mean 'Train'?" in result["unknown"][1]
    assert result["empty"][0] == "value"
    assert "expected 1 argument (method_name)" in result["empty"][1]
    assert "f8" in result["init"]


def test_json_mode_loses_no_digit_and_matches_python(page):
    text = "[" + json.dumps(list(np.random.default_rng(0).random(20))) + "]"
    run = loom.Network(20, 1, 1, 5, 3)
    expected = wire.call_json(run, "ForwardCPU", text)
    got = page.run("return loom.NewNetwork(20, 1, 1, 5, 3).ForwardCPU(argument);", text)
    np.testing.assert_allclose(json.loads(got)[0], json.loads(expected)[0], rtol=1e-6)


BAD_JSON = {
    "text": ("ForwardCPU", "[1,", "ForwardCPU: expected a JSON array of parameters"),
    "no list": ("ForwardCPU", '{"a": 1}', "expected a JSON array of parameters"),
    "count": ("ForwardCPU", "[]", "ForwardCPU: expected 1 argument (inputs), got 0."),
    "length": ("ForwardCPU", "[[1, 2]]", "expected 1 x 4 = 4 values"),
    "infinity": (
        "ForwardCPU",
        "[[1e999, 1, 1, 1]]",
        "expected a finite number, got Inf",
    ),
    "field": ("SetLayer", '[0, 0, 0, {"Type": 0, "Wide": 3}]', "Wide"),
    "place": ("SetLayer", '[9, 0, 0, {"Type": 0}]', "row of the grid"),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_json_mode_replies_with_the_error(page, case):
    method, text, words = BAD_JSON[case]
    reply = page.run(
        "return loom.NewNetwork(4, 1, 1, 1)[argument[0]](argument[1]);", [method, text]
    )
    assert list(json.loads(reply)) == ["error"]
    assert words in json.loads(reply)["error"]


def test_json_mode_never_prints_nan(page):
    reply = page.run("""
        const network = loom.NewNetwork(1, 1, 1, 1);
        network.SetLayer(0, 0, 0, loom.InitDenseLayer(1, 1, "linear"));
        const huge = Float32Array.of(3e38);
        network.ForwardCPU(huge);
        network.BackwardCPU(huge);
        return network.KernelGradients();
    """)
    assert "NaN or an infinity" in json.loads(reply)["error"]


BAD_TYPED = {
    "unknown": ("call('Nope')", "WireError", "unknown method 'Nope'"),
    "length": ("ForwardCPU(new Float32Array(3))", "ShapeError", "expected 1 x 4"),
    "NaN": ("ForwardCPU(Float32Array.of(NaN, 1, 1, 1))", "InputError", "got nan"),
    "NaN in a list": ("ForwardCPU([NaN, 1, 1, 1])", "WireError", "expected a finite"),
    "value": ("ForwardCPU(() => 1)", "WireError", "got function"),
    "object": ("ForwardCPU(new Map())", "WireError", "got Map"),
    "place": ("GetLayer(0, 0, 5)", "ConfigError", "layer of the grid"),
    "type": ("SetBatchSize(1.5)", "WireError", "expected int"),
    "shape": (
        "ForwardCPU(Object.assign(new Float32Array(4), { shape: 'abc' }))",
        "WireError",
        'argument 1.shape: expected whole numbers, got "abc"',
    ),
    "half a row": (
        "ForwardCPU(Object.assign(new Float32Array(4), { shape: [0.5, 8] }))",
        "WireError",
        "got [0.5,8]",
    ),
    "transferred": (
        "ForwardCPU((x => (structuredClone(x, { transfer: [x.buffer] }), x))"
        "(new Float32Array(4)))",
        "WireError",
        "got one that was transferred",
    ),
}


@pytest.mark.parametrize("case", BAD_TYPED)
def test_typed_mode_throws(page, case):
    code, kind, words = BAD_TYPED[case]
    thrown = page.run(f"""
        try {{ loom.NewNetwork(4, 1, 1, 1).{code}; }}
        catch (error) {{
          return [error instanceof LoomError, error.kind, error.message];
        }}
    """)
    assert thrown[:2] == [True, kind]
    assert words in thrown[2]


BAD_NEW = {
    "huge": ("NewNetwork(1e12, 1, 1, 1)", "input_size"),
    "grid": ("NewNetwork(4, 1000, 1000, 1000)", "Make the grid smaller"),
    "fraction": ("NewNetwork(1.5, 1, 1, 1)", "input_size"),
    "dense": ("InitDenseLayer(100000, 100000, 0)", "Make the layer smaller"),
    "activation": ("InitDenseLayer(2, 2, 'tahn')", "Did you mean 'tanh'"),
    "bundle": ("LoadModelFromString('{}', 'a')", "bundle"),
}


@pytest.mark.parametrize("case", BAD_NEW)
def test_functions_throw(page, case):
    code, words = BAD_NEW[case]
    message = page.run(
        f"try {{ loom.{code}; }} catch (error) {{ return error.message; }}"
    )
    assert words in message


def test_freed_network(page):
    result = page.run("""
        const network = loom.NewNetwork(4, 1, 1, 1);
        network.free();
        network.free();
        const json = network.TotalLayers();
        try { network.ForwardCPU(new Float32Array(4)); }
        catch (error) { return [json, error.message]; }
    """)
    assert "this network was freed" in json.loads(result[0])["error"]
    assert result[1] == "ForwardCPU: this network was freed. Make a new one."


def test_ten_thousand_networks_do_not_grow_the_heap(page):
    before, after = page.run("""
        const cycle = (count) => {
          for (let i = 0; i < count; i++) {
            const network = loom.NewNetwork(64, 1, 1, 1);
            network.SetLayer(0, 0, 0, loom.InitDenseLayer(64, 32, 0));
            network.ForwardCPU(new Float32Array(64));
            try { network.ForwardCPU(new Float32Array(1)); } catch {}
            network.free();
          }
        };
        const sizes = async () => {
          gc();
          await new Promise((resolve) => setTimeout(resolve, 50));
          gc();
          const [networks, objects] = loom.pyodide.runPython(`
            import gc
            from loom import browser
            gc.collect()
            f"{len(browser._networks)} {len(gc.get_objects())}"`).split(" ");
          return {
            wasm: loom.pyodide._module.HEAP8.length,
            javascript: performance.memory.usedJSHeapSize,
            networks: Number(networks),
            objects: Number(objects),
          };
        };
        cycle(500);
        await sizes();
        const before = await sizes();
        cycle(10000);
        return [before, await sizes()];
    """)
    assert after["wasm"] == before["wasm"]
    assert after["networks"] == before["networks"]
    assert after["objects"] - before["objects"] < 100
    # A leaked handle or proxy is 50 bytes at least.
    assert after["javascript"] - before["javascript"] < 10_000 * 50


def test_garbage_collection_frees_networks(page):
    left = page.run("""
        const count = () => loom.pyodide.runPython(
          "from loom import browser; len(browser._networks)");
        gc();
        await new Promise((resolve) => setTimeout(resolve, 50));
        const before = count();
        for (let i = 0; i < 200; i++) loom.NewNetwork(4, 1, 1, 1);
        for (let i = 0; i < 20 && count() > before; i++) {
          gc();
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        return count() - before;
    """)
    assert left <= 1  # the last one may still be on the stack
