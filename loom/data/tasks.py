"""Synthetic sequence tasks, made from a seed; the same arrays everywhere."""

import numpy as np

from loom import random
from loom.errors import InputError

Array = np.ndarray
ORDERS = ("X X", "X Y", "Y X", "Y Y")
SYMBOLS = ("X", "Y", "a", "b", "c", "d")


def temporal_order(count: int, length: int = 30, seed: int = 0) -> tuple[Array, Array]:
    """Which of X and Y came first and second, among distractors.

    Each sequence is of a, b, c, d, with X or Y at one place of its first third and at
    one of its second third; the class is their order (`ORDERS`). The answer is due
    after the last step: what came first must be remembered.
    Source: Hochreiter and Schmidhuber 1997, "Long short-term memory", task 6a.

    Shapes: inputs (count, T, 6) one-hot float32 over SYMBOLS, labels (count,) 0..3.
    """
    if count < 1 or length < 3:
        raise InputError(
            f"temporal_order: expected count from 1 and length from 3, got {count} and "
            f"{length}."
        )

    def draw(stream: int, below: int, shape) -> Array:
        unit = random.uniform(seed, shape, stream=stream, purpose=random.DATA)
        return np.minimum((unit * below).astype(np.int64), below - 1)

    third = length // 3
    symbols = 2 + draw(1, 4, (count, length))
    rows = np.arange(count)
    first, second = draw(2, 2, (count,)), draw(3, 2, (count,))
    symbols[rows, draw(4, third, (count,))] = first
    symbols[rows, third + draw(5, third, (count,))] = second
    inputs = np.eye(6, dtype=np.float32)[symbols]
    return inputs, first * 2 + second
