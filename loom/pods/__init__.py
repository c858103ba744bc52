"""Pods: single operations on arrays, on the CPU or on a GPU.

    loom.pods.gemm(a, b, device="gpu")

They are the layers' own kernels (loom/gpu/kernels) and NumPy, and take arrays of any
size, 0 and 1 too. device is "cpu" (the default) or "gpu", the adapter that LOOM_GPU
chooses. Arithmetic is float32, but for `scan`, which is of uint32. Every one raises
ShapeError or InputError for arrays that do not fit, ConfigError for an unknown option,
and DeviceError where the GPU is missing or too small.
"""

from numbers import Real
from typing import Any

import numpy as np

from loom.errors import ConfigError, InputError, ShapeError, known
from loom.layers.base import as_floats
from loom.pods import cpu

Array = np.ndarray
OPERATIONS = ("sum", "min", "max", "mean")
DEVICES = ("cpu", "gpu")
__all__ = ["gemm", "layer_norm", "reduce", "release", "scan", "softmax", "transpose"]


def gemm(
    a: Any,
    b: Any,
    c: Any = None,
    *,
    alpha: float = 1.0,
    beta: float = 0.0,
    transpose_a: bool = False,
    transpose_b: bool = False,
    device: str = "cpu",
) -> Array:
    """alpha op(a) op(b) + beta c, op(x) being x or its transpose.

    Shapes:  op(a) (M, K), op(b) (K, N), c (M, N), which beta needs -> (M, N)
    """
    a, b = _floats(a, "gemm: a", 2), _floats(b, "gemm: b", 2)
    m, k = a.shape[::-1] if transpose_a else a.shape
    inside, n = b.shape[::-1] if transpose_b else b.shape
    if k != inside:
        raise ShapeError(
            f"gemm: expected b of shape {(n, k) if transpose_b else (k, n)} beside a "
            f"{a.shape}, got {b.shape}. Check transpose_a and transpose_b."
        )
    alpha, beta = _number(alpha, "gemm: alpha"), _number(beta, "gemm: beta")
    if beta and c is None:
        raise InputError(f"gemm: beta is {beta}, but there is no c. Give it.")
    c = None if c is None or not beta else _floats(c, "gemm: c", 2)
    if c is not None and c.shape != (m, n):
        raise ShapeError(f"gemm: expected c of shape {(m, n)}, got {c.shape}.")
    kind = {"alpha": alpha, "beta": beta if c is not None else 0.0}
    kind |= {"transpose_a": bool(transpose_a), "transpose_b": bool(transpose_b)}
    return _on(device, m * n * k).gemm(a, b, c, **kind)


def softmax(x: Any, *, axis: int = -1, device: str = "cpu") -> Array:
    """exp(x - max) / sum exp(x - max) along an axis. Shapes: any -> the same."""
    x = _floats(x, "softmax: x")
    return _on(device, x.size).softmax(x, axis=_axis(x, axis, "softmax"))


def layer_norm(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    *,
    epsilon: float = 1e-5,
    device: str = "cpu",
) -> Array:
    """(x - mean) / sqrt(var + epsilon) * weight + bias over the last axis.

    Shapes:  x (..., C), weight (C,), ones unless given, bias (C,), zeros -> as x
    """
    x, epsilon = _floats(x, "layer_norm: x"), _number(epsilon, "layer_norm: epsilon")
    if not x.ndim:
        raise ShapeError("layer_norm: expected x with an axis, got a number.")
    size = x.shape[-1:]
    weight = np.ones(size, np.float32) if weight is None else weight
    bias = np.zeros(size, np.float32) if bias is None else bias
    parts = [_floats(weight, "layer_norm: weight"), _floats(bias, "layer_norm: bias")]
    for name, part in zip(("weight", "bias"), parts, strict=True):
        if part.shape != size:
            raise ShapeError(
                f"layer_norm: expected {name} of shape {size}, got {part.shape}."
            )
    return _on(device, x.size).layer_norm(x, *parts, epsilon=epsilon)


def scan(x: Any, *, inclusive: bool = True, device: str = "cpu") -> Array:
    """Running sums modulo 2^32: of x up to i, or without `inclusive` up to i - 1.

    Shapes:  x (n,), whole numbers from 0 to 2^32 - 1 -> (n,) uint32
    """
    array = np.asarray(x)
    if array.ndim != 1:
        raise ShapeError(f"scan: expected x of one axis, got {array.shape}.")
    whole = array.size == 0 or array.dtype.kind in "ui"
    if not whole or (array.size and (array.min() < 0 or array.max() >= 2**32)):
        raise InputError("scan: expected whole numbers from 0 to 2^32 - 1 in x.")
    array = np.ascontiguousarray(array, np.uint32)
    return _on(device, array.size).scan(array, inclusive=bool(inclusive))


def reduce(
    x: Any, operation: str = "sum", *, axis: int | None = None, device: str = "cpu"
) -> Array:
    """The sum, min, max or mean along an axis, or of all where axis is None.

    Shapes:  x (..., n, ...) -> without that axis; a sum of nothing is 0
    Raises:  InputError for the min, max or mean of nothing
    """
    if operation not in OPERATIONS:
        raise ConfigError(f"reduce: {known(operation, OPERATIONS, 'operation')}")
    x = _floats(x, "reduce: x")
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = _axis(x, axis, "reduce")
    if not x.shape[axis] and operation != "sum":
        raise InputError(f"reduce: there is no {operation} of nothing, x {x.shape}.")
    return _on(device, x.size).reduce(x, operation, axis=axis)


def transpose(x: Any, *, device: str = "cpu") -> Array:
    """The last two axes swapped, in new memory. Shapes: (..., R, C) -> (..., C, R)."""
    x = _floats(x, "transpose: x")
    if x.ndim < 2:
        raise ShapeError(f"transpose: expected x of two axes or more, got {x.shape}.")
    return _on(device, x.size).transpose(x)


def release() -> None:
    """Free what the pods hold on the GPU."""
    from loom.pods import gpu

    gpu.release()


def _on(device: str, work: int):
    """The module that computes: the CPU's too where there is nothing to compute."""
    if device not in DEVICES:
        raise ConfigError(known(device, DEVICES, "device"))
    if device == "cpu" or not work:
        return cpu
    from loom.pods import gpu

    return gpu


def _floats(value: Any, what: str, axes: int | None = None) -> Array:
    try:
        array = np.asarray(as_floats(value), order="C")
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"{what}: expected numbers.") from None
    if axes is not None and array.ndim != axes:
        raise ShapeError(f"{what}: expected {axes} axes, got {array.shape}.")
    return array


def _number(value: Any, what: str) -> float:
    if isinstance(value, Real):
        return float(value)
    raise ConfigError(f"{what}: expected a number, got {value!r:.60}.")


def _axis(x: Array, axis: int, what: str) -> int:
    if type(axis) is bool or not isinstance(axis, int | np.integer):
        raise ConfigError(f"{what}: expected axis as a whole number, got {axis!r:.60}.")
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"{what}: x {x.shape} has no axis {axis}.")
    return axis % x.ndim
