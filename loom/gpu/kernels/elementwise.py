"""Element-wise work, shaders/elementwise.wgsl. Chains of activations become one kernel.

Activations are put off until their result is needed; one that follows another is added
to it. With a backward pass to come a chain also keeps d = dy/dx, the product of its
derivatives, so that its whole backward pass is dx = dy * d.
"""

from typing import Any

from loom.activations import Activation
from loom.gpu.builder import Builder
from loom.gpu.kernels import move, softmax
from loom.gpu.program import Tensor

THREADS, WIDTH, LONGEST, MANY = 256, 4, 256, 255


class Chain:
    """Activations in a row, put off: y = f_k(... f_1(x))."""

    def __init__(self, b: Builder, x: Tensor, row: Activation):
        self.b, self.x, self.rows = b, x, [row]
        self.y = b.tensor(x.shape)
        self.d: Tensor | None = None

    def extend(self, row: Activation) -> Tensor:
        """One more activation at the end; the old y is never written."""
        self.b.replace(self.y)
        self.rows.append(row)
        self.y = self.b.tensor(self.y.shape)
        return self.b.defer(self.y, self)

    def __call__(self) -> None:
        """Dispatch the whole chain."""
        b, rows = self.b, self.rows
        many = len(rows) > 1
        keep = b.keep and many
        if keep:
            self.d = b.scratch(self.y.shape, "slope")
        b.dispatch(
            "elementwise",
            "chain",
            reads=[self.x],
            writes=[self.y, self.d],
            params=_params(self.y, [row.code for row in rows]),
            groups=_groups(self.y),
            overrides={"CODE": MANY if many else rows[0].code, "KEEP": keep},
        )


def activate(b: Builder, x: Tensor, row: Activation) -> tuple[Tensor, Any]:
    """y = f(x) and what `activate_backward` needs. Any shape; softmax: last axis."""
    if row.name == "linear":
        return x, None
    if not row.elementwise:
        y = softmax.softmax(b, x)
        return y, y
    chain = b.pending(x)
    if isinstance(chain, Chain) and len(chain.rows) < LONGEST:
        y = chain.extend(row)
    else:
        chain = Chain(b, x, row)
        y = b.defer(chain.y, chain)
    return y.reshape(x.shape), (chain, len(chain.rows))


def activate_backward(b: Builder, dy: Tensor, cache: Any) -> Tensor:
    """dx = dy f'(x). A chain's is done once, where its last activation stands."""
    if cache is None:
        return dy
    if isinstance(cache, Tensor):
        return softmax.softmax_backward(b, dy, cache)
    chain, place = cache
    if place < len(chain.rows):
        return dy
    if len(chain.rows) == 1:
        row = chain.rows[0]
        return slope(b, dy, row, chain.y if row.needs == "y" else chain.x)
    dx = b.tensor(dy.shape)
    _dispatch(b, "scale", [dy, chain.d], dx)
    return dx


def slope(b: Builder, dy: Tensor, row: Activation, saved: Tensor) -> Tensor:
    """dy * f'(saved), saved being f's v or y as `row.needs` says."""
    if row.name == "linear":
        return dy
    if not row.elementwise:
        return softmax.softmax_backward(b, dy, saved)
    product = b.pending(dy)
    if hasattr(product, "times_slope"):
        joined = product.times_slope(row, saved)
        if joined is not None:
            return joined.reshape(*dy.shape)
    dx = b.tensor(dy.shape)
    _dispatch(b, "slope_of", [dy, saved], dx, {"CODE": row.code})
    return dx


def add(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """x + y, of one shape."""
    z = b.tensor(x.shape)
    _dispatch(b, "binary", [x, y], z, {"OP": 0})
    return z


def multiply(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """x * y, of one shape."""
    z = b.tensor(x.shape)
    _dispatch(b, "binary", [x, y], z, {"OP": 1})
    return z


def add_rows(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """x + y for each sample. Shapes: x (B, ...), y (...) -> (B, ...)."""
    y = move.cast(b, y, b.stored)
    z = b.tensor(x.shape)
    count = _params(z, [])[0]
    b.dispatch(
        "elementwise",
        "add_rows",
        reads=[x, y],
        writes=[z],
        params=[count, y.size, 0, 0, *[0] * (LONGEST // 4)],
        groups=_groups(z),
    )
    return z


def _dispatch(b, entry, reads, z, overrides=None) -> None:
    b.dispatch(
        "elementwise",
        entry,
        reads=reads,
        writes=[z],
        params=_params(z, []),
        groups=_groups(z),
        overrides=overrides,
    )


def _params(t: Tensor, codes: list[int]) -> list[int]:
    words = [0] * (LONGEST // 4)
    for k, code in enumerate(codes):
        words[k // 4] |= code << 8 * (k % 4)
    return [-(-t.size // WIDTH), len(codes), 0, 0, *words]


def _groups(t: Tensor) -> int:
    return -(-t.size // (THREADS * WIDTH))
