"""The grid and the passes: what a network promises whatever its layers."""

import copy

import numpy as np
import pytest

import loom
from loom import ConfigError, Dense, Elementwise, InputError, Network, ShapeError
from loom.grid import DEFAULT_CYCLE


def mlp(seed=1):
    return Network.stack(Dense(6, 5, "tanh"), Dense(5, 3, "sigmoid"), seed=seed)


def test_a_new_network_cycles_through_the_five_activations():
    net = Network(16, 2, 2, 3, seed=0)
    names = [
        net.get_activation(r, c, k) for r in (0, 1) for c in (0, 1) for k in range(3)
    ]
    assert names == [DEFAULT_CYCLE[i % 5] for i in range(12)]
    x = np.linspace(-1, 1, 16, dtype=np.float32)
    expected = x
    for name in names:
        expected = loom.activation(name)(expected)
    np.testing.assert_array_equal(net.forward_cpu(x)[0], expected)


@pytest.mark.parametrize(("size", "grid"), [(4096, (4, 4, 5)), (8, (10, 10, 10))])
def test_large_grids_run_forward_and_backward(size, grid):
    net = Network(size, *grid, seed=0)
    assert net.total_layers() == np.prod(grid)
    y, nanoseconds = net.forward_cpu(np.full((2, size), 0.5))
    assert y.shape == (2, size)
    assert np.isfinite(y).all()
    assert nanoseconds > 0
    dx, _ = net.backward_cpu(np.ones_like(y))
    assert dx.shape == (2, size)


def test_data_flows_row_by_row_column_by_column_layer_by_layer():
    net = Network(2, 2, 2, 1, seed=0)
    for index, (row, col) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        dense = Dense(index + 2, index + 3, "linear")
        net.set_layer(row, col, 0, dense)
    assert net.forward_cpu(np.ones((1, 2)))[0].shape == (1, 6)


def test_one_seed_decides_everything():
    same, again, other = mlp(1), mlp(1), mlp(2)
    weights = [n.parameters()[0]["weight"] for n in (same, again, other)]
    assert (weights[0] == weights[1]).all()
    assert (weights[0] != weights[2]).all()
    assert (
        same.parameters()[0]["weight"][:3, :3] != same.parameters()[1]["weight"][:3, :3]
    ).all()


def test_he_initialisation():
    net = Network.stack(Dense(400, 300, "relu"), seed=3)
    weight = net.parameters()[0]["weight"]
    assert abs(weight.var() * 400 / 2 - 1) < 0.02
    assert (net.parameters()[0]["bias"] == 0).all()


def test_flat_and_batched_inputs_agree():
    net, x = mlp(), np.linspace(-1, 1, 24).reshape(4, 6)
    batched, _ = net.forward_cpu(x)
    net.set_batch_size(4)
    flat, _ = net.forward_cpu(x.ravel())
    assert flat.shape == (12,)
    np.testing.assert_array_equal(flat.reshape(4, 3), batched)
    dx, _ = net.backward_cpu(np.ones(12))
    assert dx.shape == (24,)


def test_inputs_are_not_changed():
    net, x = mlp(), np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6)
    dy = np.ones((4, 3), np.float32)
    kept = x.copy(), dy.copy()
    net.forward_cpu(x)
    net.backward_cpu(dy)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(dy, kept[1])


def test_update_weights_is_gradient_descent():
    net, x = mlp(), np.linspace(-1, 1, 12).reshape(2, 6)
    net.forward_cpu(x)
    net.backward_cpu(np.ones((2, 3)))
    before = [w.copy() for p in net.parameters() for w in p.values()]
    gradients = [g for p in net.gradients() for g in p.values()]
    net.update_weights(0.5)
    after = [w for p in net.parameters() for w in p.values()]
    for old, gradient, new in zip(before, gradients, after, strict=True):
        np.testing.assert_allclose(new, old - 0.5 * gradient, rtol=1e-6)


def test_gradients_come_flat_for_the_wire():
    net = mlp()
    net.forward_cpu(np.ones((1, 6)))
    net.backward_cpu(np.ones((1, 3)))
    assert [g.shape for g in net.kernel_gradients()] == [(30,), (15,)]
    assert [g.shape for g in net.bias_gradients()] == [(5,), (3,)]


def test_the_network_keeps_a_copy_of_a_layer():
    layer = Dense(6, 3)
    one, two = Network.stack(layer, seed=1), Network.stack(layer, seed=1)
    one.parameters()[0]["weight"] += 1
    assert not layer.parameters
    assert (one.parameters()[0]["weight"] != two.parameters()[0]["weight"]).all()


def test_given_weights_are_kept():
    config = loom.init_dense_layer(2, 2, "linear") | {
        "Kernel": [1, 2, 3, 4],
        "Bias": [5, 6],
    }
    net = Network(2, 1, 1, 1)
    net.set_layer(0, 0, 0, config)
    np.testing.assert_array_equal(net.forward_cpu([[1, 1]])[0], [[9, 12]])


def test_setting_a_layer_discards_what_the_last_pass_left():
    net = mlp()
    net.forward_cpu(np.ones((1, 6)))
    net.set_layer(0, 0, 1, Dense(5, 4))
    with pytest.raises(ConfigError, match="run forward_cpu first"):
        net.backward_cpu(np.ones((1, 4)))


def error(kind, call) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_errors_say_where_expected_got_and_what_to_do():
    net = mlp()
    x = np.ones((1, 6))
    x[0, 2] = np.nan
    assert error(ShapeError, lambda: net.set_layer(0, 0, 1, Dense(4, 3))) == (
        "layer (0, 0, 1) Dense: expected x of shape (B, 4), got (B, 5). Set "
        "input_size=5. Or check layer (0, 0, 0) Dense, whose output is (B, 5)."
    )
    assert error(ShapeError, lambda: net.forward_cpu(np.ones((2, 7)))) == (
        "forward_cpu: expected x of shape (B, 6), at least one sample, got (2, 7)."
    )
    assert error(ShapeError, lambda: net.forward_cpu(np.ones(5))) == (
        "forward_cpu: expected 1 x 6 = 6 values (batch_size x input_size), got 5. "
        "Set batch_size, or pass an array of (B, 6)."
    )
    assert error(InputError, lambda: net.forward_cpu(x)) == (
        "forward_cpu: expected finite numbers, got nan at index (0, 2). "
        "Clean the data first."
    )
    assert error(ConfigError, lambda: net.set_layer(0, 1, 0, Dense(4, 3))) == (
        "col of the grid: expected 0 to 0, got 1."
    )
    assert error(ConfigError, lambda: Dense(4, 3, "rely")) == (
        "Dense: activation: unknown activation 'rely'. Did you mean 'relu'? Known: "
        + ", ".join(loom.activations.NAMES)
        + "."
    )


@pytest.mark.parametrize(
    "config",
    [
        {"Type": 0, "InputHeight": 6},
        {"Type": 0, "InputHeight": 6, "OutputHeight": 5, "Actvation": 1},
        {"Type": 99},
        {"InputHeight": 6, "OutputHeight": 5},
        {"Type": True, "InputHeight": 6, "OutputHeight": 5},
        {"Type": 0, "InputHeight": -6, "OutputHeight": 5},
        {"Type": 0, "InputHeight": 2**31, "OutputHeight": 5},
        {"Type": 0, "InputHeight": 2**30, "OutputHeight": 2**30},
        {"Type": 0, "InputHeight": "6", "OutputHeight": 5},
        {"Type": 0, "InputHeight": 6, "OutputHeight": 5, "Activation": 77},
        {"Type": 0, "InputHeight": 6, "OutputHeight": 5, "Kernel": [1, 2]},
        {"Type": 0, "InputHeight": 6, "OutputHeight": 5, "Kernel": ["a"] * 30},
        {"Type": 0, "InputHeight": 6, "OutputHeight": 5, "Bias": [np.nan] * 5},
        "not json",
        [],
    ],
)
def test_a_bad_configuration_is_refused_and_changes_nothing(config):
    net, x = mlp(), np.ones((1, 6))
    before, _ = net.forward_cpu(x)
    with pytest.raises(loom.LoomError):
        net.set_layer(0, 0, 0, config)
    np.testing.assert_array_equal(net.forward_cpu(x)[0], before)


@pytest.mark.parametrize(
    "sizes",
    [(0, 1, 1, 1), (4, -1, 1, 1), (4, 1, 1, 1.5), (4, 10**4, 10**4, 1), ("4", 1, 1, 1)],
)
def test_bad_grids_are_refused(sizes):
    with pytest.raises(ConfigError):
        Network(*sizes)


def test_layers_may_be_set_in_any_order():
    net = Network(6, 1, 1, 3, seed=0)
    net.set_layer(0, 0, 2, Dense(4, 3))
    net.set_layer(0, 0, 0, Dense(6, 5))
    message = error(ShapeError, lambda: net.forward_cpu(np.ones((1, 6))))
    assert message.startswith("layer (0, 0, 2) Dense: expected x of shape (B, 4)")
    net.set_layer(0, 0, 1, Dense(5, 4))
    assert net.forward_cpu(np.ones((1, 6)))[0].shape == (1, 3)


def test_a_neighbour_after_is_checked_too():
    net = mlp()
    message = error(ShapeError, lambda: net.set_layer(0, 0, 0, Dense(6, 4)))
    assert message.startswith("layer (0, 0, 1) Dense: expected x of shape (B, 5)")
    assert "layer (0, 0, 0) Dense, whose output is (B, 4)" in message


def test_stack_needs_a_shape_it_can_know():
    assert "Set input_shape" in error(ConfigError, lambda: Network.stack(Elementwise()))
    net = Network.stack(Elementwise("tanh"), input_shape=(2, 3))
    assert net.forward_cpu(np.ones((4, 2, 3)))[0].shape == (4, 2, 3)


def test_values_whose_squares_overflow_are_finite_all_the_same():
    net = Network(2, 1, 1, 1)
    y, _ = net.forward_cpu([1e30, -1e30])
    np.testing.assert_allclose(y, [1.1e30, 0])


def test_a_layer_that_memory_cannot_hold_is_refused(monkeypatch):
    from loom import grid

    monkeypatch.setattr(grid, "available_memory", lambda: 10**9)
    net = Network(20_000, 1, 1, 1)
    with pytest.raises(ConfigError, match=r"need 3\.2 GB to be drawn, and 1\.0 GB are"):
        net.set_layer(0, 0, 0, Dense(20_000, 20_000))
    net.set_layer(0, 0, 0, Dense(20_000, 10))


def test_free_memory_is_known_or_unknown():
    from loom import grid

    free = grid.available_memory()
    assert free is None or free > 0


def test_a_new_layer_makes_old_passes_and_gradients_void():
    net = Network.stack(Dense(3, 4), Dense(4, 2), seed=1)
    net.forward_cpu([[1, 2, 3]])
    net.backward_cpu([[1, 1]])
    net.set_layer(0, 0, 0, Dense(3, 4, "tanh"))
    net.shapes()  # lays out the passes anew
    with pytest.raises(ConfigError, match="backward_cpu: run forward_cpu first"):
        net.backward_cpu([[1, 1]])
    with pytest.raises(ConfigError, match="run forward_cpu and backward_cpu first"):
        net.update_weights(0.1)


def test_a_pass_that_fails_leaves_none_behind(monkeypatch):
    net = Network.stack(Dense(3, 4), Dense(4, 2), seed=1)
    net.forward_cpu([[1, 2, 3]])

    def fail(x, run):
        raise MemoryError

    monkeypatch.setattr(net.layers[1], "forward", fail)
    with pytest.raises(MemoryError):
        net.forward_cpu([[1, 2, 3]])
    with pytest.raises(ConfigError, match="backward_cpu: run forward_cpu first"):
        net.backward_cpu([[1, 1]])


def test_a_copy_shares_no_layer():
    net = Network.stack(Dense(3, 4), Dense(4, 2), seed=1)
    before, _ = net.forward_cpu([[1, 2, 3]])
    other = copy.copy(net)
    other.train([([[1, 2, 3]], [[5, 5]])], {"Epochs": 3})
    assert type(other) is Network
    np.testing.assert_array_equal(net.forward_cpu([[1, 2, 3]])[0], before)
    assert not np.allclose(other.forward_cpu([[1, 2, 3]])[0], before)
