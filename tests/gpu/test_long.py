"""Rows, batches and windows so long that llvmpipe would end the loops over them."""

import numpy as np
import pytest

import loom
from loom import layers as L
from loom.errors import DeviceError
from loom.gpu import lower
from loom.gpu.program import Limits
from loom.training import TrainingConfig
from tests.compare import assert_close

RNG = np.random.default_rng(2)
ROWS = {  # layer, sample shape, rows
    "softmax": (L.Softmax(), (33001,), 2),
    "softmax across": (L.Softmax(0), (33001, 2), 1),
    "layer norm": (L.LayerNorm(22001), (22001,), 2),
    "rms norm": (L.RMSNorm(33001), (33001,), 2),
    "product": (L.Dense(300_001, 2, "linear"), (300_001,), 2),
    "gradient of a product": (L.Dense(2, 2, "linear"), (2,), 270_001),
    "small product": (L.Dense(70_001, 3, "linear"), (70_001,), 2),
    "images": (L.Conv2D(130, 2100, 1, 1, 1, 0, 1, "linear"), (1, 130, 2100), 1),
    "sequence": (L.Conv1D(1, 2, 2, activation="linear"), (270_001, 1), 1),
    "channels": (L.Conv2D(1, 1, 70_000, 1, 1, 0, 1, "linear"), (70_000, 1, 1), 1),
    "ids": (L.Embedding(2, 1), (70_001,), 1),
}


@pytest.mark.parametrize("name", ROWS)
def test_long_rows(adapter, name):
    layer, shape, rows = ROWS[name]
    net = loom.Network.stack(layer, input_shape=shape, seed=1)
    ids = isinstance(layer, L.Embedding)
    x = RNG.integers(0, 2, (rows, *shape)) if ids else RNG.random((rows, *shape))
    expected, _ = net.forward_cpu(x)
    dy = RNG.standard_normal(expected.shape)
    dx, _ = net.backward_cpu(dy)
    gradients = net.gradients()[0]
    assert_close(net.forward_gpu(x)[0], expected, "long", "y")
    assert_close(net.backward_gpu(dy)[0], dx, "long", "dx")
    for key, value in net.gradients()[0].items():
        assert_close(value, gradients[key], "long", key)
    net.release_gpu()


@pytest.mark.parametrize(("classes", "rows"), [(22_001, 2), (3, 66_001)])
def test_losses_over_many_classes_or_rows(adapter, classes, rows):
    nets = [
        loom.Network.stack(loom.Dense(2, classes, "linear"), seed=1) for _ in range(2)
    ]
    x, t = RNG.standard_normal((rows, 2)), RNG.integers(0, classes, rows)
    settings = {"epochs": 2, "batch_size": rows, "loss_type": "softmax_cross_entropy"}
    expected, actual = (
        net.train((x, t), TrainingConfig(use_gpu=use_gpu, **settings))
        for net, use_gpu in zip(nets, (False, True), strict=True)
    )
    assert_close(actual.loss_history, expected.loss_history, "trace", "losses")
    for name, value in nets[0].layers[0].parameters.items():
        assert_close(nets[1].layers[0].parameters[name], value, "trace", name)


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (L.MaxPool1D(0), (65_001, 2), "MaxPool1D: windows of 1 x 65001 are"),
        (L.AvgPool2D(0), (1, 260, 260), "AvgPool2D: windows of 260 x 260 are"),
        (L.QRNN(1, 1), (65_001, 1), "QRNN: 65,001 steps are"),
        (L.SRU(1, 1), (65_001, 1), "SRU: 65,001 steps are"),
        (L.Embedding(2, 1), (600_000,), "Embedding: 600,000 ids are"),
    ],
)
def test_what_a_processor_would_leave_out_is_refused(layer, shape, text):
    net = loom.Network.stack(layer, input_shape=shape, seed=1)
    with pytest.raises(DeviceError, match=rf"^layer \(0, 0, 0\) {text} too many for"):
        lower.lower(net, 1, "gradients", limits=Limits(software=True))
    assert lower.lower(net, 1, "gradients", limits=Limits()).dispatches
