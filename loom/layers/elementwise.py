"""Element-wise activation layer: what a new network is made of."""

from loom.gpu.kernels.elementwise import activate, activate_backward
from loom.layers.base import ACTIVATION, EVALUATE, Array, Layer, Run


class Elementwise(Layer):
    """An activation alone, of any shape.

        y = f(x)

    Shapes:  x (B, ...) -> y (B, ...)
    Cache:   x or y, whichever f's derivative reads
    GPU:     shaders/elementwise.wgsl; layers in a row are one kernel
    """

    kind = "activation"
    code = 5
    fields = (ACTIVATION,)

    def __init__(self, activation="scaled_relu"):
        super().__init__(activation=activation)

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, tuple]:
        """f(x) in a new array."""
        f = self.config["activation"]
        y = f(x)
        return y, ((None, y) if f.needs == "y" else (x, None))

    def backward(self, dy: Array, cache: tuple, need_dx: bool = True):
        """dx = dy f'(x)."""
        return self.config["activation"].backward(dy, *cache), {}

    def lower_forward(self, b, x):
        """Put off, so that the next activation can be added."""
        return activate(b, x, self.activation)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """dx = dy f'(x), once a chain."""
        return activate_backward(b, dy, cache)
