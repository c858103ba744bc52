"""Softmax over the last axis, shaders/softmax.wgsl."""

from loom.gpu.builder import Builder
from loom.gpu.program import Tensor


def softmax(b: Builder, x: Tensor) -> Tensor:
    """y = exp(x - max) / sum over the last axis."""
    y = b.tensor(x.shape)
    _dispatch(b, "forward", [x, None], y)
    return y


def softmax_backward(b: Builder, dy: Tensor, y: Tensor) -> Tensor:
    """dx = y (dy - sum(dy y)) over the last axis."""
    dx = b.tensor(dy.shape)
    _dispatch(b, "backward", [y, dy], dx)
    return dx


def _dispatch(b, entry, reads, z) -> None:
    columns = z.shape[-1]
    rows = z.size // columns
    b.dispatch(
        "softmax",
        entry,
        reads=reads,
        writes=[z],
        params=[rows, columns],
        groups=rows,
    )
