"""Write README.md's tables from the code's own: methods, layers, activations, losses...

    python -m tools.tables

Each stands between `<!-- NAME -->` and `<!-- end -->`; tests/unit/test_readme.py fails
where one is out of date.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from loom import introspection
from loom.activations import ACTIVATIONS
from loom.layers import LAYERS
from loom.training import LOSSES, OPTIMIZERS, SCHEDULES

README = Path(__file__).parents[1] / "README.md"


def methods() -> str:
    """Network's methods by reflection."""
    rows = introspection.get_methods()
    cells = [
        (f"`{introspection.get_method_signature(row['method_name'])}`", row["doc"])
        for row in rows
    ]
    return table(("method", "what it does"), cells)


def layers() -> str:
    """The layer registry."""
    return table(
        ("code", "layer", "in bundles", "what it is"),
        [
            (row.code, f"`{row.__name__}`", f"`{row.kind}`", first_line(row))
            for row in LAYERS
        ],
    )


def activations() -> str:
    """The activation table."""
    return table(
        ("code", "activation", "formula"),
        [(row.code, f"`{row.name}`", f"`{row.formula}`") for row in ACTIVATIONS],
    )


def training() -> str:
    """Losses, optimizers and schedules."""
    parts = (("loss", LOSSES), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES))
    return "\n\n".join(
        table((what, "formula"), [(f"`{r.name}`", f"`{r.formula}`") for r in rows])
        for what, rows in parts
    )


TABLES = {row.__name__: row for row in (methods, layers, activations, training)}


def table(head: Iterable[str], rows: Iterable[Iterable]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |"
        for line in lines
    )


def first_line(row: type) -> str:
    """The first line of a docstring."""
    return (row.__doc__ or "").split("\n")[0]


def fill(text: str) -> str:
    """README's text with its tables made anew."""
    for name, make in TABLES.items():
        made = f"<!-- {name} -->\n{make()}\n<!-- end -->"
        pattern = rf"<!-- {name} -->\n.*?<!-- end -->"
        text, count = re.subn(pattern, lambda _, made=made: made, text, flags=re.S)
        if count != 1:
            raise SystemExit(f"README.md: expected one <!-- {name} -->, got {count}.")
    return text


if __name__ == "__main__":
    README.write_text(fill(README.read_text()))
