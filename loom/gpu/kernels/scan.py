"""Running sums (shaders/scan.wgsl)."""

from loom.gpu.program import Tensor

BLOCK = 1024


def scan(b, x: Tensor, inclusive: bool = True) -> Tensor:
    """y[i] = the sum of x up to i, or up to i - 1, modulo 2^32. Shapes: (n,) u32."""
    n = x.size
    y = b.tensor((n,), "u32")
    if not n:
        return y
    groups = -(-n // BLOCK)
    totals = b.tensor((groups,), "u32")
    b.dispatch(
        "scan",
        "blocks",
        reads=[x],
        writes=[y, totals],
        params=[n, groups],
        groups=groups,
        overrides={"INCLUSIVE": inclusive},
    )
    if groups > 1:
        b.dispatch(
            "scan",
            "shift",
            reads=[scan(b, totals, inclusive=False)],
            writes=[y],
            params=[n, groups],
            groups=groups,
        )
    return y
