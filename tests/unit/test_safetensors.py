"""safetensors in and out, against the format's own library."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import loom
from loom import Dense, FormatError, Network
from loom.interchange import load_safetensors, save_safetensors
from tests.cases import CASES, fill

EXAMPLES = [
    (f"{case.layer.kind}-{name}", make)
    for case in CASES
    for name, make in case.examples.items()
    if not make()[0].sources()
]


def arrays_of(net):
    return [a for layer in net.layers for a in (layer.parameters | layer.state).items()]


@pytest.mark.parametrize(("name", "make"), EXAMPLES, ids=[row[0] for row in EXAMPLES])
def test_every_layer_comes_back_bit_for_bit(name, make, tmp_path):
    layer, shape = make()
    fill(layer, np.random.default_rng(5), np.float32)
    net = Network.stack(layer, input_shape=shape, seed=1)
    net.metadata["classes"] = ["a", "b"]
    path = tmp_path / "model.safetensors"
    save_safetensors(net, path)
    names = {**layer.export_weights(), **layer.state}
    held = load_file(path)
    assert set(held) == {f"layers.0.{name}" for name in names}
    for key, array in names.items():
        np.testing.assert_array_equal(held[f"layers.0.{key}"], array)
    again = load_safetensors(path)
    assert again.metadata == net.metadata
    assert repr(again.layers) == repr(net.layers)
    for (key, a), (other, b) in zip(arrays_of(net), arrays_of(again), strict=True):
        assert key == other
        np.testing.assert_array_equal(a, b)


def small():
    return Network.stack(Dense(3, 2), loom.BatchNorm(2), Dense(2, 1), seed=1)


def test_arrays_of_another_origin_fill_a_network(tmp_path):
    path = tmp_path / "other.safetensors"
    rng = np.random.default_rng(0)
    arrays = {
        "0.weight": rng.standard_normal((3, 2)),
        "0.bias": rng.standard_normal(2).astype(np.float16),
        "1.weight": np.ones(2, np.float32),
        "1.bias": np.zeros(2, np.float32),
        "1.running_mean": np.full(2, 0.5, np.float32),
        "1.running_var": np.full(2, 2, np.float32),
        "layers.2.weight": rng.standard_normal((2, 1)).astype(np.float32),
        "layers.2.bias": np.zeros(1, np.float32),
    }
    save_file(arrays, path)
    net = small()
    assert load_safetensors(path, net) is net
    first = net.layers[0].parameters
    np.testing.assert_array_equal(first["weight"], arrays["0.weight"].astype("f4"))
    assert first["bias"].dtype == np.float32
    np.testing.assert_array_equal(net.layers[1].state["running_var"], [2, 2])
    with pytest.raises(FormatError, match="it holds arrays but no network"):
        load_safetensors(path)


def test_problems_are_listed_together_and_change_nothing(tmp_path):
    path = tmp_path / "bad.safetensors"
    save_file(
        {
            "0.weight": np.ones((2, 3), np.float32),
            "0.bias": np.full(2, np.nan, np.float32),
            "1.weigth": np.ones(2, np.float32),
            "7.weight": np.ones(1, np.float32),
            "2.weight": np.ones((2, 1), np.int32),
        },
        path,
    )
    net = small()
    before = [a.copy() for _, a in arrays_of(net)]
    with pytest.raises(FormatError) as caught:
        load_safetensors(path, net)
    text = str(caught.value)
    assert "1.weigth: unknown array 'weigth'. Did you mean 'weight'?" in text
    assert "7.weight: expected layers.INDEX.NAME with INDEX from 0 to 2" in text
    assert "2.weight: expected floats, got int32" in text
    for old, (_, new) in zip(before, arrays_of(net), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    "cfg", ["[", "{}", '{"layers": 3}', '{"layers": [{"type": "dense"}]}', "null"]
)
def test_a_hostile_configuration_is_an_error(cfg, tmp_path):
    path = tmp_path / "hostile.safetensors"
    save_file({"layers.0.weight": np.ones(1)}, path, {"loom": cfg})
    with pytest.raises(FormatError):
        load_safetensors(path)


def test_the_metadata_hold_the_configuration(tmp_path):
    path = tmp_path / "model.safetensors"
    save_safetensors(small(), path)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert header["__metadata__"]["format"] == "loom"
    assert json.loads(header["__metadata__"]["loom"])["layers_per_cell"] == 3
