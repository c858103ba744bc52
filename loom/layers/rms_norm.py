"""Root-mean-square normalisation."""

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


class RMSNorm(Norm):
    """Each row to mean square 1, then a learned scale.

        y = x / sqrt(mean(x^2) + epsilon) * weight,  the mean over the last axis

    Shapes:  x (B, ..., C), weight (C,) -> y (B, ..., C). A flat sample of T * C values
             becomes (T, C).
    Cache:   the normalised rows, and 1 / sqrt(mean(x^2) + epsilon) of each
    Raises:  ShapeError when the last axis is not C
    Source:  Zhang and Sennrich 2019; as torch.nn.RMSNorm
    """

    kind = "rms_norm"
    code = 15
    weights = (Weight("weight", "Weight", "weight"),)

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """weight (C,), 1 at first."""
        return {"weight": ((self.size,), 0)}

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, tuple]:
        """One reduction a row."""
        if done := norm_by_kernel(x, self.parameters["weight"], None, self.epsilon):
            return done
        scale = row_mean(x, x)
        scale += x.dtype.type(self.epsilon)
        np.sqrt(scale, out=scale)
        np.reciprocal(scale, out=scale)
        rows = x * scale
        return rows * self.parameters["weight"], (rows, scale)

    def backward(self, dy: Array, cache: tuple, need_dx: bool = True):
        """dx = (g - r mean(g r)) scale, with g = dy weight, r the rows."""
        rows, scale = cache
        weight = self.parameters["weight"]
        if done := norm_backward_by_kernel(dy, rows, scale, weight, False, need_dx):
            return done
        scratch = dy * rows
        gradients = {"weight": column_sum(scratch)}
        if not need_dx:
            return None, gradients
        dx = dy * weight
        dx -= np.multiply(rows, row_mean(dx, rows), out=scratch)
        dx *= scale
        return dx, gradients

    def lower_forward(self, b, x):
        """One sum a row, then the row."""
        return row_norm(b, x, b.weight(self, "weight"), None, self.epsilon)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """As backward; the rows are normalised again rather than kept."""
        weight, dweight = b.weight(self, "weight"), b.gradient(self, "weight")
        return row_norm_backward(b, dy, cache, weight, dweight, None, need_dx)
