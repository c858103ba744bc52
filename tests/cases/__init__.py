"""The harness's table: one case for each row of LAYERS, by family.

A new layer is one case in a family's file here; gradients, parity and the meta-test
then know it.
"""

from tests.cases import attention, basic, convolution, norms, recurrent, shaping
from tests.cases.case import Case, fill

CASES: tuple[Case, ...] = (
    *basic.CASES,
    *convolution.CASES,
    *recurrent.CASES,
    *shaping.CASES,
    *norms.CASES,
    *attention.CASES,
)
BY_LAYER = {case.layer: case for case in CASES}

__all__ = ["BY_LAYER", "CASES", "Case", "fill"]
