"""`loom export web`: modules without Python give forward_cpu's numbers, in Chromium."""

from collections.abc import Iterator
from functools import partial
from threading import Thread

import numpy as np
import pytest

import loom
from loom.export import export_web
from loom.export.steps import STEPS
from loom.fabric.server import Handler, Server
from loom.layers import LAYERS
from tests.compare import assert_close

PREDICT = """
    const { load } = await import(argument.url);
    const model = await load({ gpu: argument.gpu });
    const out = [];
    for (const x of argument.inputs) {
      out.push([...(await model.predict(Float32Array.from(x)))]);
    }
    model.close?.();
    return out;
"""
E_ = loom.Elementwise


class Own(loom.Elementwise):
    """A layer that Loom does not know."""


def stack(*layers, shape):
    return loom.Network.stack(*layers, input_shape=shape, seed=3)


NETWORKS = {
    "dense": lambda: stack(
        loom.Dense(12, 9, "tanh"), loom.Dense(9, 5, "softmax"), shape=(12,)
    ),
    "every activation": lambda: stack(
        *(E_(row.name) for row in loom.activations.ACTIVATIONS), shape=(3, 5)
    ),
    "image": lambda: stack(
        loom.Conv2D(10, 9, 2, 3, 1, 1, 5, "gelu"),
        loom.BatchNorm(5),
        loom.MaxPool2D(2),
        loom.Conv2D(5, 4, 5, 2, 2, 0, 3, "leaky_relu"),
        loom.AvgPool2D(0),
        loom.Flatten(),
        loom.Dropout(0.5),
        loom.Dense(3, 2, "linear"),
        shape=(2, 10, 9),
    ),
    "sequence": lambda: stack(
        loom.Conv1D(3, 4, 3, padding=1, activation="relu"),
        loom.MaxPool1D(2),
        loom.AvgPool1D(3, 1, 1),
        loom.LSTM(4, 6),
        loom.GRU(6, 5),
        loom.RNN(5, 3, return_sequences=False),
        loom.Softmax(),
        shape=(12, 3),
    ),
    "light recurrence": lambda: stack(
        loom.QRNN(3, 5, kernel_size=3),
        loom.SRU(5, 5),
        loom.SRU(5, 4, activation="softmax"),
        loom.QRNN(4, 6, kernel_size=9, return_sequences=False),
        loom.Reshape((2, 3)),
        loom.SRU(3, 2, return_sequences=False, activation="linear"),
        shape=(7, 3),
    ),
    "positions": lambda: stack(
        loom.PositionalEncoding(9),
        loom.Softmax(axis=0, temperature=2.5),
        loom.PositionalEncoding(9, 6, "learned"),
        loom.Reshape((9, 6)),
        loom.MultiHeadAttention(6, 1, positions="rotary"),
        loom.Reshape((3, 3, 6)),
        loom.Softmax(axis=-2),
        loom.Reshape((9, 6)),
        loom.Conv1D(6, 8, 1),
        loom.MultiHeadAttention(8, 2, causal=True, positions="rotary"),
        loom.Softmax(temperature=0.3),
        shape=(6, 9),
    ),
    "transformer": lambda: stack(
        loom.Embedding(11, 8),
        loom.LayerNorm(8),
        loom.MultiHeadAttention(8, 2, causal=True),
        loom.Residual((0, 0, 1)),
        loom.RMSNorm(8),
        loom.MultiHeadAttention(8, 4),
        loom.Reshape((48,)),
        loom.Dense(48, 4, "silu"),
        shape=(6,),
    ),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Iterator[tuple]:
    """A folder, and the address where its files are served."""
    folder = tmp_path_factory.mktemp("exported")
    with Server(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as local:
        thread = Thread(target=local.serve_forever)
        thread.start()
        (folder / "blank.html").write_text("<!doctype html><p>blank")
        yield folder, f"http://127.0.0.1:{local.server_port}/"
        local.shutdown()
        thread.join()


def prepared(name):
    """A network with parameters and statistics that no zero hides."""
    net = NETWORKS[name]()
    rng = np.random.default_rng(5)
    for layer in net.layers:
        for arrays in (layer.parameters, layer.state):
            for key, old in arrays.items():
                value = rng.uniform(0.5, 1.5, old.shape)
                if old.ndim > 1:
                    value = rng.standard_normal(old.shape) / old.shape[-1] ** 0.5
                arrays[key] = value.astype(np.float32)
    shape = (7, *net.input_shape)
    if isinstance(net.layers[0], loom.Embedding):
        x = rng.integers(0, 11, shape).astype(np.float32)
    else:
        x = rng.standard_normal(shape).astype(np.float32)
    return net, x


def predict(browser, address, name, inputs, gpu=False):
    page = browser.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address + "blank.html")
    url = f"{address}{name}/model.mjs"
    argument = {"url": url, "gpu": gpu, "inputs": [x.ravel().tolist() for x in inputs]}
    out = page.evaluate(f"async (argument) => {{ {PREDICT} }}", argument)
    page.close()
    assert problems == []
    return out


@pytest.mark.parametrize("name", NETWORKS)
def test_the_numbers_of_forward_cpu(browser, exported, name):
    folder, address = exported
    net, x = prepared(name)
    place = name.replace(" ", "-")
    export_web(net, folder / place, gpu=False)
    y = net.forward_cpu(x)[0]
    # Few samples, then more (memory grows), then few again.
    inputs = [x[:1], x, x[3:5]]
    got = predict(browser, address, place, inputs)
    for values, rows in zip(got, (y[:1], y, y[3:5]), strict=True):
        assert_close(np.reshape(values, rows.shape), rows, "forward", name)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_on_the_gpu(browser, exported, name):
    folder, address = exported
    net, x = prepared(name)
    place = name.replace(" ", "-") + "-gpu"
    export_web(net, folder / place, batch=2)
    y = net.forward_cpu(x[:5])[0]  # two whole batches and a half
    (got,) = predict(browser, address, place, [x[:5]], gpu=True)
    assert_close(np.reshape(got, y.shape), y, "forward", name)


def test_every_kind_of_layer_is_in_a_network():
    seen = {type(layer) for f in NETWORKS.values() for layer in f().layers}
    assert seen == set(LAYERS)
    assert {kind.__name__ for kind in seen} == set(STEPS)


def test_small_and_quick(browser, exported):
    folder, address = exported
    net = stack(loom.Dense(784, 392), loom.Dense(392, 10, "sigmoid"), shape=(784,))
    files = export_web(net, folder / "mlp")
    import brotli

    small = [f for f in files if f.name != "weights.bin"]
    size = sum(len(brotli.compress(f.read_bytes())) for f in small)
    assert size <= 60_000, {f.name: f.stat().st_size for f in small}
    times = []
    for _ in range(5):  # the best of five: other programs on the machine only add
        page = browser.new_page()
        page.goto(address + "blank.html")
        times.append(
            page.evaluate("""async () => {
            const start = performance.now();
            const { load } = await import("/mlp/model.mjs");
            const model = await load();
            model.predict(new Float32Array(784));
            return performance.now() - start;
        }""")
        )
        page.close()
        if times[-1] < 300:
            break
    ms = min(times)
    print(f"{size:,} bytes beside the weights, first prediction {ms:.0f} ms")
    assert ms < 300


def test_wrong_use(browser, exported, tmp_path):
    folder, address = exported
    export_web(prepared("dense")[0], folder / "wrong", gpu=False)
    page = browser.new_page()
    page.goto(address + "blank.html")
    messages = page.evaluate("""async () => {
        const { load } = await import("/wrong/model.mjs");
        const model = await load();
        const out = [];
        for (const n of [0, 5, 13]) {
          try { model.predict(new Float32Array(n)); } catch (e) { out.push(e.message); }
        }
        try { await load({ gpu: true }); } catch (e) { out.push(e.message); }
        return out;
    }""")
    page.close()
    assert (
        messages[1] == "predict: expected a multiple of 12 values (12 a sample), got 5"
    )
    assert messages[3] == "this model was exported without its GPU program"
    assert len(messages) == 4
    with pytest.raises(loom.ConfigError, match="Own has no form without Python"):
        export_web(stack(Own("relu"), shape=(4, 3)), tmp_path / "m", gpu=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(loom.ConfigError, match="is a file"):
        export_web(prepared("dense")[0], tmp_path / "file")
