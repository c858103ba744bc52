"""Element-wise activation layer: what a new network is made of."""

from loom.layers.base import ACTIVATION, EVALUATE, Array, Layer, Run


class Elementwise(Layer):
    """An activation alone, of any shape.

        y = f(x)

    Shapes:  x (B, ...) -> y (B, ...)
    Cache:   x or y, whichever f's derivative reads
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
