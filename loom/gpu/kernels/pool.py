"""Pooling over windows and its gradient (shaders/pool.wgsl)."""

from dataclasses import dataclass

from loom.gpu.program import Tensor

Pair = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """x as (outer, H, W, inner) and its windows, each pair (height, width).

    Images (B, C, H, W) are (B C, H, W, 1), sequences (B, T, C) are (B, 1, T, C).
    """

    outer: int
    size: Pair
    inner: int
    kernel: Pair
    stride: Pair
    padding: Pair
    count: Pair

    def params(self, threads: int, scale: float) -> list:
        """The shader's constant block."""
        rows = [threads, *self.size, self.inner, *self.count]
        return [*rows, *self.kernel, *self.stride, *self.padding, scale]

    def scale(self, greatest: bool) -> float:
        """What a sum over a window is multiplied by."""
        return 1.0 if greatest else 1.0 / (self.kernel[0] * self.kernel[1])


@dataclass(frozen=True)
class Pooled:
    """What the backward pass needs: x's shape, and where the greatest values lie."""

    shape: tuple[int, ...]
    place: Tensor | None


def pool(b, x: Tensor, windows: Windows, shape, greatest: bool) -> tuple:
    """(y, cache): the greatest value or the mean of each window; y of `shape`."""
    high, wide = windows.kernel
    b.bound(high * (wide + 1), f"windows of {high} x {wide}")
    y = b.tensor(shape)
    keep = b.keep and greatest
    place = b.tensor(shape, "u32") if keep else None
    b.dispatch(
        "pool",
        "forward",
        reads=[x],
        writes=[y, place],
        params=windows.params(y.size, windows.scale(greatest)),
        groups=-(-y.size // 256),
        overrides={"MAX": greatest, "KEEP": keep},
    )
    return y, Pooled(x.shape, place)


def pool_backward(b, dy: Tensor, cache: Pooled, windows: Windows, greatest: bool):
    """dx, of x's shape."""
    dx = b.tensor(cache.shape)
    b.dispatch(
        "pool",
        "backward",
        reads=[dy, cache.place],
        writes=[dx],
        params=windows.params(dx.size, windows.scale(greatest)),
        groups=-(-dx.size // 256),
        overrides={"MAX": greatest},
    )
    return dx
