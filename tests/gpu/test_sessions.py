"""A network on the device: arrays in two places, training, programs, memory."""

import copy
import pickle

import numpy as np
import pytest

import loom
from loom import data
from loom.errors import ConfigError, DeviceError, ShapeError, TrainingError
from loom.gpu import detector
from loom.training import Trainer, TrainingConfig
from tests.compare import assert_close

RNG = np.random.default_rng(11)
X = RNG.standard_normal((40, 12)).astype(np.float32)
CLASSES = RNG.integers(0, 4, 40)


def make(seed=1, last="softmax"):
    return loom.Network.stack(
        loom.Dense(12, 9, "gelu"),
        loom.Elementwise("tanh"),
        loom.Elementwise("softplus"),
        loom.layers.Dropout(0.25),
        loom.Dense(9, 4, last),
        seed=seed,
    )


def assert_same(net, what):
    expected, _ = net.forward_cpu(X)
    actual, _ = net.forward_gpu(X)
    assert_close(actual, expected, "forward", what)


@pytest.fixture
def net(adapter):
    net = make()
    net.init_gpu()
    yield net
    net.release_gpu()


# Python's writes reach the device -----------------------------------------------------


def test_every_way_to_write_a_weight_reaches_the_device(net):
    first = net.layers[0]
    assert_same(net, "at first")
    first.parameters["weight"] *= 0.5
    assert_same(net, "in place, through the layer")
    held = first.parameters["weight"]
    assert_same(net, "held")
    held += 0.1
    assert_same(net, "in place, through a reference from before")
    row = held[2:5]
    del held
    row[:] = 3
    assert_same(net, "through a view, its base forgotten")
    del row
    net.parameters()[4]["bias"][:] = 1
    assert_same(net, "through the network")
    first.parameters["weight"] = RNG.standard_normal((12, 9)).astype(np.float32)
    assert_same(net, "another array")
    first.set_parameter("bias", np.ones(9))
    assert_same(net, "set_parameter")
    first.parameters = {k: v + 1 for k, v in first.parameters.items()}
    assert_same(net, "another dict")
    net.set_layer(0, 0, 1, loom.Elementwise("relu"))
    assert_same(net, "another layer")
    for way in (dict, lambda d: {**d}, lambda d: d | {}, lambda d: d.copy()):
        copied = way(first.parameters)
        copied["weight"] *= 0.9
        del copied
        assert_same(net, "through a shallow copy of the dict")


def test_a_dict_from_before_init_gpu_counts_too(adapter):
    net = make()
    parameters = net.layers[0].parameters
    net.init_gpu()
    assert_same(net, "at first")
    parameters["weight"] = parameters["weight"] * 2
    assert_same(net, "assigned through the old dict")


def test_copies_are_apart_from_the_gpu(adapter):
    net = make()
    train(net, use_gpu=True)
    expected, _ = net.forward_gpu(X)
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert copied.open_session() is None
        assert_close(copied.forward_cpu(X)[0], expected, "forward", "the copy")
        copied.layers[0].parameters["weight"][:] = 0
        assert_close(net.forward_gpu(X)[0], expected, "forward", "the original")
        assert_same(copied, "the copy on its own session")
    net.release_gpu()


def test_what_nobody_touched_is_not_sent_again(net):
    net.forward_gpu(X)
    sent = []
    net.session().mirror._send = lambda: lambda *row: sent.append(row[:2])
    net.forward_gpu(X)
    assert sent == []
    _ = net.layers[0].parameters["bias"]
    net.forward_gpu(X)
    assert (0, "bias") in sent
    assert (4, "weight") not in sent


def test_an_array_of_another_shape_is_refused(net):
    net.forward_gpu(X)
    net.layers[0].parameters["bias"] = np.zeros(5, np.float32)
    with pytest.raises(ShapeError, match=r"layer \(0, 0, 0\) Dense: expected bias of"):
        net.forward_gpu(X)


# The device's come back ---------------------------------------------------------------


def train(net, callback=None, **settings):
    settings = {"loss_type": "cross_entropy", "batch_size": 7, "epochs": 3} | settings
    return net.train((X, CLASSES), TrainingConfig(**settings), callback)


def test_weights_come_back_when_they_are_read(adapter):
    cpu, gpu = make(), make()
    seen = {}

    def watch(net, name):
        def callback(event):
            if event.kind == "batch" and event.step in (3, 8):
                weight = net.layers[0].parameters["weight"].copy()
                seen[name, event.step] = weight
                seen[name, event.step, "file"] = net.save_model_to_string()

        return callback

    train(cpu, watch(cpu, "cpu"))
    train(gpu, watch(gpu, "gpu"), use_gpu=True)
    for step in (3, 8):
        assert_close(seen["gpu", step], seen["cpu", step], "trace", f"step {step}")
        assert seen["gpu", step, "file"] != seen["gpu", 11 - step, "file"]


def test_an_array_held_across_training_is_brought_up_to_date(adapter):
    net = make()
    held = net.layers[0].parameters["weight"]
    before = held.copy()
    train(net, use_gpu=True)
    assert held is net.layers[0].parameters["weight"]
    assert not (held == before).all()
    assert held.flags.writeable


def test_a_write_that_would_be_lost_raises(adapter):
    net = make()
    held = net.layers[0].parameters["weight"]
    with pytest.raises(ValueError, match="read-only"):
        train(net, lambda event: held.fill(0), use_gpu=True)


def test_a_write_in_a_callback_counts(adapter):
    cpu, gpu = make(), make()

    def halve(net):
        def callback(event):
            if event.kind == "batch" and event.step == 4:
                net.layers[0].parameters["weight"] *= 0.5

        return callback

    expected = train(cpu, halve(cpu))
    actual = train(gpu, halve(gpu), use_gpu=True)
    assert_close(actual.loss_history, expected.loss_history, "trace", "losses")


# Passes -------------------------------------------------------------------------------


def test_backward_and_gradients(net):
    for _ in range(2):  # the first forward pass does not know that backward follows
        expected, _ = net.forward_cpu(X)
        dy = RNG.standard_normal(expected.shape).astype(np.float32)
        dx, _ = net.backward_cpu(dy)
        gradients = net.gradients()
        y, nanoseconds = net.forward_gpu(X)
        assert nanoseconds > 0
        actual, _ = net.backward_gpu(dy)
        assert_close(y, expected, "forward", "y")
        assert_close(actual, dx, "gradient", "dx")
        for index, row in enumerate(net.gradients()):
            assert set(row) == set(gradients[index])
            for name, value in row.items():
                what = f"layer {index} d{name}"
                assert_close(value, gradients[index][name], "gradient", what)
    before = net.layers[0].parameters["weight"].copy()
    net.update_weights(0.1)
    step = before - net.layers[0].parameters["weight"]
    assert_close(step, 0.1 * gradients[0]["weight"], "gradient", "update")
    assert_same(net, "after the update")


def test_flat_arrays_and_batches_of_any_size(net):
    net.set_batch_size(3)
    y, _ = net.forward_gpu(X[:3].ravel())
    assert y.shape == (12,)
    assert net.backward_gpu(np.ones(12))[0].shape == (36,)
    for rows in (1, 2, 3, 40):
        assert_close(
            net.forward_gpu(X[:rows])[0], net.forward_cpu(X[:rows])[0], "forward", ""
        )
    for rows in range(1, 14):
        net.forward_gpu(X[:rows])
    assert net.gpu_info()["programs"] == 8


def test_what_is_refused(adapter):
    net = make()
    with pytest.raises(ConfigError, match=r"backward_gpu: run forward_gpu first\."):
        net.backward_gpu(np.ones((1, 4)))
    with pytest.raises(ConfigError, match=r"unknown precision 'f8'\."):
        net.init_gpu(precision="f8")
    with pytest.raises(ConfigError, match=r"unknown devices 'two'\."):
        net.init_gpu(devices="two")
    with pytest.raises(ShapeError, match="forward_gpu: expected x of shape"):
        net.forward_gpu(np.ones((2, 5)))
    net.forward_gpu(X)
    with pytest.raises(ShapeError, match="as forward_gpu returned"):
        net.backward_gpu(np.ones((2, 4)))
    with pytest.raises(ConfigError, match="expected a float32 network, got float64"):
        make().astype("float64").init_gpu()


def test_bad_token_ids_are_refused_before_they_reach_the_device(adapter):
    net = loom.Network.stack(loom.layers.Embedding(5, 3), input_shape=(4,), seed=1)
    with pytest.raises(loom.errors.InputError, match="expected whole token ids"):
        net.forward_gpu(np.array([[0, 1, 2, 5]]))


@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("before", [[], [loom.layers.Reshape((2, 3))]])
def test_token_ids_above_a_halfs_precision(device, precision, before):
    if not device.limits.f16:
        pytest.skip("this GPU has no shader-f16")
    net = loom.Network.stack(
        *before, loom.layers.Embedding(5000, 2), input_shape=(6,), seed=1
    )
    ids = np.array([[0, 2049, 4095, 4097, 4999, 3]])
    net.init_gpu(precision=precision)
    y, _ = net.forward_gpu(ids)
    expected = net.layers[-1].parameters["weight"][ids].reshape(y.shape)
    assert_close(y, expected, "half" if precision == "f16" else "forward", "rows")
    bad = np.array([[0, 1, 2, 3, 4, 5000]])
    with pytest.raises(loom.errors.InputError, match="expected whole token ids"):
        net.forward_gpu(bad)


# Training -----------------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": {},
    "momentum": {"momentum": 0.9, "weight_decay": 0.01},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "adam": {"optimizer": "adam", "weight_decay": 0.01},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "clip": {"gradient_clip": 0.05},
    "schedule": {"schedule": "cosine", "warmup_steps": 3},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(adapter, name):
    settings = {"learning_rate": 0.02} | OPTIMIZERS[name]
    cpu, gpu = make(), make()
    expected = train(cpu, **settings)
    actual = train(gpu, use_gpu=True, **settings)
    assert_close(actual.loss_history, expected.loss_history, "trace", "losses")
    # Adam divides by the square root of sums that may be all rounding.
    kind = "long" if "adam" in name else "trace"
    for a, b in zip(gpu.layers, cpu.layers, strict=True):
        for key, value in b.parameters.items():
            assert_close(a.parameters[key], value, kind, f"{name} {key}")


@pytest.mark.parametrize("row", loom.training.losses.LOSSES, ids=lambda row: row.name)
@pytest.mark.parametrize("classes", [False, True])
def test_losses(adapter, row, classes):
    if classes and not row.classes:
        return
    last = "linear" if row.name == "softmax_cross_entropy" else "softmax"
    t = CLASSES if classes else RNG.dirichlet(np.ones(4), 40).astype(np.float32)
    results = []
    for use_gpu in (False, True):
        net = make(last=last)
        settings = {"loss_type": row.name, "use_gpu": use_gpu, "batch_size": 9}
        results.append(net.train((X, t), TrainingConfig(epochs=4, **settings)))
    cpu, gpu = results
    assert_close(gpu.loss_history, cpu.loss_history, "trace", row.name)


def test_validation_and_the_events(adapter):
    kinds = {}
    for use_gpu in (False, True):
        events = []
        result = train(
            make(),
            events.append,
            use_gpu=use_gpu,
            validation_inputs=X,
            validation_targets=CLASSES,
        )
        kinds[use_gpu] = events, result
    (cpu, a), (gpu, b) = kinds[False], kinds[True]
    assert [e.kind for e in cpu] == [e.kind for e in gpu]
    for name in ("loss", "average_loss"):
        expected, actual = (
            [float(getattr(e, name) or 0) for e in events] for events in (cpu, gpu)
        )
        assert_close(actual, expected, "trace", name)
    for one, other in zip(a.validation_history, b.validation_history, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    assert gpu[0].to_wire()["Loss"] == gpu[0].loss


def test_a_step_is_one_submission(adapter, monkeypatch):
    net = make()
    trainer = Trainer(net, (X, CLASSES), config(batch_size=40, epochs=20, use_gpu=True))
    run = trainer.run()
    next(run)
    calls = []
    device = net.session().device
    submit = device.submit
    monkeypatch.setattr(
        device, "submit", lambda *row: (calls.append(row), submit(*row))
    )
    # One for the step; the epoch that it ends reads its loss.
    while (event := next(run)).kind != "batch":
        pass
    assert event.step == 2
    assert [bool(commands) for commands, _ in calls] == [False, True]


def config(**settings):
    return TrainingConfig(**({"loss_type": "cross_entropy"} | settings))


def test_a_stopped_run_goes_on(adapter):
    whole = train(make(), use_gpu=True, optimizer="adam", learning_rate=0.01)
    net = make()
    trainer = Trainer(
        net,
        (X, CLASSES),
        config(
            batch_size=7, epochs=3, use_gpu=True, optimizer="adam", learning_rate=0.01
        ),
    )
    for event in trainer.run():
        if event.kind == "batch" and event.step == 8:
            trainer.stop()
    assert trainer.result.stopped
    assert trainer.optimizer.steps == 8
    for _ in trainer.run():
        pass
    history = trainer.result.loss_history
    assert_close(history, whole.loss_history, "trace", "losses")


def test_a_checkpoint_written_on_the_gpu_goes_on_there(adapter, tmp_path):
    settings = {"optimizer": "adam", "learning_rate": 0.01, "use_gpu": True}
    whole = train(make(), **settings)
    path = str(tmp_path / "run.checkpoint")
    train(make(), lambda e: e.step < 9, checkpoint_path=path, **settings)
    net = make(seed=1)
    result = train(net, checkpoint_path=path, resume=True, **settings)
    assert_close(result.loss_history, whole.loss_history, "trace", "losses")


@pytest.mark.parametrize(
    ("last", "settings"),
    [
        ("linear", {"learning_rate": 1e30, "loss_type": "softmax_cross_entropy"}),
        ("linear", {"loss_type": "cross_entropy"}),
    ],
)
def test_a_step_that_fails_leaves_the_weights_of_before(adapter, last, settings):
    """The text is the CPU's, and so is every weight, however late the loss is read."""
    texts, nets = [], []
    for use_gpu in (False, True):
        net = make(last=last)
        with pytest.raises(TrainingError) as caught:
            train(net, use_gpu=use_gpu, **settings)
        texts.append(str(caught.value).split(", got")[0])
        nets.append(net)
    assert texts[0] == texts[1]
    for a, b in zip(nets[1].layers, nets[0].layers, strict=True):
        for key, value in b.parameters.items():
            assert_close(a.parameters[key], value, "long", key)
    assert nets[0].step == nets[1].step


def test_evaluation_mode_after_training(adapter):
    net = make()
    train(net, use_gpu=True)
    assert_same(net, "after training")
    score = net.evaluate_network(X, CLASSES).score
    net.release_gpu()
    assert net.evaluate_network(X, CLASSES).score == pytest.approx(score)


def test_metrics_on_the_device(adapter):
    """The same decisions as on the CPU, whatever form `expected` has."""
    t = RNG.integers(0, 4, (40, 3))
    net = loom.Network.stack(loom.Dense(12, 4), input_shape=(3, 12), seed=1)
    x = RNG.standard_normal((40, 3, 12)).astype(np.float32)
    one_hot = np.eye(4)[t]
    forms = (t, t.ravel(), one_hot, RNG.integers(0, 12, 40))
    expected = [net.evaluate_network(x, form) for form in forms]
    net.init_gpu()
    for form, metrics in zip(forms, expected, strict=True):
        actual = net.evaluate_network(x, form)
        assert (actual.actual == metrics.actual).all()
        assert (actual.expected == metrics.expected).all()
    net.release_gpu()


def test_decisions_of_ties_and_nan(device):
    from loom.evaluation import _greatest
    from loom.gpu.builder import Builder
    from loom.gpu.kernels.metric import greatest

    for columns in (1, 2, 3, 64, 65, 1000):
        y = RNG.integers(-3, 3, (50, columns)).astype(np.float32)
        y[RNG.random(y.shape) < 0.3] = np.nan
        y[7], y[8, 0] = np.nan, -np.inf
        b = Builder(limits=device.limits)
        b.output("z", greatest(b, b.input("y", y.shape), columns))
        run = device.load(b.finish())
        run.write("y", y)
        actual = run.run(["forward"], ("z",))[0]
        run.close()
        np.testing.assert_array_equal(actual, _greatest(y))


def test_info_and_reports(net):
    info = net.gpu_info()
    assert info["precision"] == "f32"
    assert info["bytes"] == net.session().nbytes()
    report = detector.detect()
    assert report["key"] == info["key"]
    assert report in [row | {"when": report["when"]} for row in detector.detect_all()]
    assert set(report["recommended"]) == {"workgroup", "tile", "budget_bytes"}


def test_loom_gpu_marks_the_one_that_is_taken(adapter):
    from typer.testing import CliRunner

    from loom.fabric.app import app

    result = CliRunner().invoke(app, ["gpu"])
    assert result.exit_code == 0
    name = adapter.info["device"]
    assert f"* {name}\n" in result.output
    assert "takes the one with *." in result.output


@pytest.mark.parametrize("policy", ["discrete", "integrated", "none"])
def test_a_policy_that_nothing_fits(adapter, monkeypatch, policy):
    if policy == detector.kind(adapter):
        return
    monkeypatch.setenv("LOOM_GPU", policy)
    with pytest.raises(DeviceError, match=policy):
        make().init_gpu()
    monkeypatch.setenv("LOOM_GPU", "fastest")
    with pytest.raises(ConfigError, match=r"LOOM_GPU: unknown policy 'fastest'\."):
        detector.detect()


def test_scanning_takes_one_that_works(adapter, monkeypatch):
    monkeypatch.setenv("LOOM_GPU", "scan")
    assert detector.detect()["name"]


# Several devices ----------------------------------------------------------------------


@pytest.fixture
def twice(adapter, monkeypatch):
    """The adapter, listed twice."""
    monkeypatch.setattr(detector, "adapters", lambda: [adapter, adapter])


def test_two_devices_train_as_one(twice):
    for settings in OPTIMIZERS.values():
        settings = {"learning_rate": 0.02} | settings
        one, two = make(), make()
        two.init_gpu(devices="all")
        expected = train(one, use_gpu=True, batch_size=9, **settings)
        actual = train(two, use_gpu=True, batch_size=9, **settings)
        info = two.gpu_info()
        assert info["devices"] == 2
        assert_close(actual.loss_history, expected.loss_history, "trace", "losses")
        for a, b in zip(two.layers, one.layers, strict=True):
            for key, value in b.parameters.items():
                kind = "long" if "optimizer" in settings else "trace"
                assert_close(a.parameters[key], value, kind, key)
        sessions = two.session().sessions
        same = [row.read_arena("weight", 0) for row in sessions]
        assert (same[0] == same[1]).all()
        two.release_gpu()


def test_a_batch_smaller_than_the_devices(twice):
    one, two = make(), make()
    two.init_gpu(devices="all")
    a, b = (
        net.train([(X[:1], CLASSES[:1])], config(epochs=3, use_gpu=True))
        for net in (one, two)
    )
    assert_close(b.loss_history, a.loss_history, "trace", "losses")


# Halves -------------------------------------------------------------------------------


def digits(batch=180, epochs=25, **settings):
    """(accuracy on 360 held-out digits, bytes on the device, the network)"""
    x, t = data.digits()
    x = x.reshape(-1, 64)
    net = loom.Network.stack(
        loom.Dense(64, 48, "relu"), loom.Dense(48, 10, "linear"), seed=2
    )
    precision = settings.pop("precision", None)
    if precision:
        net.init_gpu(precision=precision)
    net.train(
        (x[:1440], t[:1440]),
        TrainingConfig(
            epochs=epochs,
            batch_size=batch,
            learning_rate=0.01,
            optimizer="adam",
            loss_type="softmax_cross_entropy",
            use_gpu=precision is not None,
            **settings,
        ),
    )
    y = (net.forward_gpu if precision else net.forward_cpu)(x[1440:])[0]
    accuracy = float((y.argmax(1) == t[1440:]).mean())
    return accuracy, net.gpu_info()["bytes"] if precision else 0, net


def test_digits_train_with_halves(device):
    if not device.limits.f16:
        pytest.skip("this GPU has no shader-f16")
    full, _, _ = digits(precision="f32")
    half, _, net = digits(precision="f16")
    assert net.gpu_info()["precision"] == "f16"
    assert full > 0.9
    assert abs(half - full) <= 0.005 + 1 / 357
    control = net.session().read_control()
    assert control.status == 0
    assert control.loss_scale >= 1
    assert control.done + control.skipped == 25 * 8


def test_convolutions_train_with_halves_in_half_the_memory(device):
    if not device.limits.f16:
        pytest.skip("this GPU has no shader-f16")
    x, t = data.digits()
    results = {}
    for precision in ("f32", "f16"):
        net = loom.Network.stack(
            loom.Conv2D(8, 8, 1, 3, 1, 1, 8, "relu"),
            loom.Conv2D(8, 8, 8, 3, 2, 1, 8, "relu"),
            loom.Dense(128, 10, "linear"),
            seed=2,
        )
        net.init_gpu(precision=precision)
        settings = {"optimizer": "adam", "learning_rate": 0.01, "epochs": 3}
        settings |= {"loss_type": "softmax_cross_entropy", "use_gpu": True}
        net.train((x[:1440], t[:1440]), TrainingConfig(batch_size=144, **settings))
        nbytes = net.gpu_info()["bytes"]
        y, _ = net.forward_gpu(x[1440:].reshape(-1, 64))
        results[precision] = float((y.argmax(1) == t[1440:]).mean()), nbytes
        net.release_gpu()
    (full, large), (half, small) = results["f32"], results["f16"]
    assert full > 0.5
    assert abs(half - full) <= 0.005 + 1 / 357
    assert small <= 0.6 * large


def test_masters_are_full_although_halves_are_stored(device):
    """Steps below a half's precision add up."""
    if not device.limits.f16:
        pytest.skip("this GPU has no shader-f16")
    net = loom.Network.stack(loom.Dense(1, 1, "linear"), seed=1)
    net.layers[0].parameters["weight"][:] = 1
    net.init_gpu(precision="f16")
    x, t = np.ones((1, 1), np.float32), np.full((1, 1), 2, np.float32)
    rate = 1e-6
    settings = {"learning_rate": rate, "epochs": 100, "use_gpu": True}
    net.train([(x, t)], TrainingConfig(**settings))
    moved = float(net.layers[0].parameters["weight"][0, 0]) - 1
    assert 0.9 * 200 * rate < moved < 200 * rate


def test_a_gpu_without_halves_says_so(device, adapter, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(device, "limits", replace(device.limits, f16=False))
    net = make()
    with pytest.raises(DeviceError, match="precision='f16' needs shader-f16"):
        net.init_gpu(precision="f16")
    net.init_gpu(precision="auto")
    assert net.gpu_info()["precision"] == "f32"
    net.release_gpu()
