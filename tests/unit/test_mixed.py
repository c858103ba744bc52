"""Random networks of every layer: files, the wire, and batches."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import loom
from loom import Network
from loom.activations import NAMES
from loom.layers import LAYERS
from tests.cases import fill
from tests.cases.networks import ROWS, draw_network, values


def drawn(data) -> tuple[Network, np.ndarray]:
    """A network with random weights and statistics, and x."""
    net = draw_network(data.draw, NAMES)
    rng = np.random.default_rng(data.draw(st.integers(0, 9999), label="seed"))
    for layer in net.layers:
        fill(layer, rng, np.float32)
    return net, values(rng, net, 4).astype(np.float32)


def test_every_layer_can_be_drawn():
    assert set(ROWS) == set(LAYERS), "tests/cases/networks.py lacks a row"


@given(data=st.data())
def test_predictions_survive_a_file_bit_for_bit(data):
    net, x = drawn(data)
    again = loom.load_model_from_string(net.save_model_to_string())
    for old, new in zip(net.layers, again.layers, strict=True):
        assert repr(old) == repr(new)
        for kept, read in ((old.parameters, new.parameters), (old.state, new.state)):
            assert kept.keys() == read.keys()
            for name, array in kept.items():
                assert array.tobytes() == read[name].tobytes(), f"{old!r} {name}"
    assert again.forward_cpu(x)[0].tobytes() == net.forward_cpu(x)[0].tobytes()
    assert again.save_model_to_string() == net.save_model_to_string()


@given(data=st.data())
def test_a_network_set_over_the_wire_predicts_the_same(data):
    net, x = drawn(data)
    again = Network(net.input_size, net.grid_rows, net.grid_cols, net.layers_per_cell)
    again.input_shape, again._shapes = net.input_shape, [net.input_shape]
    for index, layer in enumerate(net.layers):
        again.set_layer(*net.position(index), layer.wire_config())
    assert again.forward_cpu(x)[0].tobytes() == net.forward_cpu(x)[0].tobytes()


@given(data=st.data())
def test_a_sample_gives_the_same_alone_and_in_a_batch(data):
    net, x = drawn(data)
    together, _ = net.forward_cpu(x)
    for i in range(len(x)):
        alone, _ = net.forward_cpu(x[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-4, atol=1e-4)


@given(data=st.data())
def test_a_step_of_training_leaves_inputs_alone_and_numbers_finite(data):
    net, x = drawn(data)
    kept = x.copy()
    y = net.forward(x, training=True)
    net.backward(np.ones_like(y))
    np.testing.assert_array_equal(x, kept)
    net.update_weights(1e-3)
    assert np.isfinite(net.forward_cpu(x)[0]).all()
