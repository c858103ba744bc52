"""What LayerNorm and RMSNorm share: a scale for each feature of the last axis."""

from math import prod

import numpy as np

from loom.errors import ShapeError
from loom.layers.base import Array, Field, Layer, Shape, batch_text
from loom.linalg import by_kernel, has_kernels, row_sum


class Norm(Layer):
    """The base of the norms over the last axis.

    Fields:  size C, the length of the last axis; epsilon, added to the mean square
    Raises:  ShapeError when x is neither (B, ..., C) nor flat with a multiple of C
    """

    fields = (
        Field("size", "Size"),
        Field("epsilon", "Epsilon", float, 1e-5, minimum=1e-12, maximum=1.0),
    )

    def __init__(self, size: int, epsilon: float = 1e-5):
        super().__init__(size=size, epsilon=epsilon)

    def initialize(self, seed: int, dtype=np.float32) -> None:
        """Scale 1, shift 0: at first the norm alone."""
        if "weight" not in self.parameters:
            self.parameters["weight"] = np.ones(self.size, dtype)
        super().initialize(seed, dtype)

    def input_shape(self, previous: Shape) -> Shape:
        """(..., C) as it is; a flat sample of T * C values becomes (T, C)."""
        c = self.size
        if previous[-1:] == (c,):
            return previous
        if len(previous) == 1 and previous[0] % c == 0:
            return (previous[0] // c, c)
        raise ShapeError(
            f"expected x of shape (B, ..., {c}), got {batch_text(previous)}. "
            f"Set size={previous[-1]}."
        )


def row_mean(a: Array, b: Array) -> Array:
    """Mean of a * b over the last axis, which stays with length 1."""
    total = row_sum(a, b)
    total /= a.shape[-1]
    return total


def column_sum(a: Array) -> Array:
    """Sum over all axes but the last."""
    return a.reshape(prod(a.shape[:-1]), a.shape[-1]).sum(axis=0)


def norm_by_kernel(
    x: Array, weight: Array, bias: Array | None, epsilon: float
) -> tuple[Array, tuple] | None:
    """y and the cache of a norm in one pass (RMSNorm without a bias), or None."""
    if not has_kernels():
        return None
    rows, y = np.empty_like(x), np.empty_like(x)
    scale = np.empty((*x.shape[:-1], 1), x.dtype)
    plain = bias is None
    if by_kernel("norm", x, weight, bias, epsilon, plain, rows, scale, y):
        return y, (rows, scale)
    return None


def norm_backward_by_kernel(
    dy: Array, rows: Array, scale: Array, weight: Array, biased: bool, need_dx: bool
) -> tuple[Array | None, dict[str, Array]] | None:
    """dx and the gradients of a norm in one pass, or None."""
    if not has_kernels():
        return None
    dx = np.empty_like(dy) if need_dx else None
    gradients = {"weight": np.zeros_like(weight)}
    if biased:
        gradients["bias"] = np.zeros_like(weight)
    arrays = dx, gradients["weight"], gradients.get("bias")
    if by_kernel("norm_backward", dy, rows, scale, weight, not biased, *arrays):
        return dx, gradients
    return None
