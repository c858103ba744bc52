"""The networks and data that the tests of sessions share."""

import numpy as np

import loom
from loom.training import TrainingConfig
from tests.compare import assert_close

RNG = np.random.default_rng(11)
X = RNG.standard_normal((40, 12)).astype(np.float32)
CLASSES = RNG.integers(0, 4, 40)
OPTIMIZERS = {
    "sgd": {},
    "momentum": {"momentum": 0.9, "weight_decay": 0.01},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "adam": {"optimizer": "adam", "weight_decay": 0.01},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "clip": {"gradient_clip": 0.05},
    "schedule": {"schedule": "cosine", "warmup_steps": 3},
}


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


def train(net, callback=None, **settings):
    settings = {"loss_type": "cross_entropy", "batch_size": 7, "epochs": 3} | settings
    return net.train((X, CLASSES), TrainingConfig(**settings), callback)


def config(**settings):
    return TrainingConfig(**({"loss_type": "cross_entropy"} | settings))
