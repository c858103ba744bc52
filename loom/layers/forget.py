"""Forget pooling, the light recurrence of QRNN and SRU.

    c_t = f_t c_{t-1} + (1 - f_t) z_t,  c_0 = 0

Shapes: f, z, c (B, T, H). Two element-wise operations a step; all else over all of time
at once.
"""

import numpy as np

from loom.layers.base import Array


def forget_forward(f: Array, z: Array) -> Array:
    """c."""
    c = f * z
    np.subtract(z, c, out=c)
    step = np.empty((c.shape[0], c.shape[2]), c.dtype)
    for k in range(1, c.shape[1]):
        np.multiply(f[:, k], c[:, k - 1], out=step)
        c[:, k] += step
    return c


def forget_backward(dc: Array, f: Array, z: Array, c: Array, df: Array, dz: Array):
    """Write df and dz, given dL/dc of each step alone; dc becomes the whole."""
    step = np.empty((c.shape[0], c.shape[2]), c.dtype)
    for k in range(c.shape[1] - 1, 0, -1):
        np.multiply(f[:, k], dc[:, k], out=step)
        dc[:, k - 1] += step
    np.subtract(1, f, out=dz)
    dz *= dc
    # Not np.negative: of strided float32 into strided memory NumPy 2.4 gets it wrong.
    np.multiply(z, -1, out=df)
    df[:, 1:] += c[:, :-1]
    df *= dc
