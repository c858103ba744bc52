"""What a network decides for each row of its outputs, shaders/metric.wgsl."""

from loom.gpu.builder import Builder
from loom.gpu.program import Tensor


def greatest(b: Builder, y: Tensor, columns: int) -> Tensor:
    """For each `columns` values of y the index of the greatest, or the only value.

    Shapes: y of M * columns values -> (M,) float32.
    """
    rows = y.size // columns
    z = b.scratch((rows,))
    b.dispatch(
        "metric",
        "greatest",
        reads=[y],
        writes=[z],
        params=[rows, columns],
        groups=rows,
    )
    return z
