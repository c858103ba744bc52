"""Training examples: one row an example, used by `loom train` and the page's menu.

example = examples.example("digits")
net, task = example.build(seed=1)
trainer = Trainer(net, task.training, example.settings(task))
...
net = example.finish(net, task)          # what is saved and predicts
metrics, accuracy = example.evaluate(net, task)
"""

from loom.errors import ConfigError, known
from loom.examples import digits, sequences, tables, text
from loom.examples.example import KINDS, Example, Task, train

EXAMPLES: tuple[Example, ...] = (
    *digits.ROWS,
    *tables.ROWS,
    *sequences.ROWS,
    *text.ROWS,
)
BY_NAME = {row.name: row for row in EXAMPLES}

__all__ = [
    "BY_NAME",
    "EXAMPLES",
    "KINDS",
    "Example",
    "Task",
    "catalog",
    "example",
    "train",
]


def example(name: str) -> Example:
    """The row of a name. Raises ConfigError for an unknown one."""
    if name not in BY_NAME:
        raise ConfigError(known(name, BY_NAME, "example"))
    return BY_NAME[name]


def catalog() -> list[dict]:
    """Every row for a menu, JSON-able."""
    return [row.describe() for row in EXAMPLES]
