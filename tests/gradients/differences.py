"""Central differences in float64."""

from collections.abc import Callable

import numpy as np
from hypothesis import reject

STEP = 1e-5
MOST = 48  # entries looked at in one array: all of a small one, a sample of a large one


def central(
    loss: Callable[[], float], array: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """dL/d array at some entries (their flat indices first), changing it in place.

    Where the slopes to the left and to the right differ, the loss has a kink within a
    step (a rectifier at zero, a tie in a maximum): no gradient is defined there, and
    Hypothesis looks for another example. Too many of them fail its health check.
    """
    flat = array.reshape(-1)
    assert flat.base is array or flat.base is array.base
    chosen = np.arange(flat.size)
    if flat.size > MOST:
        chosen = np.sort(rng.choice(flat.size, MOST, replace=False))
    middle = loss()
    slopes = np.empty(chosen.size)
    jumps = np.empty(chosen.size)
    for k, i in enumerate(chosen):
        old = flat[i]
        flat[i] = old + STEP
        right = loss()
        flat[i] = old - STEP
        left = loss()
        flat[i] = old
        slopes[k] = (right - left) / (2 * STEP)
        jumps[k] = abs((right - middle) - (middle - left)) / STEP
    if jumps.size and jumps.max() > 1e-2 * max(np.abs(slopes).max(), 1e-2):
        reject()
    return chosen, slopes
