"""Examples on tables: Iris, Wine, and a table of one's own."""

from collections.abc import Callable

from loom import data
from loom.data.standard import Standard
from loom.data.table import Table
from loom.examples.example import Example, Task
from loom.layers import Dense
from loom.network import Network

HIDDEN = 32
_CONFIG = {
    "epochs": 100,
    "batch_size": 16,
    "learning_rate": 0.01,
    "optimizer": "adam",
    "schedule": "cosine",
}


def from_table(
    name: str,
    read: Callable[[], Table],
    title: str = "",
    about: str = "",
    goal: float | None = None,
    metadata: dict | None = None,
) -> Example:
    """A classification or regression of a table by a dense network C-32-K.

    Columns are standardised by the training part, and the saved network takes plain
    values: the standardisation is folded into its weights.
    """
    table = read()
    regression = not table.classes
    outputs = 1 if regression else len(table.classes)

    def task(seed: int) -> Task:
        train, held_out = data.split(table.inputs, table.targets, seed=seed)
        return Task(
            train,
            held_out,
            table.classes,
            table.columns,
            table.target,
            Standard.of(train[0]),
            Standard.of(train[1]) if regression else None,
        )

    def network(task: Task, seed: int) -> Network:
        layers = Dense(len(table.columns), HIDDEN), Dense(HIDDEN, outputs, "linear")
        return Network.stack(*layers, seed=seed)

    return Example(
        name,
        title or name,
        about,
        "table",
        task,
        network,
        _CONFIG | {"loss_type": "mse" if regression else "softmax_cross_entropy"},
        metric="score" if regression else "accuracy",
        goal=goal,
        metadata=metadata or {},
    )


ROWS = (
    from_table(
        "iris",
        data.iris,
        "Iris flowers",
        "150 flowers of three species from four measurements by a dense network "
        "4-32-3; a fifth is held out.",
        goal=0.93,
    ),
    from_table(
        "wine",
        data.wine,
        "Wine cultivars",
        "178 wines of three cultivars from 13 measurements by a dense network 13-32-3; "
        "a fifth is held out.",
        goal=0.94,
    ),
)
