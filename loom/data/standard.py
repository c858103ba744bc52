"""Standardisation: learnt from the training part, folded into the weights."""

from dataclasses import dataclass

import numpy as np

from loom.errors import ConfigError, InputError
from loom.layers import Dense
from loom.network import Network

Array = np.ndarray


@dataclass(frozen=True)
class Standard:
    """Mean 0 and deviation 1 for each column.

        z = (x - mean) / deviation

    Attributes:
        mean, deviation: (C,) float64; a constant column has deviation 1.
    """

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, x: Array) -> "Standard":
        """Learn from samples (N, C)."""
        x = np.asarray(x, np.float64)
        deviation = x.std(axis=0)
        # A constant column deviates by rounding alone.
        constant = deviation <= 1e-7 * np.abs(x).max(axis=0, initial=0)
        return cls(x.mean(axis=0), np.where(constant, 1.0, deviation))

    def apply(self, x: Array) -> Array:
        """Standardised samples, float32. Shapes: (N, C) -> (N, C)."""
        return ((x - self.mean) / self.deviation).astype(np.float32)

    def undo(self, z: Array) -> Array:
        """The reverse of `apply`."""
        return (z * self.deviation + self.mean).astype(np.float32)


def fold(
    net: Network, inputs: Standard | None = None, outputs: Standard | None = None
) -> Network:
    """A copy of `net`, trained on standardised values, that takes and gives plain ones.

    The first layer becomes f(x @ (W / d) + b - (m / d) @ W); the last, which must be
    linear, z @ (W d) + b d + m. Raises ConfigError when that layer is not dense.
    """
    layers = [layer.copy() for layer in net.layers]
    if inputs is not None:
        first = _dense(layers[0], "first")
        w = first.parameters["weight"].astype(np.float64)
        shift = (inputs.mean / inputs.deviation) @ w
        _set(first, w / inputs.deviation[:, None], first.parameters["bias"] - shift)
    if outputs is not None:
        last = _dense(layers[-1], "last")
        if last.activation.name != "linear":
            raise ConfigError(
                "fold: expected the last layer to be linear, got "
                f"{last.activation.name}. Use activation='linear' for a regression."
            )
        w = last.parameters["weight"].astype(np.float64)
        bias = last.parameters["bias"] * outputs.deviation + outputs.mean
        _set(last, w * outputs.deviation, bias)
    copy = Network.from_layers(
        layers,
        net.input_shape,
        net.grid_rows,
        net.grid_cols,
        net.layers_per_cell,
        seed=net.seed,
    )
    copy.batch_size, copy.metadata = net.batch_size, dict(net.metadata)
    return copy


def _dense(layer, place: str) -> Dense:
    if not isinstance(layer, Dense):
        raise ConfigError(
            f"fold: expected the {place} layer to be Dense, got "
            f"{type(layer).__name__}. Standardise the data beforehand instead."
        )
    return layer


def _set(layer: Dense, weight: Array, bias: Array) -> None:
    for name, value in (("weight", weight), ("bias", bias)):
        if not np.abs(value).max() < 3e38:
            raise InputError(
                "fold: a column's values are too small or too large for float32. "
                "Give it in another unit."
            )
        layer.parameters[name] = value.astype(np.float32)
