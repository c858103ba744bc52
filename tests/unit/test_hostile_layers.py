"""One value of a layer's configuration spoilt: a LoomError, or a layer that runs."""

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import loom
from loom import LoomError, Network
from loom.activations import NAMES
from loom.serialization import load_bundle_from_string
from tests.cases.networks import draw_network, values

GARBAGE = (
    None,
    True,
    0,
    -1,
    1,
    7,
    2**31,
    2**63,
    -(2**70),
    1.5,
    1e308,
    math.nan,
    math.inf,
    "",
    "tanh",
    "\ud800",
    [],
    [0],
    [1, [2]],
    ["a"],
    [1e39],
    {},
    {"a": 1},
)


def spoil(draw, config: dict) -> dict:
    """The configuration with one value replaced, taken out, or one too many."""
    key = draw(st.sampled_from([*config, "Extra"]), label="key")
    spoilt = dict(config)
    if draw(st.booleans()) and key in spoilt:
        del spoilt[key]
    else:
        spoilt[key] = draw(st.sampled_from(GARBAGE), label="value")
    return spoilt


@given(data=st.data())
def test_over_the_wire(data):
    net = draw_network(data.draw, NAMES)
    index = data.draw(st.integers(0, net.total_layers() - 1), label="index")
    config = spoil(data.draw, net.layers[index].wire_config())
    x = values(np.random.default_rng(0), net, 2)
    with contextlib.suppress(LoomError):
        net.set_layer(*net.position(index), config)
        net.forward_cpu(x)


@given(data=st.data())
def test_in_a_file(data):
    net = draw_network(data.draw, NAMES)
    bundle = json.loads(net.save_model_to_string())
    rows = bundle["models"][0]["cfg"]["layers"]
    index = data.draw(st.integers(0, len(rows) - 1), label="index")
    rows[index] = spoil(data.draw, rows[index])
    x = values(np.random.default_rng(0), net, 2)
    with contextlib.suppress(LoomError):
        load_bundle_from_string(json.dumps(bundle))["model"].forward_cpu(x)


@pytest.mark.parametrize("kind", loom.layers.LAYERS, ids=lambda kind: kind.__name__)
def test_an_unknown_field_is_named_with_the_layer_and_its_place(kind):
    net = Network(12, 1, 1, 1, seed=1)
    with pytest.raises(LoomError) as caught:
        net.set_layer(0, 0, 0, {"Type": kind.code, "Actvation": 0})
    message = str(caught.value)
    assert message.startswith(f"layer (0, 0, 0): {kind.__name__}: unknown field")
