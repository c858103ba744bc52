"""Model bundles: bit for bit, hostile, atomic."""

import base64
import json

import numpy as np
import pytest

import loom
from loom import Dense, Elementwise, FormatError, InputError, Network
from loom.serialization import save_bundle_to_string


@pytest.fixture
def net():
    net = Network(6, 1, 2, 2, seed=11)
    net.set_layer(0, 0, 0, Dense(6, 5, "relu"))
    net.set_layer(0, 1, 1, Dense(5, 3, "softmax"))
    tiny = net.parameters()[0]["weight"]
    tiny.flat[:4] = [1e-45, -0.0, 3.4028235e38, 1 / 3]  # denormal, sign, largest
    return net


def same(one, two):
    assert [repr(x) for x in one.layers] == [repr(x) for x in two.layers]
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].tobytes() == b[name].tobytes()


def test_string_round_trip_is_bit_for_bit(net):
    again = loom.load_model_from_string(net.save_model_to_string("m"), "m")
    same(net, again)
    assert (again.seed, again.input_shape, again.batch_size) == (11, (6,), 1)


def test_random_weights_survive_bit_for_bit():
    net = Network.stack(Dense(100, 100), seed=5)
    bits = loom.random.words(1, 10_000).view(np.float32)
    net.parameters()[0]["weight"].flat = np.where(np.isfinite(bits), bits, 0)
    same(net, loom.load_model_from_string(net.save_model_to_string()))


def test_file_round_trip_and_several_models(net, tmp_path):
    other = Network(4, 1, 1, 2, seed=0)
    loom.save_bundle({"a": net, "b": other}, tmp_path / "two.json")
    models = loom.load_bundle(tmp_path / "two.json")
    assert list(models) == ["a", "b"]
    same(models["a"], net)
    same(loom.load_model(tmp_path / "two.json", "b"), other)
    assert [p.name for p in tmp_path.iterdir()] == ["two.json"]


def test_a_failed_write_leaves_the_old_file(net, tmp_path):
    path = tmp_path / "m.json"
    net.save_model(path)
    before = path.read_bytes()
    net.parameters()[0]["weight"][0, 0] = np.inf
    with pytest.raises(InputError, match=r"layer \(0, 0, 0\) Dense: kernel: has a NaN"):
        net.save_model(path)
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="Choose a folder that exists"):
        Network(4, 1, 1, 1).save_model(tmp_path / "no" / "m.json")


def test_relu_of_the_original_is_scaled_relu(net):
    bundle = json.loads(net.save_model_to_string())
    types = [row["activation"] for row in bundle["models"][0]["cfg"]["layers"]]
    assert types == ["plain_relu", "sigmoid", "tanh", "softmax"]
    bundle["models"][0]["cfg"]["layers"][0]["activation"] = "relu"
    again = loom.load_model_from_string(bundle)
    assert again.get_activation(0, 0, 0) == "scaled_relu"


def edit(net, change):
    bundle = json.loads(net.save_model_to_string())
    model = bundle["models"][0]
    weights = json.loads(base64.b64decode(model["weights"]["data"]))
    change(bundle, model, model["cfg"], weights)
    model["weights"]["data"] = base64.b64encode(json.dumps(weights).encode()).decode()
    return json.dumps(bundle)


def _set(place, key, value):
    place[key] = value


BAD = {
    "type": (lambda b, m, c, w: _set(b, "type", "x"), "expected type"),
    "version": (lambda b, m, c, w: _set(b, "version", 2), "version: expected 1, got 2"),
    "no models": (lambda b, m, c, w: _set(b, "models", []), "at least one model"),
    "no cfg": (lambda b, m, c, w: _set(m, "cfg", 3), "expected cfg as an object"),
    "id": (lambda b, m, c, w: _set(m, "id", ""), "expected an id"),
    "grid": (lambda b, m, c, w: _set(c, "grid_rows", 7), "expected 28 layers"),
    "huge grid": (lambda b, m, c, w: _set(c, "grid_rows", 10**12), "grid_rows from 1"),
    "layer type": (lambda b, m, c, w: _set(c["layers"][0], "type", "dens"), "'dense'"),
    "layer field": (
        lambda b, m, c, w: _set(c["layers"][0], "widht", 1),
        "unknown field",
    ),
    "huge layer": (
        lambda b, m, c, w: _set(c["layers"][0], "input_height", 2**31 - 1),
        "at most",
    ),
    "dropped": (lambda b, m, c, w: w["layers"][0].clear(), "kernel is missing"),
    "null": (lambda b, m, c, w: _set(w["layers"][0], "kernel", None), "is missing"),
    "short": (
        lambda b, m, c, w: w["layers"][0]["kernel"].pop(),
        "expected shape (6, 5)",
    ),
    "text": (lambda b, m, c, w: _set(w["layers"][0]["kernel"], 0, "x"), "numbers"),
    "overflow": (
        lambda b, m, c, w: _set(w["layers"][0]["kernel"], 0, 1e39),
        "infinity",
    ),
    "unknown": (
        lambda b, m, c, w: _set(w["layers"][1], "kernel", [1]),
        "unknown array",
    ),
    "layers": (lambda b, m, c, w: w["layers"].pop(), "weights of 4 layers, got 3"),
    "format": (lambda b, m, c, w: _set(m["weights"], "fmt", "pickle"), "weights.fmt"),
    "shape": (lambda b, m, c, w: _set(c, "input_shape", [7]), "expected x of shape"),
    "bad shape": (lambda b, m, c, w: _set(c, "input_shape", [-6]), "input_shape"),
    "seed": (lambda b, m, c, w: _set(c, "seed", -1), "seed from 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_damaged_bundles_are_refused(net, name):
    change, message = BAD[name]
    with pytest.raises(FormatError) as caught:
        loom.load_model_from_string(edit(net, change))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", "[" * 100_000, b"\xff\xfe", '{"type": NaN}']
)
def test_what_is_no_bundle_is_refused(text):
    with pytest.raises(FormatError):
        loom.load_model_from_string(text)


def test_all_problems_come_together(net):
    def change(bundle, model, cfg, weights):
        weights["layers"][0].pop("kernel")
        weights["layers"][3]["biases"].append(1)
        cfg["layers"][1]["activation"] = "tan"

    with pytest.raises(FormatError) as caught:
        loom.load_model_from_string(edit(net, change))
    text = str(caught.value)
    assert text.startswith("bundle: 3 problems:\n")
    for part in ("kernel is missing", "expected shape (3,), got (4,)", "'tanh'"):
        assert part in text


def test_an_unknown_id_lists_the_known(net):
    text = save_bundle_to_string({"digits": net})
    with pytest.raises(FormatError, match="Did you mean 'digits'"):
        loom.load_model_from_string(text, "digit")
    with pytest.raises(FormatError, match="cannot read model"):
        loom.load_model("no such file")


def test_a_network_of_activations_alone_round_trips():
    net = Network.stack(Elementwise("gelu"), input_shape=(2, 3), seed=1)
    again = loom.load_model_from_string(net.save_model_to_string())
    assert again.input_shape == (2, 3)
