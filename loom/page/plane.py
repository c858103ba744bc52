"""The playground: points in a plane, and how a network divides it."""

from itertools import pairwise
from math import pi
from typing import Any

import numpy as np

from loom import random
from loom.errors import ConfigError, InputError, known
from loom.layers import Dense
from loom.network import Network
from loom.page.reading import predict

__all__ = ["plane_map", "plane_network", "plane_points", "plane_sets"]

Array = np.ndarray
MOST_SIDE = 256


def plane_sets() -> list[dict[str, Any]]:
    """The sets of points: name and title."""
    return [{"name": name, "title": row[0]} for name, row in _SETS.items()]


def plane_points(name: str, count: int, seed: int) -> dict[str, Any]:
    """Points of a set: {input (N, 2) in -1 to 1, target (N,) classes from 0}."""
    if name not in _SETS:
        raise ConfigError(known(name, _SETS, "set of points"))
    if not 2 <= count <= 5000:
        raise InputError(f"plane_points: expected 2 to 5000 points, got {count}.")
    _, classes, place = _SETS[name]
    u = random.uniform(seed, (4, count), -1.0, 1.0, purpose=random.DATA)
    label = np.arange(count) % classes
    points = np.stack(place(u[0], u[1], label), axis=1) + 0.055 * u[2:].T
    return {
        "input": np.clip(points, -1, 1).astype(np.float32),
        "target": label.astype(np.float32),
    }


def plane_network(
    hidden: int, depth: int, classes: int, activation: str, seed: int
) -> Network:
    """A network of two inputs, `depth` layers of `hidden` units and one a class."""
    sizes = [2, *[hidden] * depth]
    layers = [Dense(a, b, activation) for a, b in pairwise(sizes)]
    return Network.stack(*layers, Dense(hidden, classes, "linear"), seed=seed)


def plane_map(net: Network, side: int) -> Array:
    """The probability of each class over the square -1 to 1, top row first.

    Shapes: -> (side, side, K) float32.
    """
    if not 2 <= side <= MOST_SIDE:
        raise InputError(f"plane_map: expected 2 to {MOST_SIDE} rows, got {side}.")
    axis = ((np.arange(side) + 0.5) * (2 / side) - 1).astype(np.float32)
    x, y = np.meshgrid(axis, -axis)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    return predict(net, points).reshape(side, side, -1)


def _spiral(classes: int):
    def place(u: Array, _: Array, label: Array):
        radius = 0.06 + 0.86 * (u + 1) / 2
        angle = radius * 2.1 * pi + label * (2 * pi / classes)
        return radius * np.sin(angle), radius * np.cos(angle)

    return place


def _rings(u: Array, _: Array, label: Array):
    angle, radius = u * pi, 0.22 + 0.5 * label
    return radius * np.cos(angle), radius * np.sin(angle)


def _moons(u: Array, _: Array, label: Array):
    angle = (u + 1) * pi / 2
    side = 1 - 2 * label
    x = 0.62 * np.cos(angle) * side - 0.3 * side
    return x, (0.7 * np.sin(angle) - 0.25) * side


def _quadrants(u: Array, v: Array, label: Array):
    x = np.sign(u) * (0.1 + 0.8 * np.abs(u))
    y = np.sign(x) * (0.1 + 0.8 * np.abs(v))
    return x, np.where(label == 0, y, -y)


# name -> title, classes, (u and v in -1 to 1, label) -> x, y
_SETS = {
    "spiral": ("Two spirals", 2, _spiral(2)),
    "three": ("Three spirals", 3, _spiral(3)),
    "rings": ("Rings", 2, _rings),
    "moons": ("Moons", 2, _moons),
    "quadrants": ("Quadrants", 2, _quadrants),
}
