"""The schedule table: the learning rate as a pure function of the step.

A row's `factor(s, total, every, gamma)` gives how far the rate stands between
`final_learning_rate` (0) and `learning_rate` (1) at step s = 0, 1, ... of `total` steps
after the warm-up. During the warm-up of w steps the rate is learning_rate (s + 1) / w.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi


@dataclass(frozen=True)
class Schedule:
    """One row of the table.

    Attributes:
        code: permanent number.
        name: the name in Python and on the wire.
        formula: the rate as text (lr, end: learning_rate, final_learning_rate).
        factor: (step, total steps, steps between drops, drop factor) -> 0 to 1.
        uses_total: whether the number of epochs changes the rate.
    """

    code: int
    name: str
    formula: str
    factor: Callable[[int, int, int, float], float]
    uses_total: bool = False


SCHEDULES: tuple[Schedule, ...] = (
    Schedule(0, "constant", "lr", lambda s, total, every, gamma: 1.0),
    Schedule(
        1,
        "step",
        "end + (lr - end) * step_factor ^ floor(epoch / step_every)",
        lambda s, total, every, gamma: gamma ** (s // every),
    ),
    Schedule(
        2,
        "cosine",
        "end + (lr - end) * (1 + cos(pi s / total)) / 2",
        lambda s, total, every, gamma: (1 + cos(pi * s / total)) / 2,
        uses_total=True,
    ),
    Schedule(
        3,
        "linear",
        "end + (lr - end) * (1 - s / total)",
        lambda s, total, every, gamma: 1 - s / total,
        uses_total=True,
    ),
)

BY_NAME = {row.name: row for row in SCHEDULES}


def learning_rate(config, step: int, batches: int) -> float:
    """The rate of a step (from 0) under a TrainingConfig with `batches` an epoch."""
    base, end, warmup = (
        config.learning_rate,
        config.final_learning_rate,
        config.warmup_steps,
    )
    if step < warmup:
        return base * (step + 1) / warmup
    if config.schedule == "constant":
        return base
    total = max(1, config.epochs * batches - warmup)
    every = config.step_every * batches
    factor = BY_NAME[config.schedule].factor(
        step - warmup, total, every, config.step_factor
    )
    return end + (base - end) * factor
