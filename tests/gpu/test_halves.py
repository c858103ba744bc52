"""Weights and activations stored in halves, and what training then keeps."""

import numpy as np
import pytest

import loom
from loom import random
from loom.examples import example
from loom.gpu import detector, packed, training
from loom.gpu.builder import Builder
from loom.gpu.kernels import optimize
from loom.gpu.native import Store
from loom.training import TrainingConfig
from loom.training.optimizers import BY_NAME
from tests.compare import assert_close
from tests.gpu.nets import make, train


@pytest.fixture(autouse=True)
def halves(device):
    """Skip where the GPU has none."""
    if not device.limits.f16:
        pytest.skip("this GPU has no shader-f16")


@pytest.mark.parametrize(("name", "epochs"), [("digits", 30), ("digits-conv", 3)])
def test_examples_train_as_well_in_three_fifths_of_the_memory(adapter, name, epochs):
    row = example(name)
    accuracy, nbytes = {}, {}
    for precision in ("f32", "f16"):
        net, task = row.build(1)
        net.init_gpu(precision=precision)
        net.train(task.training, row.settings(task, epochs=epochs, use_gpu=True))
        info, control = net.gpu_info(), net.session().read_control()
        assert info["precision"] == precision
        assert control.status == 0
        assert control.loss_scale >= 1
        assert control.done + control.skipped == epochs * 45
        nbytes[precision] = info["bytes"]
        net.release_gpu()
        accuracy[precision] = row.evaluate(net, task)[1]
    held_out = len(task.held_out[0])
    assert accuracy["f32"] > 0.95
    assert abs(accuracy["f16"] - accuracy["f32"]) <= 0.005 + 1 / held_out
    assert nbytes["f16"] <= 0.6 * nbytes["f32"]


RULES = {
    "adam": {"optimizer": "adam"},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "momentum": {"momentum": 0.9, "weight_decay": 0.1},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "sgd": {},
}
SEED, NUMBER, RATE, SCALE = 9, 4, 0.02, 512.0


@pytest.mark.parametrize("name", RULES)
def test_an_update_is_the_one_in_numpy(device, name):
    """Every bit that is kept, but for float32's own rounding in between."""
    config = TrainingConfig(**RULES[name])
    rng = np.random.default_rng(3)
    layer = loom.Dense(300, 41)
    layer.initialize(0)
    b = Builder([layer], device.limits, stored="f16", training=True)
    b.part = "clip"
    optimize.decide(b, b.input("loss", (1, 2)), optimize.norm(b), config)
    b.part = "update"
    optimize.update(b, config)
    store = Store(device)
    loaded = device.load(b.finish(), store)
    n = b.layout.weight_arenas[0]
    w = (0.1 * rng.standard_normal(n)).astype(np.float32)
    g = (SCALE * 0.01 * rng.standard_normal(n)).astype(np.float16)
    slots = {
        "first": (0.002 * rng.standard_normal(n)).astype(np.float32),
        "second": (0.01 * rng.random(n)).astype(np.float32) ** 2,
        "momentum": (0.02 * rng.standard_normal(n)).astype(np.float32),
    }
    slots = {key: slots[key] for key in optimize.slots_of(config)}
    codes = packed.split_slots(slots) | {"gradient.half": g}
    codes |= dict(zip(("half", "weight.rest"), packed.split_weight(w), strict=True))
    control = optimize.Control(
        done=2, first=1 - 0.9**2, second=1 - 0.999**2, next_scale=SCALE
    )
    try:
        for role, values in codes.items():
            device.write(store.buffers[f"{role}.0"], 0, values)
        device.write(store.buffers["control"], 0, control.to_bytes())
        loaded.write("loss", np.float32([[1, 0]]))
        loaded.write_step(optimize.step_block(SEED, NUMBER, RATE, 0))
        loaded.run(["clip", "update"])
        after = {
            role: device.read(store.buffers[f"{role}.0"], 0, values.nbytes)
            for role, values in codes.items()
        }
    finally:
        loaded.close()
        store.close()

    def kept(role, codes):
        parts = packed.parts_of(role, "f16")
        return packed.joined(role, [codes[part] for part in parts], "f16")

    net = loom.Network.stack(layer, seed=1)
    update = BY_NAME[config.optimizer](net, config)
    update.steps = 3
    if "first" in slots:
        update.prepare(RATE)
    else:
        update.rate = RATE
    exact = {key: kept(f"slot.{key}", codes).copy() for key in slots}
    w, g = w.copy(), g.astype(np.float32) / np.float32(SCALE)
    update.update(w, g, np.empty_like(w), np.empty_like(w), *exact.values())
    found = kept("weight", after)
    assert_close(found, w, "forward", "weights")

    noise = random.words(SEED, n, step=NUMBER, purpose=random.ROUNDING)
    expected = packed.split_slots(exact, noise)
    for role, code in expected.items():
        same = after[role].view(code.dtype) == code
        assert same.mean() > 0.999, role
    for key, value in exact.items():
        # Rounded to either neighbour: no bias is left over many values.
        error = (kept(f"slot.{key}", after) - value) / np.abs(value).mean()
        assert 1e-4 < np.abs(error).max() < 0.5
        assert abs(error.mean()) < 6 * error.std() / np.sqrt(n)


def test_a_gradient_that_no_half_holds_leaves_the_step_out(adapter):
    net = loom.Network.stack(loom.Dense(1, 1, "linear"), seed=1)
    net.init_gpu(precision="f16")
    before = net.layers[0].parameters["weight"].copy()
    x, t = np.full((1, 1), 100, np.float32), np.full((1, 1), 2, np.float32)
    settings = {"learning_rate": 1e-6, "epochs": 24, "use_gpu": True}
    net.train([(x, t)], TrainingConfig(**settings))
    control = net.session().read_control()
    assert control.skipped > 0
    assert control.done > 0
    assert control.done + control.skipped == 24
    assert control.loss_scale == 65536 / 2**control.skipped
    moved = net.layers[0].parameters["weight"] - before
    assert 0 < abs(float(moved[0, 0])) < 1


def test_a_run_goes_on_from_its_checkpoint(adapter, tmp_path, monkeypatch):
    """With its scale of the loss: too large at first, so that steps are left out."""
    monkeypatch.setattr(training, "FIRST_SCALE", 2.0**18)
    settings = {"optimizer": "adam", "learning_rate": 0.01, "use_gpu": True}
    nets = [make() for _ in range(3)]
    for net in nets:
        net.init_gpu(precision="f16")
    whole = train(nets[0], **settings)
    path = str(tmp_path / "run.checkpoint")
    train(nets[1], lambda e: e.step < 9, checkpoint_path=path, **settings)
    again = train(nets[2], checkpoint_path=path, resume=True, **settings)
    assert 0 < nets[0].session().read_control().skipped < 9
    assert nets[2].session().read_control().skipped == 0
    assert again.loss_history == whole.loss_history
    for a, b in zip(nets[0].layers, nets[2].layers, strict=True):
        for name, value in a.parameters.items():
            assert_close(b.parameters[name], value, "trace", name)


def test_two_devices_train_as_one(adapter, monkeypatch):
    monkeypatch.setattr(detector, "adapters", lambda: [adapter, adapter])
    one, two = make(), make()
    one.init_gpu(precision="f16")
    two.init_gpu(precision="f16", devices="all")
    settings = {"optimizer": "adam", "learning_rate": 0.01, "batch_size": 9}
    expected, actual = (train(net, use_gpu=True, **settings) for net in (one, two))
    assert_close(actual.loss_history, expected.loss_history, "half", "losses")
    sessions = two.session().sessions
    for role in ("half", "weight.rest", "slot.first.ratio", "slot.second.short"):
        same = [row.read_arena(role, 0) for row in sessions]
        assert (same[0] == same[1]).all()
    two.release_gpu()


def test_masters_are_full_although_halves_are_stored(device):
    """Steps below a half's precision add up."""
    net = loom.Network.stack(loom.Dense(1, 1, "linear"), seed=1)
    net.layers[0].parameters["weight"][:] = 1
    net.init_gpu(precision="f16")
    x, t = np.ones((1, 1), np.float32), np.full((1, 1), 2, np.float32)
    rate = 1e-6
    settings = {"learning_rate": rate, "epochs": 100, "use_gpu": True}
    net.train([(x, t)], TrainingConfig(**settings))
    moved = float(net.layers[0].parameters["weight"][0, 0]) - 1
    assert 0.9 * 200 * rate < moved < 200 * rate
