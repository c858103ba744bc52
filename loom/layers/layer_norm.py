"""Layer normalisation."""

import numpy as np

from loom.gpu.kernels.norm import row_norm, row_norm_backward
from loom.layers.base import EVALUATE, Array, Run, Shape, Weight
from loom.layers.norm import (
    Norm,
    column_sum,
    norm_backward_by_kernel,
    norm_by_kernel,
    row_mean,
)


class LayerNorm(Norm):
    """Each row to mean 0 and variance 1, then a learned scale and shift.

        y = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias

    mean and var (that of the row itself, divided by C) over the last axis.

    Shapes:  x (B, ..., C), weight (C,), bias (C,) -> y (B, ..., C). A flat sample of
             T * C values becomes (T, C).
    Cache:   the normalised rows, and 1 / sqrt(var + epsilon) of each
    Raises:  ShapeError when the last axis is not C
    Source:  Ba, Kiros and Hinton 2016; as torch.nn.LayerNorm
    """

    kind = "layer_norm"
    code = 14
    weights = (
        Weight("weight", "Weight", "weight"),
        Weight("bias", "Bias", "bias", bias=True),
    )

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """weight (C,), 1 at first; bias (C,)."""
        return {"weight": ((self.size,), 0), "bias": ((self.size,), 0)}

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, tuple]:
        """In two passes: the variance of what the mean was taken from."""
        p = self.parameters
        if done := norm_by_kernel(x, p["weight"], p["bias"], self.epsilon):
            return done
        rows = x - x.mean(axis=-1, keepdims=True)
        scale = row_mean(rows, rows)
        scale += x.dtype.type(self.epsilon)
        np.sqrt(scale, out=scale)
        np.reciprocal(scale, out=scale)
        rows *= scale
        y = rows * p["weight"]
        y += p["bias"]
        return y, (rows, scale)

    def backward(self, dy: Array, cache: tuple, need_dx: bool = True):
        """dx = (g - mean(g) - r mean(g r)) scale, with g = dy weight, r the rows."""
        rows, scale = cache
        weight = self.parameters["weight"]
        if done := norm_backward_by_kernel(dy, rows, scale, weight, True, need_dx):
            return done
        scratch = dy * rows
        gradients = {"weight": column_sum(scratch), "bias": column_sum(dy)}
        if not need_dx:
            return None, gradients
        dx = dy * weight
        np.multiply(rows, row_mean(dx, rows), out=scratch)
        scratch += dx.mean(axis=-1, keepdims=True)
        dx -= scratch
        dx *= scale
        return dx, gradients

    def lower_forward(self, b, x):
        """Two sums a row, then the row."""
        weight, bias = b.weight(self, "weight"), b.weight(self, "bias")
        return row_norm(b, x, weight, bias, self.epsilon)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """As backward; the rows are normalised again rather than kept."""
        return row_norm_backward(
            b,
            dy,
            cache,
            b.weight(self, "weight"),
            b.gradient(self, "weight"),
            b.gradient(self, "bias"),
            need_dx,
        )
