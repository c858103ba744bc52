"""Positions of a sequence: an encoding that is added, and rotary angles."""

from functools import lru_cache

import numpy as np

from loom.errors import ConfigError
from loom.gpu.kernels.elementwise import add_rows
from loom.gpu.kernels.reduce import reduce
from loom.layers.base import EVALUATE, Array, Field, Layer, Run, Shape, Weight
from loom.layers.sequence import sequence_shape

BASE = 10_000.0  # of the wavelengths, from 2 pi to 2 pi BASE steps


class PositionalEncoding(Layer):
    """Adds to each time step what tells it from the others.

        y_t = x_t + p_t
        sinusoidal:  p_t[2 i] = sin(t / 10000^(2 i / D)),  p_t[2 i + 1] = the cosine
        learned:     p = weight

    Fields:  d_model D; seq_length T, 0 for any (learned needs it); positions,
             "sinusoidal" or "learned"
    Shapes:  x (B, T, D), weight (T, D) if learned -> y (B, T, D)
    Cache:   none
    Raises:  ShapeError when x is neither (B, T, D) nor (B, T * D), ConfigError for
             learned positions without seq_length
    GPU:     shaders/elementwise.wgsl
    Source:  Vaswani et al. 2017, section 3.5. Rotary positions turn queries and keys:
             they are a field of MultiHeadAttention.
    """

    kind = "positional_encoding"
    code = 23
    fields = (
        Field("d_model", "DModel"),
        Field("seq_length", "SeqLength", default=0, minimum=0),
        Field(
            "positions",
            "Positions",
            str,
            "sinusoidal",
            choices=("sinusoidal", "learned"),
        ),
    )
    weights = (Weight("weight", "Weight", "weight"),)

    def __init__(
        self, d_model: int, seq_length: int = 0, positions: str = "sinusoidal"
    ):
        super().__init__(d_model=d_model, seq_length=seq_length, positions=positions)

    def check(self) -> None:
        """Learned positions are as many as there are steps."""
        if self.positions == "learned" and not self.seq_length:
            raise ConfigError(
                "PositionalEncoding: expected seq_length of 1 or more for learned "
                "positions, got 0. Set it, or use positions='sinusoidal'."
            )

    def weight_rows(self) -> tuple[Weight, ...]:
        """None for sinusoidal positions."""
        return self.weights if self.positions == "learned" else ()

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """weight (T, D) with variance 1 / D if learned."""
        d = self.d_model
        return {"weight": ((self.seq_length, d), d)} if self.weight_rows() else {}

    def declared_input_shape(self) -> Shape | None:
        """(T, D) where seq_length is set."""
        return (self.seq_length, self.d_model) if self.seq_length else None

    def input_shape(self, previous: Shape) -> Shape:
        """(T, D) as it is; a flat sample of T * D values becomes (T, D)."""
        return sequence_shape(previous, self.seq_length, self.d_model, "d_model")

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, None]:
        """One sum."""
        p = self.parameters.get("weight")
        if p is None:
            p = sinusoids(x.shape[1], self.d_model, x.dtype)
        return x + p, None

    def backward(self, dy: Array, cache: None, need_dx: bool = True):
        """dx = dy, dp = sum of dy over the batch."""
        learned = self.positions == "learned"
        return dy, ({"weight": dy.sum(axis=0)} if learned else {})

    def lower_forward(self, b, x):
        """One sum; sinusoidal positions are a table of the program."""
        if self.positions == "learned":
            return add_rows(b, x, b.weight(self, "weight")), None
        return add_rows(b, x, b.constant(sinusoids(*x.shape[1:]), "positions")), None

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """dx = dy, dp = sum of dy over the batch."""
        if self.positions == "learned":
            reduce(b, dy, 0, out=b.gradient(self, "weight"))
        return dy


@lru_cache(maxsize=4)
def sinusoids(t: int, d: int, dtype=np.float32) -> Array:
    """(T, D): sines in the even columns, cosines in the odd ones."""
    angle = _angles(t, (d + 1) // 2, d)
    out = np.empty((t, d), dtype)
    out[:, 0::2] = np.sin(angle)
    out[:, 1::2] = np.cos(angle[:, : d // 2])
    out.setflags(write=False)
    return out


@lru_cache(maxsize=4)
def rotary_table(t: int, d: int, dtype=np.float32) -> tuple[Array, Array]:
    """Cosine and sine (T, d / 2) of the angles by which `rotate` turns."""
    angle = _angles(t, d // 2, d)
    table = np.cos(angle).astype(dtype), np.sin(angle).astype(dtype)
    for array in table:
        array.setflags(write=False)
    return table


def _angles(t: int, count: int, d: int) -> Array:
    """t / BASE^(2 i / d) for i below count, in float64: float32 loses late steps."""
    return np.arange(t)[:, None] / BASE ** (2 * np.arange(count) / d)


def rotate(x: Array, cosine: Array, sine: Array, back: bool = False) -> None:
    """Turn each pair (x[i], x[i + d/2]) by its step's angle, in place.

    Shapes: x (..., T, d), cosine and sine (T, d / 2). `back` turns the other way, which
    is the gradient's way. Su et al. 2021, "RoFormer", with the halves as pairs.
    """
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    across = a * sine
    along = b * sine
    if back:
        np.negative(across, out=across)
        np.negative(along, out=along)
    a *= cosine
    a -= along
    b *= cosine
    b += across
