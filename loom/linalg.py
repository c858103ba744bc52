"""The one door for matrix products, convolution windows, softmax and finiteness.

Natively NumPy with its BLAS; in the browser the SIMD kernels of `loom.kernels`, which
answer False for arrays that they leave to NumPy (another dtype, memory that overlaps).
"""

from math import isfinite

import numpy as np

from loom.kernels import simd

Array = np.ndarray
_LINEAR = 5  # the activation's code, here of no activation


def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """a @ b. Shapes: a (..., M, K), b (K, N) or (..., K, N) -> (..., M, N).

    Leading axes of `a` against a plain matrix `b` are folded into M: one product.
    """
    if simd is not None and (y := _simd_matmul(a, b, out, None, _LINEAR)) is not None:
        return y
    foldable = a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous
    if foldable and (out is None or out.flags.c_contiguous):
        rows = a.reshape(-1, a.shape[-1])
        flat = None if out is None else out.reshape(-1, b.shape[-1])
        return _product(rows, b, flat).reshape(*a.shape[:-1], b.shape[-1])
    return _product(a, b, out)


def _product(a: Array, b: Array, out: Array | None) -> Array:
    """a @ b by NumPy, whatever the floating-point flags say afterwards.

    OpenBLAS's small kernels compute with lanes that they do not use; now and then, by
    what the stack happens to hold, those report "invalid value" over finite numbers.
    np.dot has less overhead than np.matmul, by as much as errstate takes.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        if a.ndim == b.ndim == 2 and (out is None or out.flags.c_contiguous):
            return np.dot(a, b, out)
        return np.matmul(a, b, out=out)


def row_sum(a: Array, b: Array) -> Array:
    """Sum of a * b over the last axis, without a temporary. (..., N) -> (..., 1)."""
    return np.einsum("...n,...n->...", a, b)[..., None]


def affine(x: Array, w: Array, b: Array) -> Array:
    """x @ w + b. Shapes: x (..., M, K), w (K, N), b (N,) -> (..., M, N)."""
    y = fused(x, w, b, _LINEAR)
    if y is None:
        y = matmul(x, w)
        y += b
    return y


def fused(x: Array, w: Array, b: Array, activation: int) -> Array | None:
    """f(x @ w + b) in one pass, f by its code; None where no kernel does it."""
    return None if simd is None else _simd_matmul(x, w, None, b, activation)


def has_kernels() -> bool:
    """Whether it is worth making room for a kernel's results."""
    return simd is not None


def by_kernel(name: str, *arguments) -> bool:
    """Run a kernel of `loom.kernels` by name; False where the caller has to do it."""
    return simd is not None and getattr(simd, name)(*arguments)


def square_sum(x: Array) -> float:
    """The sum of x^2 over all of a contiguous array."""
    if simd is not None and (total := simd.squares(x)) is not False:
        return total
    flat = x.reshape(-1)
    return float(np.dot(flat, flat))


def _simd_matmul(
    a: Array, b: Array, out: Array | None, bias: Array | None, activation: int
) -> Array | None:
    foldable = a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous
    if foldable and (out is None or out.flags.c_contiguous):
        flat = None if out is None else out.reshape(-1, b.shape[-1])
        y = _simd_matmul(a.reshape(-1, a.shape[-1]), b, flat, bias, activation)
        return None if y is None else y.reshape(*a.shape[:-1], b.shape[-1])
    if a.ndim < 2 or b.ndim < 2:
        return None
    if out is None:
        leading = a.shape[:-2] if a.ndim > b.ndim else b.shape[:-2]
        out = np.empty((*leading, a.shape[-2], b.shape[-1]), a.dtype)
    return out if simd.matmul(a, b, out, bias, activation) else None


def softmax(x: Array, out: Array | None = None) -> Array:
    """exp(x - max) / sum over the last axis. Shapes: (..., N) -> (..., N)."""
    if simd is not None:
        y = np.empty_like(x) if out is None else out
        if simd.softmax(x, y):
            return y
    out = np.subtract(x, x.max(axis=-1, keepdims=True), out=out)
    np.exp(out, out=out)
    return np.divide(out, out.sum(axis=-1, keepdims=True), out=out)


def exp_rows(x: Array, total: Array) -> Array:
    """x = exp(x - max) over the last axis, in place; its sums to total (..., 1)."""
    if not by_kernel("exp_rows", x, x, total):
        x -= x.max(axis=-1, keepdims=True)
        np.exp(x, out=x)
        np.sum(x, axis=-1, keepdims=True, out=total)
    return x


def softmax_backward(dy: Array, y: Array) -> Array:
    """y * (dy - sum(dy * y)), the gradient through softmax's last axis."""
    if simd is not None and simd.softmax_backward(dy, y, dx := np.empty_like(dy)):
        return dx
    dx = dy * y
    total = dx.sum(axis=-1, keepdims=True)
    np.subtract(dy, total, out=dx)
    return np.multiply(dx, y, out=dx)


# Convolution windows ---------------------------------------------------------------

BLOCK = 1 << 18  # values of windows held at once: 1 MB of float32 stays in cache
_MERGE = 64  # positions in an image below which one product serves a whole block


def strided(array: Array, shape: tuple, strides: tuple, start: int = 0) -> Array:
    """A writable view of a contiguous array; strides and start count values."""
    size = array.itemsize
    return np.ndarray(
        shape, array.dtype, array, start * size, tuple(n * size for n in strides)
    )


class ImageWindows:
    """The windows of n images as columns of a matrix, and the way back (im2col).

        columns[(c, j, i), n, (h, w)] = padded x[n, c, h * stride + i, w * stride + j]

    and a last row of ones, which the bias meets. Columns are shifted first: rows are
    then contiguous, so that K * C copies of an image's rows and K * K * C of whole
    planes do it. h runs over `positions` rows of y, from a start given with x: a large
    image is met strip by strip.

    Shapes: x (n, C, H, W); weights (F, C * K * K + 1), the bias last; y (n, F, OH, OW)
    """

    axis = 2  # of y, which strips divide

    def __init__(self, samples: int, positions: int, shape, kernel: int, stride: int,
                 padding: int, dtype):  # fmt: skip
        n, k, s, p = samples, kernel, stride, padding
        c, h, w = shape
        oh, ow = positions, (w + 2 * p - k) // s + 1
        hp, wp = (oh - 1) * s + k, w + 2 * p
        taps = c * k * k
        self._samples, self._window = n, (k, s, p)
        self._whole = oh == (h + 2 * p - k) // s + 1
        self._padded = np.zeros((n, c, hp, wp), dtype)
        self._inner = self._padded[:, :, :, p : p + w]
        self._shifts = strided(
            self._padded, (c, k, n, hp, ow), (hp * wp, 1, c * hp * wp, wp, s)
        )
        self._shifted = np.empty((c, k, n, hp, ow), dtype)
        plane = hp * ow
        self._rows = strided(
            self._shifted,
            (c, k, k, n, oh, ow),
            (k * n * plane, n * plane, ow, plane, s * ow, 1),
        )
        self._columns = np.empty((taps + 1, n, oh * ow), dtype)
        self._columns[taps] = 1
        self._taps = self._columns[:taps].reshape(c, k, k, n, oh, ow)
        self._merged = oh * ow < _MERGE

    @staticmethod
    def pack(weight: Array, bias: Array) -> Array:
        """(F, C, K, K) and (F,) -> (F, C * K * K + 1), rows in the columns' order."""
        f = len(bias)
        return np.concatenate(
            (weight.transpose(0, 1, 3, 2).reshape(f, -1), bias[:, None]), axis=1
        )

    @staticmethod
    def unpack(packed: Array, shape) -> tuple[Array, Array]:
        """The reverse of `pack`, for a weight of `shape`."""
        weight = packed[:, :-1].reshape(shape).transpose(0, 1, 3, 2)
        return np.ascontiguousarray(weight), packed[:, -1].copy()

    @staticmethod
    def direct(x: Array, w: Array, out: Array, *window: int) -> bool:
        """out = w over the windows of x, without a matrix of them; window is (kernel,
        stride, padding). False where no kernel does it.
        """
        return by_kernel("convolve", x, w, out, *window)

    def gather(self, x: Array, start: int = 0) -> None:
        """Take the windows of x (n, C, H, W), from row `start` of y on."""
        if self._whole and by_kernel("gather", x, self._columns, None, *self._window):
            return
        rows, inside = covered(start, x.shape[2], self._inner.shape[2], self._window)
        np.copyto(self._inner[:, :, inside], x[:, :, rows])
        self._inner[:, :, : inside.start] = 0
        self._inner[:, :, inside.stop :] = 0
        np.copyto(self._shifted, self._shifts)
        np.copyto(self._taps, self._rows)

    def product(self, w: Array, out: Array) -> None:
        """out (n, F, OH, OW) = w @ columns of each image."""
        f, n = w.shape[0], self._samples
        if self._merged:
            y = matmul(w, self._columns.reshape(w.shape[1], -1))
            np.copyto(out.reshape(n, f, -1), y.reshape(f, n, -1).transpose(1, 0, 2))
        else:
            matmul(w, self._columns.transpose(1, 0, 2), out.reshape(n, f, -1))

    def gradient(self, dv: Array) -> Array:
        """dL/dw (F, C * K * K + 1), summed over the images; dv (n, F, OH, OW)."""
        n, f = dv.shape[:2]
        dv = dv.reshape(n, f, -1)
        if self._merged:
            rows = dv.transpose(1, 0, 2).reshape(f, -1)
            return matmul(rows, self._columns.reshape(len(self._columns), -1).T)
        return matmul(dv, self._columns.transpose(1, 2, 0)).sum(axis=0)

    def scatter(self, w: Array, dv: Array, out: Array, start: int = 0) -> None:
        """Add dL/dx to out (n, C, H, W), zero at first; the columns are overwritten."""
        n, f = dv.shape[:2]
        dv = dv.reshape(n, f, -1)
        w = w[:, :-1].T
        columns = self._columns[:-1]
        if self._merged:
            rows = dv.transpose(1, 0, 2).reshape(f, -1)
            matmul(w, rows, columns.reshape(len(columns), -1))
        else:
            matmul(w, dv, columns.transpose(1, 0, 2))
        if self._whole and by_kernel(
            "scatter", self._columns, out, None, *self._window
        ):
            return
        kernel, _, padding = self._window
        self._shifted.fill(0)
        for i in range(kernel):
            self._rows[:, :, i] += self._taps[:, :, i]
        self._padded.fill(0)
        for j in range(kernel):
            self._shifts[:, j] += self._shifted[:, j]
        rows, inside = covered(start, out.shape[2], self._inner.shape[2], self._window)
        out[:, :, rows] += self._inner[:, :, inside]
        if padding:
            self._padded.fill(0)


def covered(start: int, size: int, span: int, window) -> tuple[slice, slice]:
    """What the windows from position `start` on, `span` values in all, see of an axis.

    As slices of the axis (of `size` values) and of the span; the rest is padding.
    """
    _, stride, before = window
    first = start * stride - before
    low = min(max(first, 0), size)
    high = max(min(first + span, size), low)
    return slice(low, high), slice(low - first, high - first)


class SequenceWindows:
    """The windows of n sequences as rows of a matrix, and the way back.

        rows[n, t, (k, c)] = padded x[n, t * stride + k, c]

    and a last column of ones, which the bias meets.

    t runs over `positions` steps of y, from a start given with x.

    Shapes: x (n, T, C); weights (K * C + 1, F), the bias last; y (n, OT, F)
    """

    axis = 1  # of y, which strips divide

    def __init__(self, samples: int, positions: int, shape, kernel: int, stride: int,
                 padding: tuple[int, int], dtype):  # fmt: skip
        n, k, s, ot = samples, kernel, stride, positions
        c = shape[1]
        self._window, self._last = (k, s, padding[0]), s * (ot - 1) + 1
        self._padded = np.zeros((n, self._last - 1 + k, c), dtype)
        self._views = strided(
            self._padded, (n, ot, k * c), (self._padded[0].size, s * c, 1)
        )
        self._rows = np.empty((n, ot, k * c + 1), dtype)
        self._rows[:, :, -1] = 1

    @staticmethod
    def pack(weight: Array, bias: Array) -> Array:
        """(F, C, K) and (F,) -> (K * C + 1, F)."""
        return np.concatenate(
            (weight.transpose(2, 1, 0).reshape(-1, len(bias)), bias[None])
        )

    @staticmethod
    def unpack(packed: Array, shape) -> tuple[Array, Array]:
        """The reverse of `pack`, for a weight of `shape`."""
        f, c, k = shape
        weight = packed[:-1].reshape(k, c, f).transpose(2, 1, 0)
        return np.ascontiguousarray(weight), packed[-1].copy()

    @staticmethod
    def direct(x: Array, w: Array, out: Array, *window) -> bool:
        """False: its rows are contiguous as they are."""
        return False

    def gather(self, x: Array, start: int = 0) -> None:
        """Take the windows of x (n, T, C), from step `start` of y on."""
        rows, inside = covered(start, x.shape[1], self._padded.shape[1], self._window)
        np.copyto(self._padded[:, inside], x[:, rows])
        self._padded[:, : inside.start] = 0
        self._padded[:, inside.stop :] = 0
        np.copyto(self._rows[:, :, :-1], self._views)

    def product(self, w: Array, out: Array) -> None:
        """out (n, OT, F) = rows @ w."""
        matmul(self._rows, w, out)

    def gradient(self, dv: Array) -> Array:
        """dL/dw (K * C + 1, F), summed over everything; dv (n, OT, F)."""
        rows = self._rows.reshape(-1, self._rows.shape[-1])
        return matmul(rows.T, dv.reshape(-1, dv.shape[-1]))

    def scatter(self, w: Array, dv: Array, out: Array, start: int = 0) -> None:
        """Add dL/dx to out (n, T, C), zero at first; the windows stay as they are."""
        windows = matmul(dv, w[:-1].T)
        c = out.shape[-1]
        kernel, stride, _ = self._window
        self._padded.fill(0)
        for k in range(kernel):
            taken = self._padded[:, k : k + self._last : stride]
            taken += windows[:, :, k * c : (k + 1) * c]
        rows, inside = covered(start, out.shape[1], self._padded.shape[1], self._window)
        out[:, rows] += self._padded[:, inside]


def all_finite(array: Array) -> bool:
    """Whether no value is NaN or infinite."""
    if array.size <= 4096:
        return np.count_nonzero(np.isfinite(array)) == array.size
    flat = array.reshape(-1)
    # One pass without a temporary; an overflow is looked at again.
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.dot(flat, flat)
    return isfinite(square) or bool(np.isfinite(flat).all())
