"""Reshape: each sample's values in another shape."""

from math import prod

from loom.errors import ConfigError, ShapeError
from loom.layers.base import EVALUATE, Array, Field, Layer, Run, Shape, batch_text


class Reshape(Layer):
    """Each sample's values in another shape, in their order; no axis is moved.

    One size of `shape` may be -1: what the others leave.

    Shapes:  x (B, ...) -> y (B, *shape)
    Cache:   x's shape
    Raises:  ConfigError for a shape with a size below 1 (but one -1); ShapeError when
             x has another number of values
    """

    kind = "reshape"
    code = 10
    is_view = True
    fields = (Field("shape", "Shape", tuple, minimum=-1),)

    def __init__(self, shape: Shape):
        super().__init__(shape=shape)

    def check(self) -> None:
        """A size of at least 1 each, at most one -1."""
        shape = self.shape
        if not shape or 0 in shape or shape.count(-1) > 1:
            raise ConfigError(
                "Reshape: expected shape as sizes of at least 1, one of which may be "
                f"-1, got {list(shape)}."
            )

    def input_shape(self, previous: Shape) -> Shape:
        """Whatever comes, if it has as many values."""
        known = prod(n for n in self.shape if n > 0)
        have = prod(previous)
        if have == known or (-1 in self.shape and have % known == 0):
            return previous
        count = f"a multiple of {known}" if -1 in self.shape else f"{known}"
        raise ShapeError(
            f"expected x of {count} values for shape {list(self.shape)}, "
            f"got {batch_text(previous)}, which is {have}."
        )

    def output_shape(self, shape: Shape) -> Shape:
        """The shape, with -1 filled in."""
        rest = prod(shape) // prod(n for n in self.shape if n > 0)
        return tuple(rest if n < 0 else n for n in self.shape)

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, Shape]:
        """x itself, where it is contiguous."""
        return x.reshape(len(x), *self.shape), x.shape

    def backward(self, dy: Array, cache: Shape, need_dx: bool = True):
        """dy in x's shape."""
        return dy.reshape(cache), {}

    def lower_forward(self, b, x):
        """The same memory, seen otherwise."""
        return x.reshape(x.shape[0], *self.output_shape(x.shape[1:])), x.shape

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """dy in x's shape."""
        return dy.reshape(*cache)
