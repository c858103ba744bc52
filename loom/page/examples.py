"""Examples for the page: their rows, data and networks, and tables dropped onto it."""

from functools import cache
from math import prod
from typing import Any

from loom import data
from loom.data.standard import Standard, fold
from loom.errors import ConfigError, known
from loom.examples import EXAMPLES, Example, chain
from loom.network import Network
from loom.serialization import load_model_from_string, save_model_to_string
from loom.training import TrainingConfig

__all__ = ["data_of", "examples", "new_network", "open_model", "read_csv", "save"]

_own: dict[str, Example] = {}  # of tables that were dropped onto the page


def examples() -> list[dict[str, Any]]:
    """A row for each example, in the order of the menu."""
    return [_row(row) for row in (*EXAMPLES.values(), *_own.values())]


def data_of(name: str) -> dict[str, Any]:
    """The samples of an example: {Train, HeldOut}, each {Input, Target}.

    Inputs are standardised where the example asks for it; HeldOut.Plain has them as
    they are. Shapes: (N, ...) and (N,) class indices or (N, 1) values.
    """
    train, held_out = [
        {"Input": inputs, "Target": targets.astype("float32")}
        for inputs, targets in _data(name)
    ]
    held_out["Plain"] = _example(name).data()[1][0]
    return {"Train": train, "HeldOut": held_out}


def new_network(name: str, seed: int) -> Network:
    """The example's network with the initial weights of a seed."""
    return _example(name).network(seed)


def save(net: Network, name: str) -> str:
    """The bundle of a network trained here; it takes plain, not standardised values."""
    scale = _standard(name) if name else None
    return save_model_to_string(net if scale is None else fold(net, scale), "model")


def open_model(text: str) -> dict[str, Any]:
    """{Network, Example} of a bundle: the example that the file names, or one that fits.

    Example is null when none does.
    """
    net = load_model_from_string(text)
    name = net.metadata.get("example")
    every = EXAMPLES | _own
    fitting = [row.name for row in every.values() if _fits(net, row)]
    chosen = name if name in fitting else next(iter(fitting), None)
    scale = _standard(chosen) if chosen else None
    if scale is not None:
        net = fold(net, Standard(-scale.mean / scale.deviation, 1 / scale.deviation))
    return {"Network": net, "Example": chosen}


def read_csv(text: str, file: str, target: str | None = None) -> dict[str, Any]:
    """Make an example of a table; its row, with Target and every column as Choices.

    The target is the named column, or the last.
    """
    table = data.read_table(text, target, name=file)
    outputs = len(table.classes) or 1
    loss = "softmax_cross_entropy" if table.classes else "mse"
    rows = len(table.inputs)
    row = Example(
        name=file,
        title=file,
        about=f"{rows:,} rows of {file}, which never left this page. Learns "
        f"“{table.target}” from {len(table.columns)} columns.",
        task="classification" if table.classes else "regression",
        classes=table.classes,
        settings={
            "epochs": 60,
            "learning_rate": 0.01,
            "batch_size": 16,
            "optimizer": "adam",
            "loss_type": loss,
        },
        network=chain(file, table.classes, len(table.columns), 24, outputs),
        data=lambda: data.split(table.inputs, table.targets),
        columns=table.columns,
        standardise=True,
    )
    row.data()  # says what is wrong now, not at the first training
    _own[file] = row
    _data.cache_clear()
    _standard.cache_clear()
    choices = [*table.columns, table.target]
    return _row(row) | {"Choices": choices, "Target": table.target}


def _example(name: str) -> Example:
    every = EXAMPLES | _own
    if name not in every:
        raise ConfigError(known(name, every, "example"))
    return every[name]


@cache
def _standard(name: str) -> Standard | None:
    row = _example(name)
    return Standard.of(row.data()[0][0]) if row.standardise else None


@cache
def _data(name: str) -> tuple:
    parts, scale = _example(name).data(), _standard(name)
    if scale is None:
        return parts
    return tuple((scale.apply(inputs), targets) for inputs, targets in parts)


def _fits(net: Network, row: Example) -> bool:
    (inputs, _), _ = row.data()
    same = prod(inputs.shape[1:]) == net.input_size
    return same and net.output_size() == (len(row.classes) or 1)


def _row(row: Example) -> dict[str, Any]:
    config = TrainingConfig(**row.settings).to_wire()
    defaults = TrainingConfig().to_wire()
    return {
        "Name": row.name,
        "Title": row.title,
        "About": row.about,
        "Task": row.task,
        "Classes": list(row.classes),
        "Image": row.image and list(row.image),
        "Drawable": row.drawable,
        "Columns": list(row.columns),
        "Own": row.name in _own,
        "Settings": {
            key: value
            for key, value in config.items()
            if value != defaults[key] or key in ("Epochs", "LearningRate")
        },
    }
