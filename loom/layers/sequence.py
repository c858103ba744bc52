"""What the layers over sequences share: samples of shape (T, C)."""

from loom.errors import ShapeError
from loom.layers.base import Shape, batch_text


def sequence_shape(previous: Shape, t: int, c: int, size: str) -> Shape:
    """The sample shape (T, C) that a layer takes from `previous`.

    A sample of (T, C) is taken as it is; a flat one of T * C values becomes (T, C).
    t is the length wanted, 0 for any; `size` is the name of the field that sets c.
    Raises ShapeError.
    """
    shape = previous
    if len(previous) == 1 and previous[0] % c == 0 and previous[0]:
        shape = (previous[0] // c, c)
    if len(shape) == 2 and shape[1] == c and (t in (0, shape[0])):
        return shape
    advice = f"Set {size}={previous[-1]}."
    if len(previous) == 1:
        advice = f"Give it {t * c if t else f'a multiple of {c}'} values."
    elif len(previous) == 2 and previous[1] == c:
        advice = f"Set seq_length={previous[0]}, or 0 for any length."
    elif len(previous) != 2:
        advice = "Reshape it to (T, C) first."
    raise ShapeError(
        f"expected x of shape {batch_text((t or 'T', c))}, "
        f"got {batch_text(previous)}. {advice}"
    )
