"""Dropout by Philox, shaders/dropout.wgsl."""

from math import ceil

from loom import random
from loom.gpu.builder import Builder
from loom.gpu.program import Tensor


def dropout(b: Builder, x: Tensor, rate: float, stream: int) -> Tensor:
    """x with the step's mask, scaled; the same again for the gradient.

    Shapes: x (B, ...); `stream` is the layer's index.
    """
    y = b.tensor(x.shape)
    b.dispatch(
        "dropout",
        reads=[x],
        writes=[y],
        params=[
            x.size,
            x.size // x.shape[0],
            stream,
            random.DROPOUT,
            ceil(rate * 2**24),
            1 / (1 - rate),
        ],
        groups=-(-x.size // 1024),
        step=True,
    )
    return y
