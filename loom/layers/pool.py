"""What the pooling layers share: windows along one axis after the other.

The maximum (or sum) over a square window is that over its rows of those over its
columns: 2 K slices instead of K * K. Each stage has its own backward.
"""

from math import prod
from typing import Any, ClassVar

import numpy as np

from loom.errors import ConfigError, ShapeError
from loom.gpu.kernels import pool as gpu
from loom.layers.base import (
    EVALUATE,
    Array,
    Field,
    Layer,
    Run,
    Shape,
    batch_text,
    too_large,
)


class Pool(Layer):
    """The base of pooling: windows of `kernel_size` along `axes`, nothing trained.

    Fields:  kernel_size K, 0 for the whole axis (global pooling); stride, 0 for K;
             padding at each end, at most K // 2
    Raises:  ConfigError when the padding is more than half a window; ShapeError when
             a window is larger than the padded x
    """

    fields = (
        Field("kernel_size", "KernelSize", minimum=0),
        Field("stride", "Stride", default=0, minimum=0),
        Field("padding", "Padding", default=0, minimum=0),
    )
    axes: ClassVar[tuple[tuple[str, int], ...]]  # pooled, by name; the last one first
    form: ClassVar[str]  # a sample's shape as text
    filler: ClassVar[float] = 0.0  # what padding holds
    greatest: ClassVar[bool] = False  # or the mean

    def __init__(self, kernel_size: int, stride: int = 0, padding: int = 0):
        super().__init__(kernel_size=kernel_size, stride=stride, padding=padding)

    def check(self) -> None:
        """Padding is at most half a window; a global pool has neither it nor stride."""
        where, k, p = type(self).__name__, self.kernel_size, self.padding
        if k == 0 and (p or self.stride):
            raise ConfigError(
                f"{where}: expected stride 0 and padding 0 with kernel_size 0 (the "
                f"whole axis), got {self.stride} and {p}."
            )
        if 2 * p > k:
            raise ConfigError(
                f"{where}: expected padding of at most {k // 2}, half of kernel_size "
                f"{k}, got {p}: a window may not lie in the padding alone."
            )

    def window(self, size: int) -> tuple[int, int, int]:
        """Kernel, stride and positions along an axis of `size`."""
        k = self.kernel_size or size
        s = self.stride or k
        return k, s, (size + 2 * self.padding - k) // s + 1

    def input_shape(self, previous: Shape) -> Shape:
        """A sample of this rank that holds a window at least."""
        if len(previous) != 1 + len(self.axes):
            raise ShapeError(
                f"expected x of shape {self.form}, got {batch_text(previous)}. "
                "Reshape it first."
            )
        for name, axis in self.axes:
            most = previous[axis] + 2 * self.padding
            if self.kernel_size > most:
                raise ShapeError(
                    f"expected kernel_size of at most {most}, {name} {previous[axis]} "
                    f"with padding {self.padding}, got {self.kernel_size}. Use a "
                    "smaller window, or 0 for the whole."
                )
        padded = [
            n + 2 * self.padding * (axis in dict(self.axes).values())
            for axis, n in enumerate(previous)
        ]
        if problem := too_large(prod(padded)):
            raise ShapeError(f"{problem} Use less padding.")
        return previous

    def output_shape(self, shape: Shape) -> Shape:
        """The pooled axes shortened to the windows' number."""
        out = list(shape)
        for _, axis in self.axes:
            out[axis] = self.window(shape[axis])[2]
        return tuple(out)

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, list]:
        """One stage an axis."""
        caches = []
        for _, axis in self.axes:
            x, cache = self._pool(self._padded(x, axis + 1), axis + 1, x.shape)
            caches.append(cache)
        return x, caches

    def backward(self, dy: Array, cache: list, need_dx: bool = True):
        """The stages in reverse; nothing where dx is not needed."""
        if not need_dx:
            return None, {}
        stages = list(zip(self.axes, cache, strict=True))
        for (_, axis), saved in reversed(stages):
            dy = self._spread(dy, saved, axis + 1)
        return dy, {}

    def lower_forward(self, b, x):
        """Both axes at once: a thread a window."""
        shape = (x.shape[0], *self.output_shape(x.shape[1:]))
        return gpu.pool(b, x, self._windows(x.shape), shape, self.greatest)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """A thread a value of x, which gathers from the windows it is in."""
        if not need_dx:
            return None
        windows = self._windows(cache.shape)
        return gpu.pool_backward(b, dy, cache, windows, self.greatest)

    def _windows(self, shape: Shape) -> gpu.Windows:
        """Those of x of `shape`, with the batch, along both axes."""
        axes = [self.window(shape[axis + 1]) for _, axis in reversed(self.axes)]
        padding = [self.padding] * len(axes)
        if len(axes) == 1:
            axes, padding = [(1, 1, 1), *axes], [0, *padding]
            outer, size, inner = shape[0], (1, shape[1]), shape[2]
        else:
            outer, size, inner = shape[0] * shape[1], shape[2:], 1
        kernel, stride, count = zip(*axes, strict=True)
        return gpu.Windows(outer, size, inner, kernel, stride, tuple(padding), count)

    def _pool(self, x: Array, axis: int, shape: Shape) -> tuple[Array, Any]:
        """One stage: padded x, and x's own shape before -> y, cache."""
        raise NotImplementedError

    def _spread(self, dy: Array, cache: Any, axis: int) -> Array:
        """One stage's gradient: dy -> dx, without the padding."""
        raise NotImplementedError

    def _padded(self, x: Array, axis: int) -> Array:
        p = self.padding
        if not p:
            return x
        shape = list(x.shape)
        shape[axis] += 2 * p
        out = np.full(shape, self.filler, x.dtype)
        out[along(axis, p, p + x.shape[axis])] = x
        return out

    def _inside(self, dx: Array, axis: int) -> Array:
        """dx without the padding."""
        p = self.padding
        if not p:
            return dx
        return np.ascontiguousarray(dx[along(axis, p, dx.shape[axis] - p)])

    def _taps(self, x: Array, axis: int, size: int) -> list[Array]:
        """The first, second, ... value of each window along an axis; views.

        size is the axis's length without padding.
        """
        k, s, n = self.window(size)
        return [x[along(axis, i, i + s * (n - 1) + 1, s)] for i in range(k)]


def along(axis: int, start: int, stop: int, step: int = 1) -> tuple[slice, ...]:
    """The index that slices one axis."""
    return (slice(None),) * axis + (slice(start, stop, step),)


class MaxPool(Pool):
    """The greatest value of each window; the first of equal ones gets the gradient."""

    filler = -np.inf
    greatest = True

    def _pool(self, x: Array, axis: int, shape: Shape) -> tuple[Array, Any]:
        k, _, n = self.window(shape[axis])
        if n == 1:
            y = x[along(axis, 0, k)].max(axis=axis, keepdims=True)
        else:
            first, *rest = self._taps(x, axis, shape[axis])
            y = first.copy()
            for tap in rest:
                np.maximum(y, tap, out=y)
        return y, (x, y, shape[axis])

    def _spread(self, dy: Array, cache: Any, axis: int) -> Array:
        x, y, size = cache
        dx = np.zeros(x.shape, dy.dtype)
        k, s, n = self.window(size)
        if n == 1:
            at = x[along(axis, 0, k)].argmax(axis=axis, keepdims=True)
            np.put_along_axis(dx, at, dy, axis)
            return self._inside(dx, axis)
        free = np.ones(y.shape, bool)
        taps = zip(self._taps(x, axis, size), self._taps(dx, axis, size), strict=True)
        for tap, to in taps:
            hit = tap == y
            hit &= free
            free ^= hit
            if s >= k:
                np.multiply(dy, hit, out=to)
            else:
                to += dy * hit
        return self._inside(dx, axis)


class AvgPool(Pool):
    """The mean of each window, the zeros of the padding counted."""

    def _pool(self, x: Array, axis: int, shape: Shape) -> tuple[Array, Any]:
        k, _, n = self.window(shape[axis])
        if n == 1:
            y = x[along(axis, 0, k)].sum(axis=axis, keepdims=True)
        else:
            first, *rest = self._taps(x, axis, shape[axis])
            y = first.copy()
            for tap in rest:
                y += tap
        y *= 1 / k
        return y, shape

    def _spread(self, dy: Array, cache: Any, axis: int) -> Array:
        shape = list(cache)
        size = shape[axis]
        shape[axis] += 2 * self.padding
        k, s, n = self.window(size)
        dx = np.zeros(shape, dy.dtype)
        part = dy * dy.dtype.type(1 / k)
        if n == 1:
            dx[along(axis, 0, k)] = part
            return self._inside(dx, axis)
        for to in self._taps(dx, axis, size):
            if s >= k:
                np.copyto(to, part)
            else:
                to += part
        return self._inside(dx, axis)
