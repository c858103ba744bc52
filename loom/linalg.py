"""The one door for matrix products, convolution windows and softmax.

Natively NumPy with its BLAS. Every product of the framework passes through `matmul`, so
that a faster kernel (WebAssembly SIMD, say) has to be placed here alone.
"""

import numpy as np

Array = np.ndarray


def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """a @ b. Shapes: a (..., M, K), b (K, N) or (..., K, N) -> (..., M, N).

    Leading axes of `a` against a plain matrix `b` are folded into M: one product.
    """
    if a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous:
        rows = a.reshape(-1, a.shape[-1])
        flat = None if out is None else out.reshape(-1, b.shape[-1])
        return np.matmul(rows, b, out=flat).reshape(*a.shape[:-1], b.shape[-1])
    return np.matmul(a, b, out=out)


def row_sum(a: Array, b: Array) -> Array:
    """Sum of a * b over the last axis, without a temporary. (..., N) -> (..., 1)."""
    return np.einsum("...n,...n->...", a, b)[..., None]


def softmax(x: Array, out: Array | None = None) -> Array:
    """exp(x - max) / sum over the last axis. Shapes: (..., N) -> (..., N)."""
    out = np.subtract(x, x.max(axis=-1, keepdims=True), out=out)
    np.exp(out, out=out)
    return np.divide(out, out.sum(axis=-1, keepdims=True), out=out)


def softmax_backward(dy: Array, y: Array) -> Array:
    """y * (dy - sum(dy * y)), the gradient through softmax's last axis."""
    dx = dy * y
    total = dx.sum(axis=-1, keepdims=True)
    np.subtract(dy, total, out=dx)
    return np.multiply(dx, y, out=dx)
