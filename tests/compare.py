"""Comparing arrays: one way to do it, one form of failure."""

import numpy as np

from tests.tolerances import TOLERANCES


def assert_close(
    actual, expected, kind: str, what: str, dtype: str = "float32", least: float = 1e-3
):
    """Fail unless max |actual - expected| <= tolerance * max |expected|.

    `what` says layer, direction and seed; shape, greatest difference, its index and
    both values are added. `least` is the least scale: that of what cancels where all
    of `expected` is a difference of larger values.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, (
        f"{what}: expected shape {expected.shape}, got {actual.shape}"
    )
    if expected.size == 0:
        return
    assert np.isfinite(actual).all(), f"{what}: the result is not finite"
    tolerance = TOLERANCES[dtype, kind]
    difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    scale = max(float(np.abs(expected).max()), least)
    at = tuple(int(i) for i in np.unravel_index(difference.argmax(), actual.shape))
    relative = float(difference[at]) / scale
    assert relative <= tolerance.relative, (
        f"{what}: shape {actual.shape}: greatest difference {difference[at]:.3e} "
        f"({relative:.3e} of the greatest value, {tolerance.relative:.0e} allowed) "
        f"at {at}: got {actual[at]!r}, expected {expected[at]!r}"
    )
