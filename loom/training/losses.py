"""The loss table: one row a loss, its value and its gradient in one function.

`function(y, t)` takes outputs y (B, ...) and targets t of the same shape and returns
the value as a float and dL/dy in a new array. Where `classes` is true, t may also hold
class indices: integers (B, ...) without y's last axis. Codes are permanent.

Means: over all values, or, for the cross entropies, over all rows: for sequences
(B, T, K) the B * T rows of K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loom.errors import ConfigError, InputError, known

Array = np.ndarray
_LEAST = 1e-30  # probabilities below it count as it: log and 1/p stay finite


@dataclass(frozen=True)
class Loss:
    """One row of the table.

    Attributes:
        code: permanent number.
        name: the name in Python and on the wire.
        formula: L as text.
        function: (y, t) -> (L, dL/dy).
        classes: whether targets may be class indices.
    """

    code: int
    name: str
    formula: str
    function: Callable[[Array, Array], tuple[float, Array]]
    classes: bool = False

    def __call__(self, y: Array, t: Array) -> tuple[float, Array]:
        """L and dL/dy."""
        return self.function(y, t)


def _mse(y, t):
    d = np.subtract(y, t)
    flat = d.reshape(-1)
    value = float(np.dot(flat, flat)) / d.size
    d *= 2 / d.size
    return value, d


def _mae(y, t):
    d = np.subtract(y, t)
    value = float(np.abs(d).sum()) / d.size
    np.sign(d, out=d)
    d /= d.size
    return value, d


def _huber(y, t):
    d = np.subtract(y, t)
    size = np.abs(d)
    inner = np.minimum(size, 1)
    # 0.5 d^2 inside 1, |d| - 0.5 outside: inner * (size - inner / 2) is both.
    value = float((inner * (size - 0.5 * inner)).sum()) / d.size
    np.clip(d, -1, 1, out=d)
    d /= d.size
    return value, d


def _cross_entropy(y, t):
    _probabilities(y, "cross_entropy", "softmax or sigmoid", "softmax_cross_entropy")
    rows = y.size // y.shape[-1]
    if t.dtype.kind == "i":
        at = _picked(y, t)
        p = np.maximum(y.reshape(-1)[at], _LEAST)
        value = -float(np.log(p).sum()) / rows
        dy = np.zeros_like(y)
        dy.reshape(-1)[at] = -1 / (rows * p)
        return value, dy
    p = np.maximum(y, _LEAST)
    value = -float(np.dot(t.reshape(-1), np.log(p).reshape(-1))) / rows
    np.divide(t, p, out=p)
    p *= -1 / rows
    return value, p


def _softmax_cross_entropy(y, t):
    rows = y.size // y.shape[-1]
    shifted = y - y.max(axis=-1, keepdims=True)
    dy = np.exp(shifted)
    total = dy.sum(axis=-1, keepdims=True)
    log_total = np.log(total)
    dy /= total
    if t.dtype.kind == "i":
        at = _picked(y, t)
        value = float(log_total.sum() - shifted.reshape(-1)[at].sum()) / rows
        dy.reshape(-1)[at] -= 1
    else:
        shifted -= log_total
        value = -float(np.dot(t.reshape(-1), shifted.reshape(-1))) / rows
        dy *= t.sum(axis=-1, keepdims=True)
        dy -= t
    dy /= rows
    return value, dy


def _binary_cross_entropy(y, t):
    # Logs bounded at -100 and p (1 - p) at 1e-12, as in PyTorch's BCELoss.
    _probabilities(y, "binary_cross_entropy", "sigmoid", "mse")
    with np.errstate(divide="ignore"):
        yes = np.maximum(np.log(y), -100)
        no = np.maximum(np.log1p(-y), -100)
    value = -float((t * yes + (1 - t) * no).sum()) / y.size
    dy = y - t
    dy /= np.maximum(y * (1 - y), 1e-12)
    dy /= y.size
    return value, dy


def _picked(y: Array, t: Array) -> Array:
    """Flat places of each row's class."""
    k = y.shape[-1]
    return np.arange(0, y.size, k) + t.reshape(-1)


def _probabilities(y: Array, name: str, end: str, other: str) -> None:
    low, high = float(y.min()), float(y.max())
    if low < 0 or high > 1.001:
        raise InputError(
            f"{name}: expected probabilities from 0 to 1, got "
            f"{low if low < 0 else high:.6g} from the network. End the network in "
            f"{end}, or set loss_type={other!r}."
        )


LOSSES: tuple[Loss, ...] = (
    Loss(0, "mse", "mean((y - t)^2) over all values", _mse),
    Loss(
        1,
        "cross_entropy",
        "mean over rows of -sum_k t_k log(y_k), y probabilities",
        _cross_entropy,
        classes=True,
    ),
    Loss(
        2,
        "softmax_cross_entropy",
        "mean over rows of -sum_k t_k log(softmax(y)_k), y logits",
        _softmax_cross_entropy,
        classes=True,
    ),
    Loss(3, "mae", "mean(|y - t|) over all values", _mae),
    Loss(
        4,
        "huber",
        "mean of 0.5 d^2 if |d| < 1 else |d| - 0.5, d = y - t, over all values",
        _huber,
    ),
    Loss(
        5,
        "binary_cross_entropy",
        "mean of -(t log(y) + (1 - t) log(1 - y)) over all values, y probabilities",
        _binary_cross_entropy,
    ),
)

_BY_NAME = {row.name: row for row in LOSSES}
LOSS_NAMES = tuple(_BY_NAME)


def loss(which: str | Loss) -> Loss:
    """The row of a name. Raises ConfigError for an unknown one."""
    if isinstance(which, Loss):
        return which
    if isinstance(which, str) and which in _BY_NAME:
        return _BY_NAME[which]
    raise ConfigError(known(which, LOSS_NAMES, "loss"))
