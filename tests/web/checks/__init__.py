"""Checks of the SIMD kernels against NumPy in float64, run inside Pyodide.

`run(kernels)` raises AssertionError for the first difference and gives, for each row of
BOUNDS, the worst error seen. A host (Node, Chromium, Firefox) writes these files beside
the kernels and calls it; see test_kernels.py.
"""

import numpy as np

from checks import products, rows, steps
from checks.bounds import BOUNDS, Worst

CHECKS = (
    rows.activations,
    rows.softmax,
    rows.exp_rows,
    rows.norm,
    products.convolution,
    products.matmul,
    products.refusals,
    steps.recurrent,
    steps.optimizers,
)


def run(kernels, seed=0):
    """Row -> the worst error seen, in its units. Raises where one is too large."""
    worst = Worst()
    for check in CHECKS:
        check(kernels, np.random.default_rng(seed), worst)
    assert set(worst) == set(BOUNDS), set(BOUNDS) ^ set(worst)
    return dict(worst)
