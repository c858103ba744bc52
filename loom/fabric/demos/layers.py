"""Demos of layers: each trains on something that needs it, and is verified."""

from collections.abc import Callable

import numpy as np

from loom import data, examples
from loom.examples import Example, Task
from loom.examples.digits import CLASSES, flat
from loom.examples.sequences import LENGTH, ORDERS, order
from loom.examples.text import write
from loom.fabric.demos.demo import Demo, Stage
from loom.fabric.demos.verify import verify
from loom.layers import (
    GRU,
    QRNN,
    RNN,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LayerNorm,
    MaxPool1D,
    MaxPool2D,
    Residual,
    RMSNorm,
)
from loom.network import Network

_ADAM = {
    "batch_size": 32,
    "learning_rate": 0.01,
    "optimizer": "adam",
    "schedule": "cosine",
    "gradient_clip": 1.0,
    "loss_type": "softmax_cross_entropy",
}


def layer_demo(
    number: int, name: str, title: str, example: Callable[[], Example], **changes
) -> Demo:
    """Train an example, then verify goal, gradients, file and GPU."""

    def play(stage: Stage) -> None:
        row = example()
        net, task, trainer = stage.train(row, **changes)
        history = trainer.result.loss_history
        stage.check(
            f"the loss fell from {history[0]:.3g} to {history[-1]:.3g}",
            history[-1] < history[0],
        )
        _, value = row.evaluate(net, task)
        word = "at most" if row.metric == "loss" else "at least"
        stage.check(
            f"{row.metric} {value:.4g} on {len(task.held_out[0]):,} samples held out "
            f"({word} {row.goal:g})",
            row.reached(value),
        )
        verify(stage, net, np.asarray(task.held_out[0][:8], np.float32))
        if row.kind == "text":
            text = write(net, "Alice ", 160, seed=1)
            stage.say(f"\nit writes: {' '.join(text.split())}\n", "italic")

    return Demo(number, name, title, play)


def digits_by(name: str, about: str, layers: tuple[Layer, ...], goal: float) -> Example:
    """The digits by other layers."""

    def network(task: Task, seed: int) -> Network:
        return Network.stack(*layers, seed=seed)

    config = _ADAM | {"epochs": 10, "learning_rate": 0.003}
    about = f"1,797 handwritten digits by {about}; a fifth is held out."
    return Example(name, name, about, "image", flat, network, config, goal=goal)


def order_by(name: str, about: str, layers: tuple[Layer, ...], goal: float) -> Example:
    """The order of two symbols among 30 by other layers."""

    def network(task: Task, seed: int) -> Network:
        return Network.stack(*layers, input_shape=(LENGTH, 6), seed=seed)

    about = f"Which of X and Y came first and second, among 30 symbols, by {about}."
    config = _ADAM | {"epochs": 12}
    return Example(name, name, about, "sequence", order, network, config, goal=goal)


def signs_by_rnn() -> Example:
    """A short memory: the order of two symbols among nine."""
    length = 9

    def task(seed: int) -> Task:
        x, labels = data.temporal_order(2000, length, seed)
        train, held_out = data.split(x, labels, seed=seed)
        return Task(train, held_out, ORDERS, target="order")

    def network(task: Task, seed: int) -> Network:
        layers = RNN(6, 32, return_sequences=False), Dense(32, 4, "linear")
        return Network.stack(*layers, input_shape=(length, 6), seed=seed)

    about = "Which of X and Y came first and second, among 9 symbols, by an RNN."
    config = _ADAM | {"epochs": 12, "learning_rate": 0.005}
    return Example("rnn", "RNN", about, "sequence", task, network, config, goal=0.98)


def _last(units: int) -> Dense:
    return Dense(units, 4, "linear")


def _conv(*shape: int) -> Conv2D:
    height, channels, filters = shape
    return Conv2D(
        height, height, channels, kernel_size=3, padding=1, filters=filters,
        activation="relu",
    )  # fmt: skip


def residual_layers() -> tuple[Layer, ...]:
    """Twelve tanh layers in six blocks, each with its way around."""
    layers: list[Layer] = [Dense(64, 64, "linear")]
    for block in range(6):
        norm = LayerNorm(64) if block % 2 else RMSNorm(64)
        before = len(layers) - 1
        layers += [norm, Dense(64, 64, "tanh"), Dense(64, 64, "linear")]
        layers.append(Residual((0, 0, before)))
    return (*layers, Dense(64, len(CLASSES), "linear"))


FIRST = (
    layer_demo(9, "dense", "Dense", lambda: examples.example("digits")),
    layer_demo(10, "conv2d", "Conv2D", lambda: examples.example("digits-conv")),
    layer_demo(
        11, "attention", "Multi-Head Attention", lambda: examples.example("alice")
    ),
    layer_demo(12, "rnn", "RNN", signs_by_rnn),
    layer_demo(13, "lstm", "LSTM", lambda: examples.example("order-lstm")),
)
LATER = (
    layer_demo(
        16,
        "gru",
        "GRU",
        lambda: order_by(
            "gru",
            "a GRU of 32 units",
            (GRU(6, 32, return_sequences=False), _last(32)),
            0.98,
        ),
    ),
    layer_demo(
        17, "sru", "SRU, parallel over time", lambda: examples.example("order-sru")
    ),
    layer_demo(
        18,
        "qrnn",
        "QRNN, parallel over time",
        lambda: order_by(
            "qrnn",
            "two QRNN layers of 32 units",
            (QRNN(6, 32), QRNN(32, 32, return_sequences=False), _last(32)),
            0.98,
        ),
    ),
    layer_demo(
        19,
        "conv1d",
        "Conv1D and MaxPool1D",
        lambda: order_by(
            "conv1d",
            "convolution over time",
            (
                Conv1D(6, 32, kernel_size=5, padding=2, activation="relu"),
                MaxPool1D(3),
                Conv1D(32, 32, kernel_size=5, padding=2, activation="relu"),
                MaxPool1D(2),
                Flatten(),
                _last(160),
            ),
            0.95,
        ),
    ),
    layer_demo(
        20,
        "pooling",
        "Pooling, BatchNorm and Dropout",
        lambda: digits_by(
            "pooling",
            "convolutions with both poolings, batch normalisation and dropout",
            (
                _conv(8, 1, 16),
                BatchNorm(16),
                MaxPool2D(2),
                _conv(4, 16, 32),
                AvgPool2D(2),
                Dropout(0.2),
                Flatten(),
                Dense(128, 10, "linear"),
            ),
            0.96,
        ),
    ),
    layer_demo(
        21,
        "residual",
        "Residual, LayerNorm and RMSNorm",
        lambda: digits_by(
            "residual",
            "fourteen dense layers with ways around them",
            residual_layers(),
            0.94,
        ),
    ),
    layer_demo(22, "wine", "A table: Wine", lambda: examples.example("wine")),
)
