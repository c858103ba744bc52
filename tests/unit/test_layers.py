"""What every row of LAYERS promises: files and the wire, bit for bit; bad weights."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import loom
from loom.errors import FormatError, InputError, ShapeError
from loom.layers import layer_from_bundle, layer_from_wire
from tests.cases import CASES, fill

EXAMPLES = {
    f"{case.layer.kind}-{name}": (case, make)
    for case in CASES
    for name, make in case.examples.items()
}


def name_of(case):
    return case.layer.__name__


WITH_WEIGHTS = [case for case in CASES if case.layer.weights]
each_example = pytest.mark.parametrize("name", EXAMPLES)
each_case = pytest.mark.parametrize("case", CASES, ids=name_of)


def filled(name):
    """The example's layer with random weights, x, and the outputs of its sources."""
    case, make = EXAMPLES[name]
    layer, shape = make()
    rng = np.random.default_rng(3)
    fill(layer, rng, np.float32)
    x = case.values(rng, (2, *shape), layer).astype(np.float32)
    sources = [rng.standard_normal(x.shape, np.float32) for _ in layer.sources()]
    return layer, x, sources


def with_weights(case):
    """The first example that has any: some kinds have them by configuration."""
    examples = (make() for make in case.examples.values())
    return next(made for made in examples if made[0].weight_rows())


def same(layer, again, x, sources):
    assert repr(again) == repr(layer)
    for kept, read in (
        (layer.parameters, again.parameters),
        (layer.state, again.state),
    ):
        assert kept.keys() == read.keys()
        for key, array in kept.items():
            assert array.shape == read[key].shape
            assert array.tobytes() == read[key].tobytes(), key
    run = loom.EVALUATE
    y, again_y = (a.forward(x, run, *sources)[0] for a in (layer, again))
    assert y.tobytes() == again_y.tobytes()


@each_example
def test_a_bundle_keeps_every_bit(name):
    layer, x, sources = filled(name)
    shape = x.shape[1:]
    if sources:
        stack = loom.Elementwise("linear"), loom.Elementwise("tanh"), layer
    else:
        stack = (layer,)
    net = loom.Network.stack(*stack, input_shape=shape, seed=1)
    again = loom.load_model_from_string(net.save_model_to_string())
    assert again.shapes() == net.shapes()
    same(layer, again.layers[-1], x, sources)


@each_example
def test_the_wire_keeps_every_bit(name):
    layer, x, sources = filled(name)
    text = json.dumps(layer.wire_config(), default=lambda a: a.ravel().tolist())
    again = layer_from_wire(json.loads(text))
    same(layer, again, x, sources)
    without = layer_from_wire(layer.wire_config(arrays=False))
    assert repr(without) == repr(layer)
    assert not without.parameters


@each_example
def test_a_copy_shares_nothing(name):
    layer, x, sources = filled(name)
    again = layer.copy()
    same(layer, again, x, sources)
    for arrays in (again.parameters, again.state):
        for array in arrays.values():
            array += 1
    fresh, _, _ = filled(name)
    same(layer, fresh, x, sources)


@each_example
def test_any_batch_runs_and_no_sample_sees_another(name):
    layer, x, sources = filled(name)
    run = loom.EVALUATE
    whole, _ = layer.forward(x, run, *sources)
    for at in range(len(x)):
        alone = (a[at : at + 1] for a in sources)
        one, _ = layer.forward(x[at : at + 1], run, *alone)
        np.testing.assert_allclose(one[0], whole[at], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("case", WITH_WEIGHTS, ids=name_of)
def test_a_wrong_weight_is_refused_and_named(case):
    layer, _ = with_weights(case)
    fill(layer, np.random.default_rng(0), np.float32)
    arrays = layer.export_weights()
    for row in layer.weight_rows():
        shape = arrays[row.name].shape
        start = f"{type(layer).__name__}: {row.name}: "
        wrong = np.ones((*shape, 2), np.float32)
        with pytest.raises(ShapeError) as caught:
            layer.import_weights(arrays | {row.name: wrong})
        assert str(caught.value) == f"{start}expected shape {shape}, got {wrong.shape}."
        damaged = arrays[row.name].copy()
        damaged.flat[-1] = np.nan
        with pytest.raises(InputError) as caught:
            layer.import_weights(arrays | {row.name: damaged})
        assert str(caught.value) == f"{start}has a NaN or an infinity."


@pytest.mark.parametrize("case", WITH_WEIGHTS, ids=name_of)
def test_a_bundle_without_one_array_is_refused(case):
    layer, shape = with_weights(case)
    net = loom.Network.stack(layer, input_shape=shape, seed=1)
    bundle = json.loads(net.save_model_to_string())
    weights = bundle["models"][0]["weights"]
    data = json.loads(base64.b64decode(weights["data"]))
    for row in layer.weight_rows():
        held = dict(data["layers"][0])
        del held[row.bundle]
        text = json.dumps(data | {"layers": [held]}).encode()
        weights["data"] = base64.b64encode(text).decode()
        with pytest.raises(FormatError, match=f"{row.bundle} is missing"):
            loom.load_model_from_string(json.dumps(bundle))


@each_case
def test_unknown_fields_are_refused(case):
    layer, _ = next(iter(case.examples.values()))()
    for read, config in (
        (layer_from_wire, layer.wire_config(arrays=False) | {"Colour": 1}),
        (layer_from_bundle, layer.bundle_config() | {"colour": 1}),
    ):
        with pytest.raises(loom.ConfigError, match=r"unknown field '[Cc]olour'"):
            read(config)


HOSTILE = [0, -1, 1, 2, 3, 0.5, 2**31 - 1, 2**31, 1e308, float("nan"), True, None]
HOSTILE += ["", "x", "none", [], [1], [1, 2], [[1]], [None], ["x"], [float("inf")], {}]


@each_case
@given(data=st.data())
def test_any_configuration_is_a_layer_or_an_error_of_ours(case, data):
    layer = case.layer
    names = [row.wire for row in (*layer.fields, *layer.derived)]
    names += [row.wire for row in (*layer.weights, *layer.statistics)]
    values = st.dictionaries(st.sampled_from(names or ["X"]), st.sampled_from(HOSTILE))
    config = {"Type": layer.code} | data.draw(values)
    try:
        made = layer_from_wire(config)
    except loom.LoomError:
        return
    assert made.code == layer.code
    assert repr(layer_from_wire(made.wire_config(arrays=False))) == repr(made)
