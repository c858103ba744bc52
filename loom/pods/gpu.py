"""The pods as GPU programs of one operation, kept by operation, shapes and options."""

from collections import OrderedDict
from collections.abc import Callable
from math import prod

import numpy as np

from loom.gpu.builder import Builder
from loom.gpu.kernels import matmul as products
from loom.gpu.kernels import move, norm
from loom.gpu.kernels import reduce as reductions
from loom.gpu.kernels import scan as scans
from loom.gpu.kernels import softmax as softmaxes
from loom.gpu.store import DeviceLost

Array = np.ndarray
KEPT = 16  # programs on the device, with their arrays
_kept: OrderedDict = OrderedDict()


def gemm(a, b, c, **options) -> Array:
    """One product; c lies in the output before it."""

    def build(builder, a, b, c=None):
        out = None if c is None else move.copy(builder, c)
        return products.matmul(builder, a, b, out=out, **options)

    arrays = (a, b) if c is None else (a, b, c)
    return _run("gemm", build, arrays, options)


def softmax(x: Array, *, axis: int) -> Array:
    """Along `axis`."""
    options = {"axis": axis}
    return _run(
        "softmax", lambda b, x: softmaxes.softmax(b, x, **options), (x,), options
    )


def layer_norm(x: Array, weight: Array, bias: Array, *, epsilon: float) -> Array:
    """Over the last axis."""

    def build(b, x, weight, bias):
        return norm.row_norm(b, x, weight, bias, epsilon)[0]

    return _run("layer_norm", build, (x, weight, bias), {"epsilon": epsilon})


def scan(x: Array, *, inclusive: bool) -> Array:
    """Running sums modulo 2^32."""
    options = {"inclusive": inclusive}
    return _run("scan", lambda b, x: scans.scan(b, x, **options), (x,), options)


def reduce(x: Array, operation: str, *, axis: int) -> Array:
    """Along `axis`; what is before and after it is flattened."""
    outer, n, inner = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])
    name = "sum" if operation == "mean" else operation
    scale = 1 / n if operation == "mean" else 1.0

    def build(b, x):
        if inner > 1 and outer > b.limits.groups:
            x = move.transpose(b, x.reshape(outer, n, inner))
            return reductions.reduce(b, x.reshape(-1, n), 1, name, scale=scale)
        return reductions.reduce(b, x.reshape(outer, n, inner), 1, name, scale=scale)

    y = _run("reduce", build, (x,), {"axis": axis, "operation": operation})
    return y.reshape(x.shape[:axis] + x.shape[axis + 1 :])


def transpose(x: Array) -> Array:
    """The last two axes swapped."""
    return _run("transpose", lambda b, x: move.transpose(b, x), (x,), {})


def release() -> None:
    """Free all that is kept."""
    while _kept:
        _kept.popitem()[1].close()


def _run(*operation) -> Array:
    """The operation's program for these shapes, made once; run on these arrays.

    A device that was lost is opened again: nothing of it is needed.
    """
    from loom.gpu import detector, native

    adapter = detector.choose()
    for last in (False, True):
        device = native.opened(adapter)
        try:
            with device.lock:  # threads share the programs
                return _once(device, *operation)
        except DeviceLost:
            if last:
                raise


def _once(device, name: str, build: Callable, arrays: tuple, options: dict) -> Array:
    shapes = tuple(array.shape for array in arrays)
    key = (id(device), name, shapes, tuple(sorted(options.items())))
    program = _kept.pop(key, None)
    if program is None:
        b = Builder(limits=device.limits)
        b.where = f"pods.{name}"
        kinds = ["u32" if array.dtype == np.uint32 else "f32" for array in arrays]
        inputs = [
            b.input(f"x{i}", shape, kind)
            for i, (shape, kind) in enumerate(zip(shapes, kinds, strict=True))
        ]
        b.output("y", build(b, *inputs))
        program = device.load(b.finish())
    _kept[key] = program
    while len(_kept) > KEPT:
        _kept.popitem(last=False)[1].close()
    for i, array in enumerate(arrays):
        program.write(f"x{i}", array)
    return program.run(("forward",), ("y",))[0]
