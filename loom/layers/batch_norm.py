"""Batch normalisation."""

from typing import Any

import numpy as np

from loom.errors import InputError, ShapeError
from loom.gpu.kernels.norm import batch_norm, batch_norm_backward
from loom.layers.base import (
    EVALUATE,
    Array,
    Field,
    Layer,
    Run,
    Shape,
    Weight,
    batch_text,
)
from loom.linalg import BLOCK


class BatchNorm(Layer):
    """Each channel to mean 0 and variance 1 over the batch, then a scale and shift.

        y = (x - mean) / sqrt(var + epsilon) * weight + bias

    In training mean and var are the batch's own (var divided by the count n), and the
    running statistics move towards them: running += momentum * (new - running), with
    the new variance divided by n - 1. In evaluation the running ones are used.

    Shapes:  x (B, C), (B, T, C) or (B, C, H, W), weight (C,), bias (C,) -> y as x: the
             channel axis is the last, but in images the first after the batch. A flat
             sample of T * C values becomes (T, C).
    State:   running_mean (C,), 0 at first; running_var (C,), 1 at first
    Cache:   the normalised x (in evaluation x and the mean), 1 / sqrt(var + epsilon)
    Raises:  ShapeError when x is another shape, or a channel has one value in training
    Source:  Ioffe and Szegedy 2015; as torch.nn.BatchNorm1d and 2d
    """

    kind = "batch_norm"
    code = 13
    fields = (
        Field("size", "Size"),
        Field("epsilon", "Epsilon", float, 1e-5, minimum=1e-12, maximum=1.0),
        Field("momentum", "Momentum", float, 0.1, minimum=0.0, maximum=1.0),
    )
    weights = (
        Weight("weight", "Weight", "weight"),
        Weight("bias", "Bias", "bias", bias=True),
    )
    statistics = (
        Weight("running_mean", "RunningMean", "running_mean"),
        Weight("running_var", "RunningVar", "running_var"),
    )

    def __init__(self, size: int, epsilon: float = 1e-5, momentum: float = 0.1):
        super().__init__(size=size, epsilon=epsilon, momentum=momentum)
        self.state = {
            "running_mean": np.zeros(size, np.float32),
            "running_var": np.ones(size, np.float32),
        }

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """weight (C,), 1 at first; bias (C,)."""
        return {"weight": ((self.size,), 0), "bias": ((self.size,), 0)}

    def initialize(self, seed: int, dtype=np.float32) -> None:
        """Scale 1, shift 0."""
        if "weight" not in self.parameters:
            self.parameters["weight"] = np.ones(self.size, dtype)
        super().initialize(seed, dtype)

    def set_state(self, name: str, value: Any) -> None:
        """A saved statistic, a variance of 0 or more."""
        kept = self.state[name]
        super().set_state(name, value)
        least = self.state[name].min()
        if name == "running_var" and least < 0:
            self.state[name] = kept
            raise InputError(
                "BatchNorm: running_var: expected variances of 0 or more, got "
                f"{least}. The file is damaged, or another array was taken for it."
            )

    def input_shape(self, previous: Shape) -> Shape:
        """(C,), (T, C) or (C, H, W) as it is; flat T * C values become (T, C)."""
        c = self.size
        if len(previous) in (1, 2) and previous[-1] == c:
            return previous
        if len(previous) == 3 and previous[0] == c:
            return previous
        if len(previous) == 1 and previous[0] % c == 0:
            return (previous[0] // c, c)
        wanted = f"(B, {c}), (B, T, {c}) or (B, {c}, H, W)"
        advice = "Reshape it first."
        if len(previous) <= 3:
            advice = f"Set size={previous[0 if len(previous) == 3 else -1]}."
        raise ShapeError(
            f"expected x of shape {wanted}, got {batch_text(previous)}. {advice}"
        )

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, tuple]:
        """In two passes in training; one scale and shift in evaluation."""
        axes, shape = _channels(x)
        p, state = self.parameters, self.state
        if not run.training:
            mean = state["running_mean"]
            scale = 1 / np.sqrt(state["running_var"] + self.epsilon)
            factor = p["weight"] * scale
            shift = p["bias"] - mean * factor
            y = _scaled(x, factor.reshape(shape), shift.reshape(shape))
            return y, (x, mean.copy(), scale, 0)
        count = x.size // self.size
        if count < 2:
            raise ShapeError(_too_few(x.shape))
        mean = x.sum(axis=axes) / count
        rows = x - mean.reshape(shape)
        var = np.square(rows).sum(axis=axes) / count
        scale = 1 / np.sqrt(var + self.epsilon)
        rows *= scale.reshape(shape)
        for name, new in (("mean", mean), ("var", var * (count / (count - 1)))):
            running = state[f"running_{name}"]
            running += self.momentum * (new - running)
        y = rows * p["weight"].reshape(shape)
        y += p["bias"].reshape(shape)
        return y, (rows, None, scale, count)

    def backward(self, dy: Array, cache: tuple, need_dx: bool = True):
        """dx = weight scale (dy - mean(dy) - r mean(dy r)), r the normalised x.

        In evaluation mean and var are constants: dx = weight scale dy.
        """
        rows, mean, scale, count = cache
        axes, shape = _channels(dy)
        if not count:
            rows = (rows - mean.reshape(shape)) * scale.reshape(shape)
        gradients = {
            "weight": (dy * rows).sum(axis=axes),
            "bias": dy.sum(axis=axes),
        }
        if not need_dx:
            return None, gradients
        factor = (self.parameters["weight"] * scale).reshape(shape)
        if not count:
            return dy * factor, gradients
        dx = rows * (gradients["weight"] / -count).reshape(shape)
        dx += dy
        dx -= (gradients["bias"] / count).reshape(shape)
        dx *= factor
        return dx, gradients

    def lower_forward(self, b, x):
        """In training two sums a channel and new statistics; then a scale and shift."""
        if b.training and x.size == self.size:
            raise ShapeError(_too_few(x.shape))
        return batch_norm(
            b,
            x,
            b.weight(self, "weight"),
            b.weight(self, "bias"),
            (b.state(self, "running_mean"), b.state(self, "running_var")),
            self.epsilon,
            self.momentum,
        )

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """As backward; x is normalised again rather than kept."""
        return batch_norm_backward(
            b,
            dy,
            cache,
            b.weight(self, "weight"),
            b.gradient(self, "weight"),
            b.gradient(self, "bias"),
            need_dx,
        )


def _scaled(x: Array, factor: Array, shift: Array) -> Array:
    """x * factor + shift, a few samples at a time: they stay in cache."""
    y = np.empty_like(x)
    step = max(1, BLOCK * len(x) // x.size)
    for start in range(0, len(x), step):
        part = y[start : start + step]
        np.multiply(x[start : start + step], factor, out=part)
        part += shift
    return y


def _channels(x: Array) -> tuple[tuple[int, ...], Shape]:
    """The axes that are not the channel's, and the shape a channel's value takes."""
    if x.ndim == 4:
        return (0, 2, 3), (-1, 1, 1)
    return tuple(range(x.ndim - 1)), (-1,)


def _too_few(shape: Shape) -> str:
    return (
        "BatchNorm: expected at least 2 values of each channel in training, "
        f"got 1 (x of shape {shape}). Choose a batch size that leaves no batch of one."
    )
