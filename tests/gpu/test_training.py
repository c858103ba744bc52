"""Training on the device: optimizers, losses, events, failures, metrics."""

import numpy as np
import pytest

import loom
from loom.errors import TrainingError
from loom.training import Trainer, TrainingConfig
from tests.compare import assert_close
from tests.gpu.nets import CLASSES, OPTIMIZERS, RNG, X, assert_same, config, make, train


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
    for name in ("submit", "read"):
        method = getattr(device, name)
        monkeypatch.setattr(
            device,
            name,
            lambda *row, name=name, method=method: (calls.append(name), method(*row))[
                1
            ],
        )
    while (event := next(run)).kind != "batch":
        pass
    assert event.step == 2
    # The epoch before read its loss; then one for the step.
    assert calls == ["read", "submit", "submit"]


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
    assert trainer.result.loss_history == whole.loss_history


def test_a_checkpoint_written_on_the_gpu_goes_on_there(adapter, tmp_path):
    settings = {"optimizer": "adam", "learning_rate": 0.01, "use_gpu": True}
    expected, net = make(), make()
    whole = train(expected, **settings)
    path = str(tmp_path / "run.checkpoint")
    train(make(), lambda e: e.step < 9, checkpoint_path=path, **settings)
    result = train(net, checkpoint_path=path, resume=True, **settings)
    assert result.loss_history == whole.loss_history
    for a, b in zip(net.layers, expected.layers, strict=True):
        for name, value in b.parameters.items():
            assert np.array_equal(a.parameters[name], value), name  # bit for bit


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


def test_training_again_makes_no_new_program(adapter):
    net = make()
    train(net, use_gpu=True)
    programs = net.gpu_info()["programs"]
    train(net, use_gpu=True, learning_rate=0.5, epochs=1)
    assert net.gpu_info()["programs"] == programs
    train(net, use_gpu=True, gradient_clip=1.0)
    assert net.gpu_info()["programs"] == 2 * programs
