"""Dropout."""

from loom import random
from loom.errors import ConfigError
from loom.gpu.kernels.dropout import dropout
from loom.layers.base import EVALUATE, Array, Field, Layer, Run


class Dropout(Layer):
    """In training each value is zero with probability `rate`, the others scaled up.

        y_i = x_i * m_i / (1 - rate),    m_i = 1 where u_i >= rate, else 0
        y   = x in evaluation

    u_i is value i of the Philox stream (seed, step, this layer's index, DROPOUT), 24
    bits scaled to [0, 1): i is the place in the whole batch, row-major, so that any
    element's mask can be made anywhere from i alone.

    Shapes:  x (B, ...) -> y (B, ...)
    Cache:   the mask, or None in evaluation
    Raises:  ConfigError when rate is not in [0, 1)
    GPU:     shaders/dropout.wgsl
    Source:  Srivastava et al. 2014 (inverted, as torch.nn.Dropout)
    """

    kind = "dropout"
    code = 12
    fields = (Field("rate", "Rate", float, 0.5, minimum=0.0, maximum=1.0),)

    def __init__(self, rate: float = 0.5):
        super().__init__(rate=rate)

    def check(self) -> None:
        """Something must be left."""
        if self.rate >= 1:
            raise ConfigError(
                f"Dropout: expected rate from 0 to below 1, got {self.rate}. "
                "It is the share of values that are set to zero."
            )

    def mask(self, count: int, run: Run) -> Array:
        """Whether each of `count` values stays: bool, in the order of the batch."""
        return random.uniform_at_least(
            self.rate,
            run.seed,
            count,
            step=run.step,
            stream=self.index,
            purpose=random.DROPOUT,
        )

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, Array | None]:
        """x times the mask and the scale in training, x itself in evaluation."""
        if not run.training or self.rate == 0:
            return x, None
        keep = self.mask(x.size, run).reshape(x.shape)
        return self._kept(x, keep), keep

    def backward(self, dy: Array, cache: Array | None, need_dx: bool = True):
        """dy times the same mask and scale."""
        return (dy if cache is None else self._kept(dy, cache)), {}

    def lower_forward(self, b, x):
        """The mask of the same words; nothing is kept: backward makes it again."""
        if not b.training or self.rate == 0:
            return x, None
        return dropout(b, x, self.rate, self.index), True

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """dy times the same mask and scale."""
        if cache is None or not need_dx:
            return dy
        return dropout(b, dy, self.rate, self.index)

    def _kept(self, x: Array, keep: Array) -> Array:
        out = x * keep
        out *= x.dtype.type(1 / (1 - self.rate))
        return out
