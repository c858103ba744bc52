"""Several runs that train one network on one GPU, and what happens to it meanwhile."""

import pytest

import loom
from loom.errors import ConfigError, DeviceError, TrainingError
from loom.training import Trainer
from tests.compare import assert_close
from tests.gpu.nets import CLASSES, X, config, make, train

ADAM = {"optimizer": "adam", "learning_rate": 0.01, "batch_size": 7, "epochs": 3}


def assert_same_weights(net, expected):
    for index, (a, b) in enumerate(zip(net.layers, expected.layers, strict=True)):
        for name, value in b.parameters.items():
            assert_close(a.parameters[name], value, "trace", f"layer {index} {name}")


def trainers(net, use_gpu, *settings):
    return [
        Trainer(net, (X, CLASSES), config(use_gpu=use_gpu, **ADAM | row))
        for row in settings
    ]


def test_two_runs_by_turns_keep_their_own_state(adapter):
    nets, results = [make(), make()], []
    for net, use_gpu in zip(nets, (True, False), strict=True):
        pair = trainers(net, use_gpu, {}, {"beta1": 0.5, "learning_rate": 0.003})
        runs = [row.run() for row in pair]
        for _ in range(20):  # events of 18 batches each, and of epochs
            for run in runs:
                next(run)
        for run in runs:
            for _ in run:
                pass
        results.append([row.result.loss_history for row in pair])
    assert_same_weights(*nets)
    for ours, wanted in zip(*results, strict=True):
        assert_close(ours, wanted, "trace", "losses")


def test_a_run_that_another_took_the_device_from_says_how_it_failed(adapter):
    net = make(last="linear")
    # No probabilities come, so that its first step fails; nobody has asked yet.
    bad, good = trainers(net, True, {}, {"loss_type": "softmax_cross_entropy"})
    failing, run = bad.run(), good.run()
    for _ in range(3):
        next(failing)
    for _ in range(3):
        assert next(run).loss > 0
    with pytest.raises(TrainingError, match="epoch 1, batch 1 of 6: cross_entropy"):
        next(failing)
    assert next(run).loss > 0


@pytest.mark.parametrize(
    ("method", "options"), [("release_gpu", ()), ("init_gpu", ("f16",))]
)
def test_a_gpu_that_is_taken_from_a_run(adapter, method, options):
    net, expected = make(), make()
    seen = []

    def callback(event):
        seen.append(event)
        if event.step == 4:
            getattr(net, method)(*options)

    with pytest.raises(DeviceError, match="took the GPU from what runs on it"):
        train(net, callback, use_gpu=True)
    trainer = Trainer(expected, (X, CLASSES), config(batch_size=7, epochs=3))
    for event in trainer.run():
        if event.step == 4:
            break
    assert_same_weights(net, expected)
    assert_close(seen[3].average_loss, event.average_loss, "trace", "loss")


def test_a_gpu_released_between_two_parts_of_a_run(adapter):
    whole, net = make(), make()
    train(whole, use_gpu=True, **ADAM)
    (trainer,) = trainers(net, True, {})
    for event in trainer.run():
        if event.step == 8:
            trainer.stop()
    net.release_gpu()
    for _ in trainer.run():
        pass
    assert_same_weights(net, whole)


def test_a_device_lost_in_a_callback_that_uses_it(adapter):
    net = make()

    def callback(event):
        if event.kind == "batch" and event.step == 4:
            net.session().device.destroy()
            net.forward_gpu(X)  # opens it again

    with pytest.warns(UserWarning, match="the GPU .* was lost"):
        result = train(net, callback, use_gpu=True, **ADAM)
    assert all(0 < loss < 2 for loss in result.loss_history)
    assert_close(net.forward_gpu(X)[0], net.forward_cpu(X)[0], "forward", "y")


@pytest.mark.parametrize("use_gpu", [False, True])
def test_a_layer_that_is_replaced_in_a_run(adapter, use_gpu):
    net = make()

    def callback(event):
        if event.step == 4:
            net.set_layer(0, 0, 0, loom.Dense(12, 9, "tanh"))

    with pytest.raises(ConfigError, match=r"^layer \(0, 0, 0\) Dense was replaced"):
        train(net, callback, use_gpu=use_gpu)
    train(net, use_gpu=use_gpu)
    assert_close(net.forward_gpu(X)[0], net.forward_cpu(X)[0], "forward", "y")
