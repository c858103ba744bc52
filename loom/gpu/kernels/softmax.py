"""Softmax along an axis and its gradient (shaders/softmax.wgsl)."""

from math import prod

from loom.gpu.program import Tensor


def softmax(
    b,
    x: Tensor,
    *,
    axis: int = -1,
    scale: float = 1.0,
    causal: bool = False,
    first: int = 0,
    in_place: bool = False,
) -> Tensor:
    """exp(scale x) / sum exp(scale x) along an axis.

    Shapes:  x any -> y the same. With `causal` x is (..., queries, columns), axis -1,
             and row q sees the columns up to first + q; the others are 0.
    """
    y = x if in_place else b.tensor(x.shape)
    seen = (x.shape[-2], first) if causal else None
    _run(b, "forward", [None if in_place else x], y, axis, scale, seen)
    return y


def softmax_backward(
    b,
    dy: Tensor,
    y: Tensor,
    *,
    axis: int = -1,
    scale: float = 1.0,
    in_place: bool = False,
) -> Tensor:
    """scale y (dy - sum(dy y)) along an axis; shapes as dy."""
    dx = dy if in_place else b.tensor(dy.shape)
    _run(b, "backward", [y, None if in_place else dy], dx, axis, scale)
    return dx


def _run(b, entry, reads, out, axis, scale, seen=None) -> None:
    if not out.size:
        return
    axis %= len(out.shape)
    columns, inner = out.shape[axis], prod(out.shape[axis + 1 :])
    rows = out.size // columns
    lanes = lanes_for(b.limits, columns)
    groups = -(-rows * lanes // 256)
    vec = inner == 1 and columns % 4 == 0
    overrides = {"LANES": lanes}
    overrides |= {"VEC": True} if vec else {}
    overrides |= {"IN_PLACE": True} if reads[-1] is None else {}
    overrides |= {"CAUSAL": True} if seen else {}
    b.dispatch(
        "softmax",
        entry,
        reads=reads,
        writes=[out],
        params=[rows, columns, inner, *(seen or (1, 0)), groups, float(scale)],
        groups=groups,
        overrides=overrides,
    )


def lanes_for(limits, columns: int) -> int:
    """Threads that share a row of `columns` values, which each reads three times."""
    if limits.alone(3 * columns):
        return 1
    return 8 if columns <= 64 else 64 if columns <= 2048 else 256
