"""A drawn digit as the 8x8 values that the digits data hold.

The data's authors fitted NIST's bitmaps to 32x32 (the digit spans the whole height and
at most 20 columns, strokes thinned or thickened to a constant amount of ink) and
counted the ink of each block of 4x4. The same steps here make any drawing look like
the data.
"""

import numpy as np

from loom.errors import InputError

Array = np.ndarray
SIDE = 32  # of the bitmap
WIDEST = 20  # columns of a digit
INK = 0.305  # of the bitmap: mean of the data, alike for every class
_FAR = 4.0 * SIDE**2


def digit_from_drawing(pixels: Array) -> Array:
    """The 64 values of a drawing, row by row, as `digits()` has them.

    Crop to the ink, scale to 32 rows (or 20 columns, if that is less), centre, widen or
    thin the strokes to the data's amount of ink, count blocks of 4x4.

    Shapes: pixels (H, W), paper 0 to ink 1 -> (64,) float32 in 0..1. An empty drawing
    gives zeros. Raises InputError for anything but finite numbers in two axes.
    """
    image = np.asarray(pixels, np.float32)
    if image.ndim != 2 or image.size == 0 or not np.isfinite(image).all():
        raise InputError(
            "digit_from_drawing: expected finite pixels of shape (H, W), got "
            f"{'a NaN or an infinity' if image.ndim == 2 else image.shape}."
        )
    ink = image > max(0.5 * float(image.max()), 0.05)
    if not ink.any():
        return np.zeros(64, np.float32)
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    margin = 0.0
    for _ in range(3):
        # Thickening makes the digit grow beyond its box: leave that much room.
        distance = _signed_distance(_fit(ink, margin))
        edge = np.sort(distance, axis=None)[round(INK * SIDE**2)]
        margin = min(max(float(edge), 0.0), 6.0)
    blocks = (distance < edge).reshape(8, 4, 8, 4)
    return blocks.sum(axis=(1, 3)).astype(np.float32).reshape(64) / np.float32(16)


def _fit(ink: Array, margin: float) -> Array:
    """The cropped bitmap scaled into the box less its margins, centred in 32x32."""
    height, width = ink.shape
    scale = min((SIDE - 2 * margin) / height, (WIDEST - 2 * margin) / width)
    down = _resample(height, height * scale)
    across = _resample(width, width * scale)
    small = down @ ink.astype(np.float32) @ across.T
    return small > 0.5 * min(1.0, float(small.max()))


def _resample(size: int, length: float) -> Array:
    """Mean over each target pixel's overlap with `size` pixels scaled to `length`.

    Shapes: (32, size); the scaled axis lies centred.
    """
    edges = (SIDE - length) / 2 + np.arange(size + 1) * (length / size)
    target = np.arange(SIDE)[:, None]
    overlap = np.minimum(edges[1:], target + 1) - np.maximum(edges[:-1], target)
    return np.maximum(overlap, 0).astype(np.float32)


def _signed_distance(bitmap: Array) -> Array:
    """Euclidean distance to the ink outside of it, minus that to the paper inside."""
    outside, inside = _squared_distance(bitmap), _squared_distance(~bitmap)
    # A stable tie-break: ink nearer the middle first.
    middle = np.abs(np.arange(SIDE) - (SIDE - 1) / 2)
    tie = (middle[:, None] + middle) * 1e-4
    return np.sqrt(outside) - np.sqrt(inside) + tie


def _squared_distance(bitmap: Array) -> Array:
    """Squared distance of each pixel to the nearest one that is set."""
    steps = (np.arange(SIDE)[:, None] - np.arange(SIDE)) ** 2.0
    along = np.where(bitmap[:, None, :], steps[None], _FAR).min(axis=2)
    return (along[None] + steps[:, :, None]).min(axis=1)
