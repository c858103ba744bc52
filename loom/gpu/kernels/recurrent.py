"""RNN, LSTM and GRU on the device (shaders/recurrent.wgsl).

One product gives the gates' parts of x for all of time. The recurrence then is one
dispatch, a workgroup a sample, where its weights fit: in the registers of a workgroup,
or near it. Otherwise each step is a product and a kernel over all units; where a
processor plays the GPU, both in one.
"""

from dataclasses import dataclass

from loom.gpu.kernels.matmul import Operand, matmul, product
from loom.gpu.kernels.reduce import column_sum
from loom.gpu.program import Tensor

RNN, LSTM, GRU = 0, 1, 2
GATES = {RNN: 1, LSTM: 4, GRU: 3}
KEPT = {RNN: 1, LSTM: 5, GRU: 4}
REGISTERS = 16  # vec4s of weights that a thread holds
NEAR = 160 * 1024  # bytes of weights that a multiprocessor's own cache keeps


@dataclass(frozen=True)
class Plan:
    """How one workgroup does a product of (outputs, inputs) at each step."""

    threads: int
    parts: int
    held: bool


@dataclass(frozen=True)
class Kept:
    """What backward needs; the weights come from the layer."""

    x: Tensor
    kept: Tensor
    before: Tensor


def forward(
    b,
    cell: int,
    x: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    bias_hn: Tensor | None = None,
    *,
    every: bool = True,
) -> tuple[Tensor, Kept | None]:
    """All steps of a cell; with b.keep what `backward` needs.

    Shapes:  x (B, T, C), weight_ih (G H, C), weight_hh (G H, H), bias (G H,), bias_hn
             (H,) -> y (B, T, H), or the last (B, H) unless `every`
    """
    batch, time, _ = x.shape
    h, g = weight_hh.shape[1], GATES[cell]
    xp = matmul(b, x, weight_ih, transpose_b=True, bias=bias)
    y = b.tensor((batch, time, h) if every else (batch, h))
    alone = b.limits.alone()
    plan = None if alone else _plan(b.limits, g * h, h)
    kept = b.tensor((batch, time, KEPT[cell] * h)) if b.keep else None
    before = b.tensor((batch, time, h)) if b.keep or not plan else None
    overrides = {"CELL": cell, "H": h, "KEEP": b.keep, "ALL": every}
    if plan:
        b.dispatch(
            "recurrent",
            "forward",
            reads=[xp, weight_hh, bias_hn],
            writes=[y, kept, before, None],
            params=[batch, time, 0, batch],
            groups=batch,
            overrides=overrides | _overrides(plan, h),
        )
    elif alone:
        cells = b.scratch((batch, h))
        for step in range(time):
            reads, writes = [xp, weight_hh, bias_hn], [y, kept, before, cells]
            _alone(b, reads, writes, (batch, time, step), h, overrides)
    else:
        cells = b.scratch((batch, h))
        parts = b.scratch((batch, g * h))
        for step in range(time):
            if step:
                product(
                    b,
                    Operand(before, time * h, start=step * h),
                    Operand(weight_hh, h),
                    Operand(parts, g * h),
                    (batch, g * h, h),
                    transpose_b=True,
                )
            b.dispatch(
                "recurrent",
                "forward_step",
                reads=[xp, parts if step else None, bias_hn],
                writes=[y, kept, before, cells],
                params=[batch, time, step, 0],
                groups=-(-batch * h // 256),
                overrides=overrides,
            )
    return y, Kept(x, kept, before) if b.keep else None


@dataclass(frozen=True)
class Gradients:
    """Where backward writes the parameters' gradients."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias: Tensor
    bias_hn: Tensor | None = None


def backward(
    b,
    cell: int,
    dy: Tensor,
    cache: Kept,
    weight_ih: Tensor,
    weight_hh: Tensor,
    out: Gradients,
    *,
    every: bool = True,
    need_dx: bool = True,
) -> Tensor | None:
    """dx; the gradients of the parameters go to `out`. Shapes as `forward`."""
    batch, time, c = cache.x.shape
    h, g = weight_hh.shape[1], GATES[cell]
    dvx = b.tensor((batch, time, g * h))
    dvh = b.tensor((batch, time, g * h)) if cell == GRU else dvx
    writes = [dvx, dvh if cell == GRU else None]
    alone = b.limits.alone()
    plan = None if alone else _plan(b.limits, h, g * h)
    overrides = {"CELL": cell, "H": h, "BACK": True, "ALL": every}
    earlier = cache.before if cell == GRU else None
    if plan:
        b.dispatch(
            "recurrent",
            "backward",
            reads=[dy, weight_hh, cache.kept, earlier],
            writes=[*writes, None],
            params=[batch, time, 0, batch],
            groups=batch,
            overrides=overrides | _overrides(plan, h),
        )
    elif alone:
        carried = b.scratch((batch, h))
        reads, writes = [dy, weight_hh, cache.kept, earlier], [*writes, carried]
        for step in range(time - 1, -1, -1):
            _alone(b, reads, writes, (batch, time, step), h, overrides)
    else:
        carried, dh = b.scratch((batch, h)), b.scratch((batch, h))
        for step in range(time - 1, -1, -1):
            last = step == time - 1
            b.dispatch(
                "recurrent",
                "backward_step",
                reads=[dy, None if last else dh, cache.kept, earlier],
                writes=[*writes, carried],
                params=[batch, time, step, 0],
                groups=-(-batch * h // 256),
                overrides=overrides,
            )
            if step:
                product(
                    b,
                    Operand(dvh, time * g * h, start=step * g * h),
                    Operand(weight_hh, h),
                    Operand(dh, h),
                    (batch, h, g * h),
                )
    rows = batch * time
    flat = dvx.reshape(rows, g * h)
    matmul(b, flat, cache.x.reshape(rows, c), transpose_a=True, out=out.weight_ih)
    matmul(
        b,
        dvh.reshape(rows, g * h),
        cache.before.reshape(rows, h),
        transpose_a=True,
        out=out.weight_hh,
    )
    column_sum(b, flat, out=out.bias)
    if cell == GRU:
        column_sum(b, dvh, out=out.bias_hn, columns=(2 * h, h))
    if not need_dx:
        return None
    return matmul(b, dvx, weight_ih)


def _alone(b, reads, writes, at: tuple[int, int, int], h: int, overrides) -> None:
    """One step with its product, (batch, time, step)."""
    batch = at[0]
    back = "BACK" in overrides
    samples = min(8 if back else 16, batch)
    lines = -(-h // 4) if back else h
    threads = -(-lines // 4) * 4 * -(-batch // samples)
    quads = {"QUADS": True} if b.limits.subgroups else {}
    b.dispatch(
        "recurrent",
        "alone",
        reads=reads,
        writes=writes,
        params=[*at, threads],
        groups=-(-threads // 8),
        overrides=overrides
        | {"ALONE": True, "SAMPLES": samples, "VEC": h % 4 == 0}
        | quads,
        features=("subgroups",) if quads else (),
    )


def _overrides(plan: Plan, h: int) -> dict:
    return {
        "THREADS": plan.threads,
        "PARTS": plan.parts,
        "HELD": plan.held,
        "VEC": h % 4 == 0,
    }


def _plan(limits, outputs: int, inputs: int) -> Plan | None:
    """How one workgroup does it, or None where the weights are too many."""

    def shared(parts: int) -> int:
        columns = -(-inputs // (4 * parts))
        return 16 * columns * parts + 4 * outputs * parts + 64

    most = 1024 if limits.invocations >= 1024 else 256
    for threads in (256, 512, 1024):
        if threads > most:
            break
        for parts in (1, 2, 4, 8, 16, 32):
            runs = -(-outputs // (threads // parts))
            columns = -(-inputs // (4 * parts))
            if runs * columns <= REGISTERS and shared(parts) <= limits.shared:
                return Plan(threads, parts, True)
    if 4 * outputs * inputs > 2 * NEAR:
        return None
    for parts in (8, 4, 2):
        if shared(parts) <= limits.shared:
            return Plan(most, parts, False)
    return None
