"""Losses and their gradients, shaders/loss.wgsl."""

from loom.gpu.builder import Builder
from loom.gpu.kernels import optimize
from loom.gpu.program import Tensor


def loss(b: Builder, y: Tensor, t: Tensor, row) -> tuple[Tensor, Tensor]:
    """dL/dy (as stored, times the loss scale) and the parts whose sum is L.

    Shapes: y (B, ..., K); t as y in float32, or class indices (B, ...) as uint32.
    `row` is a row of the loss table.
    """
    columns = y.shape[-1]
    rows = y.size // columns
    classes = t.dtype == "u32"
    by_row = row.name == "softmax_cross_entropy"
    # The cross entropies are means over rows, the others over values.
    count = rows if row.classes else y.size
    alone = b.limits.alone(3 * columns if by_row else 0)
    part = 64 if alone else 1024
    parts = rows if by_row else -(-y.size // part)
    kind = {"CLASSES": classes, "THREADS": 1 if alone else 64 if by_row else 256}
    kind |= {} if by_row else {"CODE": row.code, "PART": part}
    dy, losses = b.tensor(y.shape), b.scratch((parts, 2), "loss")
    b.dispatch(
        "loss",
        row.name if by_row else "values",
        reads=[y, None if classes else t, t if classes else None, optimize.control(b)],
        writes=[dy, losses],
        params=[y.size, rows, columns, parts, 1 / count],
        groups=-(-parts // 8) if alone else parts,
        overrides=kind,
        step=True,
    )
    return dy, losses
