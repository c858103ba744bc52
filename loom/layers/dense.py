"""Dense (fully connected) layer."""

import numpy as np

from loom.errors import ShapeError
from loom.gpu.kernels.elementwise import slope
from loom.gpu.kernels.matmul import matmul as gpu_matmul
from loom.gpu.kernels.matmul import matmul_later
from loom.gpu.kernels.reduce import column_sum
from loom.gpu.kernels.softmax import softmax
from loom.layers.base import (
    ACTIVATION,
    EVALUATE,
    Array,
    Field,
    Layer,
    Run,
    Shape,
    Weight,
    batch_text,
)
from loom.linalg import affine, matmul


class Dense(Layer):
    """Affine map followed by an activation.

        y = f(x @ W + b)

    Shapes:  x (B, ..., C), W (C, F), b (F,) -> y (B, ..., F). What comes as another
             shape of C values in all is flattened.
    Cache:   x and the pre-activation or y, whichever f's derivative reads
    Raises:  ShapeError when neither the last axis nor all of x is C
    GPU:     shaders/matmul.wgsl with bias and f in its epilogue, reduce.wgsl for db
    """

    kind = "dense"
    code = 0
    fields = (
        Field("input_size", "InputHeight"),
        Field("output_size", "OutputHeight"),
        ACTIVATION,
    )
    weights = (
        Weight("weight", "Kernel", "kernel"),
        Weight("bias", "Bias", "biases", bias=True),
    )

    def __init__(self, input_size: int, output_size: int, activation="scaled_relu"):
        super().__init__(
            input_size=input_size, output_size=output_size, activation=activation
        )

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """W (C, F) and b (F,)."""
        c, f = self.input_size, self.output_size
        return {"weight": ((c, f), c), "bias": ((f,), 0)}

    def declared_input_shape(self) -> Shape:
        """(C,)."""
        return (self.input_size,)

    def input_shape(self, previous: Shape) -> Shape:
        """(..., C) as it is, else everything flattened to (C,)."""
        if previous and previous[-1] == self.input_size:
            return previous
        if int(np.prod(previous)) == self.input_size:
            return (self.input_size,)
        raise ShapeError(
            f"expected x of shape {batch_text((self.input_size,))}, "
            f"got {batch_text(previous)}. Set input_size={previous[-1]}."
        )

    def output_shape(self, shape: Shape) -> Shape:
        """(..., F)."""
        return (*shape[:-1], self.output_size)

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, tuple]:
        """One product, the bias added in place, the activation in place if it may."""
        f = self.config["activation"]
        parameters = self.parameters
        if f.needs == "y":
            y = f.affine(x, parameters["weight"], parameters["bias"])
            return y, (x, None, y)
        v = affine(x, parameters["weight"], parameters["bias"])
        return f(v), (x, v, None)

    def backward(self, dy: Array, cache: tuple, need_dx: bool = True):
        """dW = x^T dv, db = sum dv, dx = dv W^T, with dv = dy f'(v)."""
        x, v, y = cache
        dv = self.config["activation"].backward(dy, v, y)
        rows = dv.reshape(-1, self.config["output_size"])
        gradients = {
            "weight": matmul(x.reshape(-1, self.config["input_size"]).T, rows),
            "bias": rows.sum(axis=0),
        }
        dx = matmul(dv, self.parameters["weight"].T) if need_dx else None
        return dx, gradients

    def lower_forward(self, b, x):
        """One product with bias and f in its epilogue; softmax comes after it."""
        f = self.activation
        w, bias = b.weight(self, "weight"), b.weight(self, "bias")
        if not f.elementwise:
            y = softmax(b, gpu_matmul(b, x, w, bias=bias))
            return y, (x, y)
        if b.keep and f.needs == "v":
            y, v = gpu_matmul(b, x, w, bias=bias, activation=f, keep=True)
            return y, (x, v)
        y = gpu_matmul(b, x, w, bias=bias, activation=f)
        return y, (x, y)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """As backward: dv, one product for dW, one for dx, a column sum."""
        x, saved = cache
        dv = slope(b, dy, self.activation, saved)
        rows = dv.reshape(-1, self.output_size)
        x = x.reshape(-1, self.input_size)
        gpu_matmul(b, x, rows, transpose_a=True, out=b.gradient(self, "weight"))
        column_sum(b, rows, out=b.gradient(self, "bias"))
        if not need_dx:
            return None
        return matmul_later(b, dv, b.weight(self, "weight"))
