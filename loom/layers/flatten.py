"""Flatten: each sample as one row of values."""

from math import prod

from loom.layers.base import EVALUATE, Array, Layer, Run, Shape


class Flatten(Layer):
    """Each sample as one row of values, in their order (the last axis runs fastest).

    Shapes:  x (B, ...) -> y (B, product of the others)
    Cache:   x's shape
    """

    kind = "flatten"
    code = 9
    is_view = True

    def __init__(self):
        super().__init__()

    def output_shape(self, shape: Shape) -> Shape:
        """(product of the axes,)."""
        return (prod(shape),)

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, Shape]:
        """x itself, where it is contiguous."""
        return x.reshape(len(x), -1), x.shape

    def backward(self, dy: Array, cache: Shape, need_dx: bool = True):
        """dy in x's shape."""
        return dy.reshape(cache), {}

    def lower_forward(self, b, x):
        """The same memory, seen otherwise."""
        return x.reshape(x.shape[0], -1), x.shape

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """dy in x's shape."""
        return dy.reshape(*cache)
