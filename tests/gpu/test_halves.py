"""Weights and activations stored in halves."""

import numpy as np
import pytest

import loom
from loom import data
from loom.errors import DeviceError
from loom.training import TrainingConfig
from tests.gpu.nets import make


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
