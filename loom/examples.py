"""The examples that `loom train` and the page offer: data, network, settings.

One row an example. The page's menu, the command line and the tests read `EXAMPLES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loom import data
from loom.errors import ConfigError, known
from loom.layers import Dense
from loom.network import Network

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Example:
    """One thing to learn.

    Attributes:
        name: the word on the command line; title and about: for people.
        task: "classification" or "regression".
        classes: names of the classes; empty for a regression.
        settings: fields of TrainingConfig that differ from its defaults.
        network: seed -> a new network.
        data: the training and the held-out samples, the same for every seed.
        image: (H, W) when samples are images.
        drawable: whether a drawing can be prepared as a sample.
        columns: names of the input values of a table.
        standardise: train on standardised values (`loom.data.standard`), and fold them
            into the network that is saved.
    """

    name: str
    title: str
    about: str
    task: str
    classes: tuple[str, ...]
    settings: Mapping[str, Any]
    network: Callable[[int], Network]
    data: Callable[[], tuple[Pair, Pair]]
    image: tuple[int, int] | None = None
    drawable: bool = False
    columns: tuple[str, ...] = field(default=())
    standardise: bool = False


def example(name: str) -> Example:
    """The example of a name. Raises ConfigError that lists the known ones."""
    if name not in EXAMPLES:
        raise ConfigError(known(name, EXAMPLES, "example"))
    return EXAMPLES[name]


def chain(name: str, classes: tuple[str, ...], *sizes: int):
    """Dense layers of these sizes, ReLU between them and linear at the end."""

    def build(seed: int) -> Network:
        names = ["relu"] * (len(sizes) - 2) + ["linear"]
        layers = [
            Dense(a, b, activation)
            for a, b, activation in zip(sizes, sizes[1:], names, strict=False)
        ]
        net = Network.stack(*layers, seed=seed)
        net.metadata = {"example": name, "classes": list(classes)}
        return net

    return build


def _digits() -> tuple[Pair, Pair]:
    images, labels = data.digits()
    return data.split(images.reshape(-1, 64), labels)


def _table(table: data.Table) -> tuple[Pair, Pair]:
    return data.split(table.inputs, table.targets)


_DIGITS = tuple("0123456789")
_IRIS, _WINE = data.iris(), data.wine()
_ADAM = {"optimizer": "adam", "loss_type": "softmax_cross_entropy"}

EXAMPLES: dict[str, Example] = {
    row.name: row
    for row in (
        Example(
            "digits",
            "Handwritten digits",
            "1,797 images of 8 x 8 grey values; a fifth is held out.",
            "classification",
            _DIGITS,
            {**_ADAM, "epochs": 30, "learning_rate": 0.003, "batch_size": 32},
            chain("digits", _DIGITS, 64, 64, 32, 10),
            _digits,
            image=(8, 8),
            drawable=True,
        ),
        Example(
            "iris",
            "Iris flowers",
            "150 flowers by four measurements in cm; three species.",
            "classification",
            _IRIS.classes,
            {**_ADAM, "epochs": 60, "learning_rate": 0.01, "batch_size": 16},
            chain("iris", _IRIS.classes, 4, 16, 3),
            lambda: _table(_IRIS),
            columns=_IRIS.columns,
            standardise=True,
        ),
        Example(
            "wine",
            "Wines",
            "178 wines by 13 measurements; three cultivars.",
            "classification",
            _WINE.classes,
            {**_ADAM, "epochs": 40, "learning_rate": 0.01, "batch_size": 16},
            chain("wine", _WINE.classes, 13, 16, 3),
            lambda: _table(_WINE),
            columns=_WINE.columns,
            standardise=True,
        ),
    )
}
