"""Sums, least and greatest values along an axis (shaders/reduce.wgsl)."""

from math import prod

from loom.gpu.kernels.move import fill
from loom.gpu.program import ROUNDS, Tensor

OPERATIONS = {"sum": 0, "min": 1, "max": 2}
SQUARES, CHANNEL_PRODUCTS, ROW_PRODUCTS, ROW_SCALED = 1, 2, 3, 4
BUSY = 512  # workgroups that fill a large GPU with a job bound by memory


def reduce(
    b, x: Tensor, axis: int, operation: str = "sum", *, scale: float = 1.0, out=None
) -> Tensor:
    """scale * sum, min or max of x along an axis, in float32.

    Shapes:  x (..., n, ...) -> the same without that axis.
    """
    axis %= len(x.shape)
    size = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])
    y = out or b.scratch((*x.shape[:axis], *x.shape[axis + 1 :]))
    mapped(b, x, size, y, operation=operation, scale=scale)
    return y


def column_sum(
    b, x: Tensor, out: Tensor | None = None, *, columns: tuple[int, int] | None = None
) -> Tensor:
    """The sum over all axes but the last, in float32. Shapes: (..., F) -> (F,).

    columns: (first, count) of those that are summed, if not all.
    """
    f = x.shape[-1]
    start, count = columns or (0, f)
    y = out or b.scratch((count,))
    if not x.size:
        return fill(b, y)
    mapped(b, x, (1, x.size // f, count), y, wide=(f, start))
    return y


def channel_sum(
    b,
    x: Tensor,
    channels: int,
    out: Tensor,
    *,
    run: int = 1,
    scale: float = 1.0,
    what: int = 0,
    others: tuple[Tensor | None, ...] = (None, None, None),
) -> None:
    """scale * the sum of map(x) over all values of each channel, into out (channels,).

    Value n of x is of channel n // run % channels: run is 1 where channels come last.
    Args:    what and others as in `mapped`
    """
    outer = x.size // (channels * run)
    kind = {"what": what, "others": others, "channels": (run, channels)}
    if run == 1:
        mapped(b, x, (1, outer, channels), out, scale=scale, **kind)
        return
    parts = out if outer == 1 else b.scratch((outer, channels))
    first = scale if outer == 1 else 1.0
    mapped(b, x, (outer * channels, run, 1), parts, scale=first, **kind)
    if outer > 1:
        mapped(b, parts, (1, outer, channels), out, scale=scale)


def mapped(
    b,
    x: Tensor,
    size: tuple[int, int, int],
    y: Tensor,
    *,
    operation: str = "sum",
    scale: float = 1.0,
    what: int = 0,
    others: tuple[Tensor | None, ...] = (None, None, None),
    channels: tuple[int, int] = (1, 1),
    row: int = 1,
    wide: tuple[int, int] | None = None,
) -> None:
    """Reduce map(x), x seen as (outer, middle, inner), along the middle axis into y.

    Args:    what is the shader's MAP, others its z, mean and rstd; channels (run,
             count): value n is of channel n // run % count; row: values of a row;
             wide (pitch, start) where rows of inner are a part of wider ones.
    """
    outer, middle, inner = size
    if not outer * inner:
        return
    chunks = _chunks(outer, middle, inner)
    if b.limits.software and middle // chunks >= ROUNDS:
        chunks = -(-middle // 1024)
    chunk = max(-(-middle // chunks), 1)
    chunks = max(-(-middle // chunk), 1)
    target = y if chunks == 1 else b.scratch((outer, chunks, inner))
    rows = [outer, middle, inner, chunks, chunk, *channels, row]
    rows += wide or (inner, 0)
    last = float(scale) if chunks == 1 else 1.0
    overrides = {"OP": OPERATIONS[operation], "MAP": what}
    if x.dtype == "f32" and b.stored == "f16":
        overrides["WIDE"] = True
    overrides["NARROW"] = target.dtype == "f16"
    threads = 256
    if b.limits.alone():
        threads = overrides["THREADS"] = 32
    if inner == 1 and not wide:
        lanes = 8 if chunk <= 64 else 64 if chunk <= 1024 else 256
        lanes = overrides["LANES"] = 1 if b.limits.alone() else lanes
        entry, groups = "along", -(-outer * chunks * lanes // threads)
    else:
        entry, groups = "across", (-(-inner // 32), chunks, outer)
    if inner > 1 and outer > b.limits.groups:
        raise ValueError(f"reduce: {outer} outer indices; transpose first")
    b.dispatch(
        "reduce",
        entry,
        reads=[x, *others],
        writes=[target],
        params=[*rows, last],
        groups=groups,
        overrides={k: v for k, v in overrides.items() if v},
    )
    if chunks > 1:
        mapped(b, target, (outer, chunks, inner), y, operation=operation, scale=scale)


def _chunks(outer: int, middle: int, inner: int) -> int:
    """Parts to cut the middle axis into, of at least 256 values each."""
    groups = outer * -(-inner // 32) if inner > 1 else -(-outer // 4)
    return max(1, min(BUSY // groups, middle // 256, 1024))
