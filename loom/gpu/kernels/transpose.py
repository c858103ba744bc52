"""Swap the last two axes (shaders/transpose.wgsl)."""

from math import prod

from loom.gpu.program import Tensor


def transpose(b, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Shapes: x (..., R, C) -> (..., C, R), of x's type."""
    rows, columns = x.shape[-2:]
    outer = prod(x.shape[:-2])
    y = out or b.tensor((*x.shape[:-2], columns, rows), x.dtype)
    if not x.size:
        return y
    b.dispatch(
        "transpose",
        reads=[x],
        writes=[y],
        params=[rows, columns, outer],
        groups=-(-columns // 32) * -(-rows // 32) * outer,
        overrides={"WIDE": True} if x.dtype == "f32" and b.stored == "f16" else {},
    )
    return y
