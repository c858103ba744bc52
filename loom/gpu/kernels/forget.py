"""Forget pooling of QRNN and SRU and what stands around it (shaders/forget.wgsl)."""

from dataclasses import dataclass
from typing import Any

from loom.gpu.kernels.elementwise import activate, activate_backward
from loom.gpu.kernels.move import cast
from loom.gpu.program import Tensor


@dataclass(frozen=True)
class Pooled:
    """What the backward pass needs: the parts before their gates, c; for SRU g, too."""

    v: Tensor
    c: Tensor
    g: Tensor | None = None
    activation: Any = None


def qrnn_pool(b, v: Tensor, every: bool) -> tuple[Tensor, Pooled]:
    """y of the parts z, f, o before tanh and sigmoid.

    Shapes:  v (B, T, 3 H) -> (B, T, H), or the last (B, H) unless `every`
    """
    batch, time, h = v.shape[0], v.shape[1], v.shape[2] // 3
    c = b.scratch((batch, time, h))
    y = b.tensor((batch, time, h) if every else (batch, h))
    _units(b, "pool", [v, None], [c, y], c.shape, {"ALL": every})
    return y, Pooled(v, c)


def qrnn_pool_backward(b, dy: Tensor, cache: Pooled, every: bool) -> Tensor:
    """dv (B, T, 3 H)."""
    dv = b.tensor(cache.v.shape)
    reads = [cache.v, None, cache.c, dy]
    _units(b, "pool_backward", reads, [dv], cache.c.shape, {"ALL": every})
    return dv


def sru_pool(b, v: Tensor, bias: Tensor, x: Tensor, f, every: bool) -> tuple:
    """y of the parts z, f, r (and p) before their gates, and the cache; f makes g of c.

    Shapes:  v (B, T, 3 H or 4 H), bias (2 H,), x (B, T, H) where v has no p -> (B, T,
             H), or the last (B, H) unless `every`
    """
    h = bias.size // 2
    batch, time = v.shape[:2]
    kind = _sru(v, h, every)
    c = b.scratch((batch, time, h))
    _units(b, "pool", [v, bias], [c, None], c.shape, kind)
    g, saved = activate(b, cast(b, c, b.stored), f)
    b.flush(g)
    y = b.tensor((batch, time, h) if every else (batch, h))
    own = kind["OWN"]
    _values(b, "mix", [v, bias, g, None if own else x], [y], c.shape, y.size, kind)
    return y, Pooled(v, c, g, saved)


def sru_pool_backward(
    b, dy: Tensor, cache: Pooled, bias: Tensor, x: Tensor, every: bool
) -> tuple[Tensor, Tensor | None]:
    """dv of v's shape, and the highway's share of dx where v has no p."""
    v, c = cache.v, cache.c
    kind = _sru(v, c.shape[2], every)
    own = kind["OWN"]
    dg, dv = b.tensor(c.shape), b.tensor(v.shape)
    dp = None if own else b.tensor(c.shape)
    reads = [v, bias, cache.g, None if own else x, dy]
    _values(b, "mix_backward", reads, [dg, dv, dp], c.shape, c.size, kind)
    dc = activate_backward(b, dg, cache.activation)
    _units(b, "pool_backward", [v, bias, c, dc], [dv], c.shape, kind)
    return dv, dp


def _sru(v: Tensor, h: int, every: bool) -> dict:
    return {"SRU": True, "OWN": v.shape[2] == 4 * h, "ALL": every}


def _units(b, entry, reads, writes, shape, overrides) -> None:
    batch, time, h = shape
    b.bound(time, f"{time:,} steps")
    groups = -(-batch * h // 64)
    _dispatch(b, entry, reads, writes, shape, groups, overrides)


def _values(b, entry, reads, writes, shape, size, overrides) -> None:
    _dispatch(b, entry, reads, writes, shape, -(-size // 256), overrides)


def _dispatch(b, entry, reads, writes, shape, groups, overrides) -> None:
    b.dispatch(
        "forget",
        entry,
        reads=reads,
        writes=writes,
        params=list(shape),
        groups=groups,
        overrides=overrides,
    )
