"""Rows of a table by ids, shaders/embedding.wgsl."""

from loom.gpu.builder import Builder
from loom.gpu.program import Tensor

THREADS = 256


def embedding(b: Builder, x: Tensor, w: Tensor) -> Tensor:
    """w[x]. Shapes: x (...) float32, w (V, D) -> (..., D)."""
    y = b.tensor((*x.shape, w.shape[1]))
    b.dispatch(
        "embedding",
        "forward",
        reads=[x, w],
        writes=[y],
        params=[x.size, *w.shape],
        groups=-(-y.size // THREADS),
    )
    return y


def embedding_backward(b: Builder, dy: Tensor, x: Tensor, dw: Tensor) -> None:
    """dw (V, D) = for each id the sum of its rows of dy (..., D)."""
    rows, columns = dw.shape
    b.bound(33 * -(-x.size // THREADS), f"{x.size:,} ids")
    b.dispatch(
        "embedding",
        "backward",
        reads=[x, dy],
        writes=[dw],
        params=[x.size, rows, columns],
        groups=rows * -(-columns // THREADS),
        overrides={"NARROW": True} if dw.dtype == "f16" else {},
    )
