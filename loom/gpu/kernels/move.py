"""Values moved or set, shaders/move.wgsl and shaders/transpose.wgsl."""

import struct
from math import prod

from loom.gpu.builder import Builder
from loom.gpu.program import ITEM, Tensor

THREADS = 256


def cast(b: Builder, x: Tensor, dtype: str, out: Tensor | None = None) -> Tensor:
    """x as "f32" or "f16", in `out` if given; x itself where it is that already."""
    if x.dtype == dtype:
        return x
    y = b.tensor(x.shape, dtype) if out is None else out
    _dispatch(b, "narrow" if dtype == "f16" else "widen", [x], y, x.size)
    return y


def copy(b: Builder, x: Tensor, out: Tensor | None = None) -> Tensor:
    """x's values in new memory, or in `out` (f32 or u32 then)."""
    y = b.tensor(x.shape, x.dtype) if out is None else out
    _dispatch(b, "copy", [x], y, -(-x.size * ITEM[x.dtype] // 4))
    return y


def fill(b: Builder, y: Tensor, value: float = 0.0) -> Tensor:
    """y = value everywhere (float32; in an array of halves only 0)."""
    if y.dtype != "f32" and value:
        raise ValueError(f"fill: {value} in an array of {y.dtype}")
    word = struct.unpack("<I", struct.pack("<f", value))[0]
    _dispatch(b, "fill", [], y, -(-y.size * ITEM[y.dtype] // 4), word)
    return y


def transpose(b, x: Tensor, out: Tensor | None = None) -> Tensor:
    """The last two axes swapped: x (..., R, C) -> (..., C, R), of x's type."""
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


def _dispatch(b, entry, reads, y, count, value=0) -> None:
    b.dispatch(
        "move",
        entry,
        reads=reads,
        writes=[y],
        params=[count, value],
        groups=-(-count // THREADS),
    )
