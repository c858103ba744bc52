"""Examples on the handwritten digits."""

from loom import data
from loom.examples.example import Example, Task
from loom.layers import BatchNorm, Conv2D, Dense, Dropout, MaxPool2D
from loom.network import Network

CLASSES = tuple(str(digit) for digit in range(10))


def flat(seed: int) -> Task:
    """Images as 64 values, a fifth held out."""
    images, labels = data.digits()
    train, held_out = data.split(images.reshape(-1, 64), labels, seed=seed)
    return Task(train, held_out, CLASSES, target="digit")


DIGITS = Example(
    "digits",
    "Handwritten digits, dense",
    "1,797 handwritten digits of 8x8 pixels by a dense network 64-128-10; a fifth is "
    "held out.",
    "image",
    flat,
    lambda task, seed: Network.stack(
        Dense(64, 128, "scaled_relu"), Dense(128, 10, "linear"), seed=seed
    ),
    {
        "epochs": 30,
        "batch_size": 32,
        "learning_rate": 0.01,
        "optimizer": "adam",
        "schedule": "cosine",
        "loss_type": "softmax_cross_entropy",
    },
    goal=0.96,
    drawable=True,
)


def convolutional(task: Task, seed: int) -> Network:
    """Two convolutions, a pool, and two dense layers."""
    return Network.stack(
        Conv2D(8, 8, 1, kernel_size=3, padding=1, filters=16, activation="relu"),
        BatchNorm(16),
        Conv2D(8, 8, 16, kernel_size=3, padding=1, filters=32, activation="relu"),
        MaxPool2D(2),
        BatchNorm(32),
        Dropout(0.25),
        Dense(512, 64, "relu"),
        Dense(64, 10, "linear"),
        seed=seed,
    )


DIGITS_CONV = Example(
    "digits-conv",
    "Handwritten digits, convolutional",
    "The same digits by a convolutional network of 38,378 parameters; a fifth is held "
    "out.",
    "image",
    flat,
    convolutional,
    DIGITS.config | {"epochs": 15, "learning_rate": 0.003},
    goal=0.98,
    drawable=True,
)

ROWS = (DIGITS, DIGITS_CONV)
