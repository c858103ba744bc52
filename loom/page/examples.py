"""Examples for the page: rows, samples, networks, and tables dropped onto it."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from loom import data
from loom.data.standard import Standard, fold
from loom.data.table import Table, columns_of
from loom.errors import ConfigError, InputError, known
from loom.examples import BY_NAME, Example, Task
from loom.examples.tables import from_table
from loom.network import Network
from loom.serialization import load_model_from_string, save_model_to_string

__all__ = ["catalog", "new_network", "open_model", "read_csv", "samples", "save"]

MOST_NAMES = 8  # of columns in a sentence
_own: dict[str, Example] = {}  # of tables that were dropped onto the page


def catalog() -> list[dict[str, Any]]:
    """A row for each example, in the order of the menu."""
    rows = (BY_NAME | _own).values()
    return [row.describe() | {"own": row.name in _own} for row in rows]


def samples(name: str, seed: int) -> dict[str, Any]:
    """The samples of an example: {classes, columns, target, picture, train, held_out}.

    `picture` is the shape (H, W) in which a sample can be drawn, or null. The parts are
    {input, target} as training sees them, and {plain} inputs of those held out.
    """
    task = task_of(name, seed)
    (x, t), (vx, vt) = task.training, task.validation
    plain = task.held_out[0]
    return {
        "classes": list(task.classes),
        "columns": list(task.columns),
        "target": task.target,
        "picture": _picture(example_of(name), x),
        "train": {"input": x, "target": np.asarray(t, np.float32)},
        "held_out": {
            "input": vx,
            "target": np.asarray(vt, np.float32),
            "plain": np.asarray(plain, np.float32),
        },
    }


def new_network(name: str, seed: int) -> Network:
    """The example's network with the initial weights of a seed."""
    return example_of(name).build(seed)[0]


def save(net: Network, name: str) -> str:
    """The bundle of a network trained here; it takes plain, not standardised values."""
    return save_model_to_string(finished(net, name) if name else net, "model")


def finished(net: Network, name: str) -> Network:
    """The network as it is saved: takes and gives plain values."""
    return example_of(name).finish(net, task_of(name, net.seed))


def open_model(text: str) -> dict[str, Any]:
    """{network, example, seed} of a bundle.

    `example` is what the file names, or one that fits, or null.
    """
    net = load_model_from_string(text)
    every = BY_NAME | _own
    names = [net.metadata.get("example"), *every]
    name = next((n for n in names if n in every and _fits(net, n)), None)
    if name:
        task = task_of(name, net.seed)
        if task.inputs is not None or task.outputs is not None:
            net = fold(net, _inverse(task.inputs), _inverse(task.outputs))
    return {"network": net, "example": name, "seed": net.seed}


def read_csv(text: str, file: str, target: str | None = None) -> dict[str, Any]:
    """Make an example of a table: {name, target, choices}.

    The target is the named column, or the last that can be one; `choices` are all
    columns. Other columns of text are left out.
    """
    words, every = columns_of(text, name=file)
    table = _table(text, file, words, [target] if target else every[::-1])
    if len(table.inputs) < 3:
        raise InputError(
            f"{file}: {len(table.inputs)} rows are too few, for a fifth is held out. "
            "Bring 3 or more."
        )
    left = [column for column in words if column != table.target]
    about = (
        f"{len(table.inputs):,} rows of {file}, which does not leave this page: learns "
        f"{table.target} from {_listed(table.columns)}; a fifth is held out."
    )
    if left:
        about += f" Text is left out: {_listed(left)}."
    row = from_table(file, lambda: table, about=about)
    row.build(1)  # says what is wrong now, not at the first training
    _own[file] = row
    task_of.cache_clear()
    return {"name": file, "target": table.target, "choices": every}


def _table(text: str, file: str, words: list[str], targets: list[str]) -> Table:
    """The table with the first of the targets that can be one."""
    first = None
    for target in targets:
        try:
            return data.read_table(text, target, name=file, ignore=words)
        except InputError as error:
            first = first or error
    raise first


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def example_of(name: str) -> Example:
    """The row of a name. Raises ConfigError for an unknown one."""
    every = BY_NAME | _own
    if name not in every:
        raise ConfigError(known(name, every, "example"))
    return every[name]


@lru_cache(maxsize=8)
def task_of(name: str, seed: int) -> Task:
    """The samples of an example, of which a seed decides what is held out."""
    return example_of(name).task(seed)


def _fits(net: Network, name: str) -> bool:
    task = task_of(name, net.seed)
    x, t = task.train
    outputs = len(task.classes) or prod(np.shape(t)[1:])
    return prod(x.shape[1:]) == net.input_size and net.shapes()[-1][-1] == outputs


def _inverse(scale: Standard | None) -> Standard | None:
    if scale is None:
        return None
    return Standard(-scale.mean / scale.deviation, 1 / scale.deviation)


def _picture(row: Example, x: np.ndarray) -> list[int] | None:
    if row.kind == "image":
        shape = x.shape[1:]
        return list(shape[-2:]) if len(shape) > 1 else [8, shape[0] // 8]
    return list(x.shape[1:]) if row.kind == "sequence" and x.ndim == 3 else None
