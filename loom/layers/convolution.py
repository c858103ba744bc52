"""What Conv1D and Conv2D share: blocks of samples whose windows stay in cache.

A block's windows are gathered into a scratch matrix, met by the weights in one product
straight into y, and the activation follows while they are in cache. Backward gathers
them again rather than keep K * K copies of x.
"""

from collections.abc import Iterator
from math import prod
from typing import ClassVar

import numpy as np

from loom.gpu.kernels.conv import Sizes, conv, conv_backward
from loom.gpu.kernels.elementwise import slope
from loom.gpu.kernels.softmax import softmax
from loom.layers.base import EVALUATE, Array, Layer, Run, Shape, Weight
from loom.linalg import BLOCK, ImageWindows, SequenceWindows, has_kernels

Windows = ImageWindows | SequenceWindows


class Convolution(Layer):
    """The base of the convolutions: x, weight (F, C, K...), bias (F,) -> y.

    Cache:   x and the pre-activation or y, whichever f's derivative reads
    """

    weights = (
        Weight("weight", "Kernel", "kernel"),
        Weight("bias", "Bias", "conv_bias", bias=True),
    )
    windows: ClassVar[type[Windows]]

    def _padding(self) -> int | tuple[int, int]:
        """What `windows` takes as padding."""
        return self.padding

    def __getstate__(self) -> dict:
        """Copies and pickles leave the scratch out: its views share memory."""
        return {name: v for name, v in self.__dict__.items() if name != "_kept"}

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, tuple]:
        """A block at a time: windows, one product with the bias, the activation."""
        f, p = self.config["activation"], self.parameters
        w = self.windows.pack(p["weight"], p["bias"])
        v = np.empty((len(x), *self.output_shape(x.shape[1:])), w.dtype)
        y = v if f.needs == "y" else np.empty_like(v)
        window = self.kernel_size, self.stride, self._padding()
        if self.windows.direct(x, w, v, *window):
            f.forward(v, y)
        else:
            for samples, at, start, windows in self._blocks(x, v):
                windows.gather(x[samples], start)
                windows.product(w, v[at])
                f.forward(v[at], y[at])
        return y, ((x, None, y) if f.needs == "y" else (x, v, None))

    def backward(self, dy: Array, cache: tuple, need_dx: bool = True):
        """dW = dv windows^T, db = sum dv; dx sums W^T dv over the windows it is in."""
        x, v, y = cache
        f, p = self.config["activation"], self.parameters
        w = self.windows.pack(p["weight"], p["bias"])
        dw = np.zeros_like(w)
        dx = np.zeros(x.shape, w.dtype) if need_dx else None
        for samples, at, start, windows in self._blocks(x, dy):
            seen = (None, y[at]) if v is None else (v[at], None)
            dv = f.backward(dy[at], *seen)
            windows.gather(x[samples], start)
            dw += windows.gradient(dv)
            if need_dx:
                windows.scatter(w, dv, dx[samples], start)
        weight, bias = self.windows.unpack(dw, p["weight"].shape)
        return dx, {"weight": weight, "bias": bias}

    def lower_forward(self, b, x):
        """One product, the windows read from x as it goes, bias and f at its end."""
        f = self.activation
        w, bias = b.weight(self, "weight"), b.weight(self, "bias")
        sizes = self._sizes(x.shape[1:])
        if not f.elementwise:
            y = softmax(b, conv(b, x, w, bias, sizes))
            return y, (x, y)
        if b.keep and f.needs == "v":
            y, v = conv(b, x, w, bias, sizes, activation=f, keep=True)
            return y, (x, v)
        y = conv(b, x, w, bias, sizes, activation=f)
        return y, (x, y)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """As backward: dv, then one product for dW and one for dx."""
        x, saved = cache
        return conv_backward(
            b,
            slope(b, dy, self.activation, saved),
            x,
            b.weight(self, "weight"),
            self._sizes(x.shape[1:]),
            b.gradient(self, "weight"),
            b.gradient(self, "bias"),
            need_dx,
        )

    def _sizes(self, shape: Shape) -> Sizes:
        """What the GPU's kernels know of it, for a sample of `shape`."""
        raise NotImplementedError

    def _blocks(self, x: Array, y: Array) -> Iterator[tuple]:
        """Parts of the batch: its samples, its index in y, the first position, scratch.

        A part is some samples, or a strip of a large one; as many windows as a block,
        or as the weights, which each product reads once. The scratch stays for the next
        pass unless it is large: new memory costs more than its use, since the system
        clears every page of it.
        """
        weight, axis = self.parameters["weight"], self.windows.axis
        batch, positions = len(x), y.shape[axis]
        values = prod(weight.shape[1:]) * prod(y.shape[1:]) // self.filters
        most = max(BLOCK, weight.size)
        step = max(1, min(batch, most // values))
        strip = max(1, min(positions, most * positions // values))
        if has_kernels():  # which take whole samples
            strip = positions
        small = values * step * strip <= 4 * BLOCK * positions
        kept = self.__dict__.setdefault("_kept", {}) if small else {}
        for first in range(0, batch, step):
            samples = slice(first, min(first + step, batch))
            for start in range(0, positions, strip):
                stop = min(start + strip, positions)
                key = samples.stop - first, stop - start, x.shape[1:], weight.dtype
                # Taken out while in use: another thread then makes its own.
                windows = kept.pop(key, None) or self.windows(
                    *key[:3], self.kernel_size, self.stride, self._padding(), key[3]
                )
                at = (samples, *[slice(None)] * (axis - 1), slice(start, stop))
                yield samples, at, start, windows
                if len(kept) >= 2:  # the blocks, and a smaller last one
                    kept.clear()
                kept[key] = windows
