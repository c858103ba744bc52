"""Residual connection: an earlier layer's output, added."""

import numpy as np

from loom.errors import ConfigError
from loom.gpu.kernels.elementwise import add
from loom.layers.base import Array, Field, Layer, Run


class Residual(Layer):
    """What comes before it plus the output of an earlier grid position.

        y = x + source

    Fields:  source, its (row, column, layer). For a shortcut around the first layer,
             begin the network with Elementwise("linear").
    Shapes:  x (B, ...) and source (B, ...), equal -> y (B, ...)
    Cache:   none
    Raises:  ConfigError when the source does not come before it on the grid, ShapeError
             when its shape is another
    GPU:     shaders/elementwise.wgsl
    Source:  He et al. 2015, "Deep residual learning for image recognition"
    """

    kind = "residual"
    code = 17
    fields = (Field("source", "Source", tuple, minimum=0),)

    def __init__(self, source: tuple[int, int, int]):
        super().__init__(source=source)

    def check(self) -> None:
        """A grid position has three numbers; the network checks the rest."""
        if len(self.source) != 3:
            raise ConfigError(
                "Residual: expected source as (row, column, layer), got "
                f"{self.source}. Name the grid position whose output is added."
            )

    def sources(self) -> tuple[tuple[int, int, int], ...]:
        """The one position whose output is added."""
        return (self.source,)

    def forward(self, x: Array, run: Run, source: Array) -> tuple[Array, None]:
        """One sum."""
        return np.add(x, source), None

    def backward(self, dy: Array, cache: None, need_dx: bool = True):
        """dy for both."""
        return (dy, dy), {}

    def lower_forward(self, b, x, source):
        """One sum."""
        return add(b, x, source), None

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """dy for both."""
        return dy, dy
