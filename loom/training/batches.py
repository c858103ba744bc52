"""The data of a training run: checked once, then handed out batch by batch."""

import array
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

import numpy as np

from loom import random
from loom.errors import InputError, ShapeError, known
from loom.evaluation import samples_of
from loom.training.losses import Loss

Array = np.ndarray
CUT = 32  # rows of a batch where one pair of arrays is given and no batch_size
_INPUTS = ("Input", "Inputs", "input", "inputs")
_TARGETS = ("Target", "Targets", "target", "targets")


class Batches:
    """Batches of (x (B, *input_shape), t), in an order that a seed decides.

    `data` is an iterable of pairs or of {Input, Target} mappings, read once and held;
    or one pair or mapping of arrays (N, ...). With `size` the samples are cut into
    batches of so many rows, the last one smaller if need be.

    Raises InputError, ShapeError: which batch, what was expected, what came.
    """

    def __init__(self, net, data: Any, loss: Loss, size: int | None = None):
        one = _is_pair_of_arrays(data) or isinstance(data, Mapping)
        if not one and (isinstance(data, str | bytes) or not _iterable(data)):
            raise InputError(
                "batches: expected (inputs, targets) pairs or {Input, Target} objects, "
                f"got {type(data).__name__}."
            )
        given = [data] if one else list(data)
        if not given:
            raise InputError("batches: expected at least one batch, got none.")
        pairs = []
        for number, item in enumerate(given, 1):
            where = "batches" if one else f"batch {number} of {len(given)}"
            inputs, targets = _pair(item, where)
            x = samples_of(net, inputs, where)
            pairs.append((x, targets_of(net, len(x), targets, loss, where)))
        if one or size:
            _same_kind(pairs)
            self._cut = size or CUT
            columns = [list(column) for column in zip(*pairs, strict=True)]
            x, t = (c[0] if len(c) == 1 else np.concatenate(c) for c in columns)
            self._pairs = [(x, t)]
            self.rows = self._units = len(x)
            self._count = -(-self.rows // self._cut)
        else:
            self._cut, self._pairs = 0, pairs
            self.rows = sum(len(x) for x, _ in pairs)
            self._count = self._units = len(pairs)

    def __len__(self) -> int:
        return self._count

    @property
    def cuts(self) -> bool:
        """Whether an order is one of samples, which are cut into batches after it."""
        return bool(self._cut)

    def order(self, seed: int, epoch: int) -> Array:
        """The order of the samples (where they are cut) or batches in an epoch."""
        return random.permutation(seed, self._units, step=epoch, purpose=random.SHUFFLE)

    def batch(self, index: int, order: Array | None) -> tuple[Array, Array]:
        """The index-th batch of an epoch."""
        if not self._cut:
            return self._pairs[index if order is None else order[index]]
        x, t = self._pairs[0]
        rows = slice(index * self._cut, (index + 1) * self._cut)
        if order is None:
            return x[rows], t[rows]
        chosen = order[rows]
        return x.take(chosen, axis=0), t.take(chosen, axis=0)

    def checksum(self) -> int:
        """CRC-32 of all values: whether two runs have the same data."""
        from zlib import crc32

        total = self._cut
        for pair in self._pairs:
            for values in pair:
                total = crc32(np.ascontiguousarray(values).reshape(-1).data, total)
        return total


def targets_of(net, rows: int, targets: Any, loss: Loss, where: str) -> Array:
    """Targets (rows, *output shape) in the network's dtype, or class indices.

    Class indices (whole numbers, one for each row of K outputs) stay integers.
    """
    t = net._array(targets, f"{where}: targets")
    shape = (rows, *net.shapes()[-1])
    if t.size == prod(shape) and (t.ndim == 1 or t.shape[0] == rows):
        return t.reshape(shape)
    k = shape[-1]
    classes = t.size == prod(shape[:-1]) and (t.ndim <= 1 or t.shape[0] == rows)
    if classes and loss.classes:
        if (t % 1).any() or t.min() < 0 or t.max() >= k:
            bad = t[(t % 1 != 0) | (t < 0) | (t >= k)][0]
            raise InputError(
                f"{where}: expected class indices 0 to {k - 1}, got {bad:g}. The "
                f"network has {k} outputs."
            )
        return t.astype(np.intp).reshape(shape[:-1])
    if classes:
        advice = (
            "One class index a sample needs loss_type='softmax_cross_entropy' "
            "(or 'cross_entropy')."
        )
    else:
        advice = "Give each sample as many targets as the network has outputs."
    raise ShapeError(
        f"{where}: expected targets of shape {shape}, got {t.shape}. {advice}"
    )


def _pair(item: Any, where: str) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        inputs = [name for name in _INPUTS if name in item]
        targets = [name for name in _TARGETS if name in item]
        for name in item:
            if name not in _INPUTS + _TARGETS:
                raise InputError(
                    f"{where}: {known(name, ('Input', 'Target'), 'field')}"
                )
        if len(inputs) == len(targets) == 1:
            return item[inputs[0]], item[targets[0]]
        raise InputError(
            f"{where}: expected Input and Target, got {', '.join(item) or 'neither'}."
        )
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    size = f" of {len(item)}" if isinstance(item, tuple | list) else ""
    raise InputError(
        f"{where}: expected a pair (inputs, targets) or {{Input, Target}}, got "
        f"{type(item).__name__}{size}. One pair alone is [(inputs, targets)], or two "
        "arrays."
    )


def _is_pair_of_arrays(data: Any) -> bool:
    return (
        isinstance(data, tuple | list)
        and len(data) == 2
        and all(_is_array(values) for values in data)
    )


def _is_array(values: Any) -> bool:
    return hasattr(values, "__array__") or isinstance(values, memoryview | array.array)


def _iterable(data: Any) -> bool:
    return isinstance(data, Iterable) and not hasattr(data, "__array__")


def _same_kind(pairs: list[tuple[Array, Array]]) -> None:
    kinds = [t.dtype.kind for _, t in pairs]
    for number, kind in enumerate(kinds, 1):
        if kind != kinds[0]:
            raise InputError(
                f"batch {number} of {len(pairs)}: expected targets as in batch 1, got "
                "class indices beside probabilities. Use one form throughout."
            )
