"""Softmax layer."""

import numpy as np

from loom.errors import ShapeError
from loom.gpu.kernels import softmax as gpu
from loom.layers.base import EVALUATE, Array, Field, Layer, Run, Shape, batch_text
from loom.linalg import softmax, softmax_backward


class Softmax(Layer):
    """Positive values that sum to one along an axis.

        y = exp(x / temperature) / sum(exp(x / temperature))

    Fields:  axis of a sample (0 its first, -1 its last); temperature: above 1 evens
             the values out, below 1 sharpens them
    Shapes:  x (B, ...) -> y (B, ...)
    Cache:   y
    Raises:  ShapeError when a sample has no such axis
    Source:  Bridle 1990; temperature as in Hinton et al. 2015. Computed from
             x - max(x), so that no value overflows.
    """

    kind = "softmax"
    code = 11
    fields = (
        Field("axis", "Axis", default=-1, minimum=-8, maximum=7),
        Field("temperature", "Temperature", float, 1.0, minimum=1e-3, maximum=1e3),
    )

    def __init__(self, axis: int = -1, temperature: float = 1.0):
        super().__init__(axis=axis, temperature=temperature)

    def input_shape(self, previous: Shape) -> Shape:
        """Any shape that has the axis."""
        n = len(previous)
        if not -n <= self.axis < n:
            raise ShapeError(
                f"expected x with an axis {self.axis}, got {batch_text(previous)}. "
                f"Set axis from {-n} to {n - 1}."
            )
        return previous

    def _turned(self, x: Array) -> Array:
        """The axis last: a view."""
        return x.swapaxes(self._axis(), -1)

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, Array]:
        """In a new array, whose layout is that of x."""
        rows, y = self._turned(x), np.empty_like(x)
        out = self._turned(y)
        if self.temperature != 1:
            rows = np.subtract(rows, rows.max(axis=-1, keepdims=True), out=out)
            rows *= x.dtype.type(1 / self.temperature)
        softmax(rows, out=out)
        return y, y

    def backward(self, dy: Array, cache: Array, need_dx: bool = True):
        """dx = y (dy - sum(dy y)) / temperature."""
        if not need_dx:
            return None, {}
        dx = self._turned(softmax_backward(self._turned(dy), self._turned(cache)))
        if self.temperature != 1:
            dx *= dx.dtype.type(1 / self.temperature)
        return np.ascontiguousarray(dx), {}

    def lower_forward(self, b, x):
        """In one kernel, along any axis."""
        y = gpu.softmax(b, x, axis=self._axis(), scale=1 / self.temperature)
        return y, y

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """As backward."""
        if not need_dx:
            return None
        scale = 1 / self.temperature
        return gpu.softmax_backward(b, dy, cache, axis=self._axis(), scale=scale)

    def _axis(self) -> int:
        """The axis in an array with the batch."""
        return self.axis + 1 if self.axis >= 0 else self.axis
