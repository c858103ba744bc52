"""Normalisation of rows and of channels, and the gradients (shaders/norm.wgsl)."""

from dataclasses import dataclass

from loom.gpu.kernels.move import cast
from loom.gpu.kernels.reduce import (
    CHANNEL_PRODUCTS,
    ROW_PRODUCTS,
    ROW_SCALED,
    SQUARES,
    channel_sum,
    column_sum,
    mapped,
)
from loom.gpu.kernels.softmax import lanes_for
from loom.gpu.program import Tensor


@dataclass(frozen=True)
class Rows:
    """What the backward pass of a row norm needs; mean is None for RMSNorm."""

    x: Tensor
    mean: Tensor | None
    rstd: Tensor


def row_norm(
    b, x: Tensor, weight: Tensor, bias: Tensor | None, epsilon: float
) -> tuple[Tensor, Rows | None]:
    """LayerNorm over the last axis, or RMSNorm where bias is None.

    Shapes:  x (..., C), weight (C,), bias (C,) -> y as x
    """
    c = x.shape[-1]
    rows = x.size // c
    y = b.tensor(x.shape)
    mean = b.scratch((rows,)) if b.keep and bias is not None else None
    rstd = b.scratch((rows,)) if b.keep else None
    groups, overrides = _rows(b, rows, c, center=bias is not None)
    b.dispatch(
        "norm",
        "forward",
        reads=[x, weight, bias],
        writes=[y, mean, rstd],
        params=[rows, c, groups, 1, float(epsilon), 0.0, 0.0],
        groups=groups,
        overrides=overrides | ({"KEEP": True} if b.keep else {}),
    )
    return y, Rows(x, mean, rstd) if b.keep else None


def row_norm_backward(
    b,
    dy: Tensor,
    cache: Rows,
    weight: Tensor,
    dweight: Tensor,
    dbias: Tensor | None,
    need_dx: bool = True,
) -> Tensor | None:
    """dx; dweight and dbias are written."""
    x = cache.x
    c = x.shape[-1]
    rows = x.size // c
    mapped(
        b,
        dy,
        (1, rows, c),
        dweight,
        what=ROW_SCALED if cache.mean is None else ROW_PRODUCTS,
        others=(x, cache.mean, cache.rstd),
        row=c,
    )
    if dbias is not None:
        column_sum(b, dy, out=dbias)
    if not need_dx:
        return None
    dx = b.tensor(x.shape)
    groups, overrides = _rows(b, rows, c, center=cache.mean is not None)
    b.dispatch(
        "norm",
        "backward",
        reads=[x, weight, dy, cache.mean, cache.rstd],
        writes=[dx],
        params=[rows, c, groups, 1, 0.0, 0.0, 0.0],
        groups=groups,
        overrides=overrides,
    )
    return dx


def _rows(b, rows: int, columns: int, center: bool) -> tuple[int, dict]:
    lanes = lanes_for(b.limits, columns)
    overrides = {"LANES": lanes, "CENTER": center, "VEC": columns % 4 == 0}
    return -(-rows * lanes // 256), overrides


@dataclass(frozen=True)
class Channels:
    """What the backward pass of a batch norm needs."""

    x: Tensor
    mean: Tensor
    rstd: Tensor
    trained: bool


def batch_norm(
    b,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running: tuple[Tensor, Tensor],
    epsilon: float,
    momentum: float,
) -> tuple[Tensor, Channels]:
    """BatchNorm; in training by the batch's statistics, and `running` follows them.

    Shapes:  x (B, C), (B, T, C) or (B, C, H, W), weight, bias and both of running (C,)
    """
    c = weight.size
    count, run = x.size // c, _run(x)
    rstd = b.scratch((c,))
    base = [x.size, c, 0, run, float(epsilon), float(momentum), float(count)]
    if b.training:
        mean, var = b.scratch((c,)), b.scratch((c,))
        channel_sum(b, x, c, mean, run=run, scale=1 / count)
        others = (None, mean, None)
        kind = {"what": SQUARES, "others": others}
        channel_sum(b, x, c, var, run=run, scale=1 / count, **kind)
        b.dispatch(
            "norm",
            "settle",
            reads=[mean, var],
            writes=[rstd, *running],
            params=base,
            groups=-(-c // 256),
        )
    else:
        mean = running[0]
        b.dispatch(
            "norm",
            "settle_running",
            reads=list(running),
            writes=[rstd],
            params=base,
            groups=-(-c // 256),
        )
    y = b.tensor(x.shape)
    b.dispatch(
        "norm",
        "apply",
        reads=[x, weight, bias, mean, rstd],
        writes=[y],
        params=base,
        groups=-(-x.size // 256),
    )
    return y, Channels(x, mean, rstd, b.training)


def batch_norm_backward(
    b,
    dy: Tensor,
    cache: Channels,
    weight: Tensor,
    dweight: Tensor,
    dbias: Tensor,
    need_dx: bool = True,
) -> Tensor | None:
    """dx; dweight and dbias are written."""
    x, c = cache.x, weight.size
    kind = {"what": CHANNEL_PRODUCTS, "others": (x, cache.mean, cache.rstd)}
    # dx needs the sums in float32, also where the gradients are kept in halves.
    sums = [b.scratch((c,)) if t.dtype != "f32" else t for t in (dweight, dbias)]
    channel_sum(b, dy, c, sums[0], run=_run(x), **kind)
    channel_sum(b, dy, c, sums[1], run=_run(x))
    for exact, out in zip(sums, (dweight, dbias), strict=True):
        cast(b, exact, out.dtype, out)
    if not need_dx:
        return None
    dx = b.tensor(x.shape)
    b.dispatch(
        "norm",
        "apply_backward",
        reads=[x, weight, dy, cache.mean, cache.rstd, *sums],
        writes=[dx],
        params=[x.size, c, 0, _run(x), 0.0, 0.0, float(x.size // c)],
        groups=-(-x.size // 256),
        overrides={} if cache.trained else {"TRAINED": False},
    )
    return dx


def _run(x: Tensor) -> int:
    """Neighbouring values of one channel."""
    return x.shape[2] * x.shape[3] if len(x.shape) == 4 else 1
