"""The one table of tolerances: by dtype and kind of operation, with the reason.

A difference is measured against the greatest value of the expected array (norm-wise):
max |actual - expected| <= relative * max |expected|. Small values beside large ones are
sums that cancel; no order of summation keeps their last digits.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """How far a result may be from what is expected, and why."""

    relative: float
    reason: str


TOLERANCES: dict[tuple[str, str], Tolerance] = {
    ("float64", "difference"): Tolerance(
        1e-6,
        "central differences with h = 1e-5: h^2 f'''/6 is 1e-10, rounding 1e-11; the "
        "rest is room for deep curvature",
    ),
    ("float32", "forward"): Tolerance(
        1e-5, "sums of up to some hundred products: sqrt(n) * 6e-8 and a short chain"
    ),
    ("float32", "gradient"): Tolerance(
        1e-5, "as forward; through time the chain is longer, and still stable"
    ),
    ("float32", "trace"): Tolerance(
        1e-5, "ten small steps: errors of forward and gradient add, they do not grow"
    ),
    ("float32", "long"): Tolerance(
        2e-4, "sums over 10^4 terms and more, in another order on each side"
    ),
    ("float32", "half"): Tolerance(
        4e-3, "values kept with 11 bits between layers, arithmetic in float32"
    ),
    ("float32", "activation"): Tolerance(
        5e-7, "four units in the last place of a value near one"
    ),
}
