"""The pods in NumPy: arrays are checked float32 (scan: uint32)."""

import numpy as np

from loom import linalg

Array = np.ndarray


def gemm(a, b, c, *, alpha, beta, transpose_a, transpose_b) -> Array:
    """alpha op(a) op(b) + beta c."""
    y = linalg.matmul(a.T if transpose_a else a, b.T if transpose_b else b)
    if alpha != 1:
        y *= np.float32(alpha)
    if beta:
        y += np.float32(beta) * c
    return y


def softmax(x: Array, *, axis: int) -> Array:
    """Along `axis`."""
    if not x.size:
        return x.copy()
    return np.ascontiguousarray(linalg.softmax(x.swapaxes(axis, -1)).swapaxes(axis, -1))


def layer_norm(x: Array, weight: Array, bias: Array, *, epsilon: float) -> Array:
    """Over the last axis."""
    if not x.size:
        return x.copy()
    rows = x - x.mean(axis=-1, keepdims=True)
    rows /= np.sqrt(np.square(rows).mean(axis=-1, keepdims=True) + np.float32(epsilon))
    rows *= weight
    rows += bias
    return rows


def scan(x: Array, *, inclusive: bool) -> Array:
    """Running sums modulo 2^32."""
    y = np.cumsum(x, dtype=np.uint32)
    return y if inclusive else y - x


def reduce(x: Array, operation: str, *, axis: int) -> Array:
    """NumPy's own, which sums in pairs."""
    return np.asarray(getattr(x, operation)(axis=axis), np.float32)


def transpose(x: Array) -> Array:
    """The last two axes swapped."""
    return np.ascontiguousarray(x.swapaxes(-1, -2))
