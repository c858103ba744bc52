"""The demos of the menu: each trains on something real and verifies itself.

Numbers are permanent: 9 to 15 as in the framework we follow, later ones after them.
"""

from loom.errors import ConfigError, known
from loom.fabric.demos import files, layers
from loom.fabric.demos.benchmark import BENCHMARK
from loom.fabric.demos.demo import Check, Demo, Stage, Stopped, play

DEMOS: tuple[Demo, ...] = (
    *layers.FIRST,
    BENCHMARK,
    files.SERIALIZATION,
    *layers.LATER,
    *files.LATER,
)

__all__ = ["DEMOS", "Check", "Demo", "Stage", "Stopped", "demo", "play"]


def demo(which: str) -> Demo:
    """The row of a number or a name. Raises ConfigError for an unknown one."""
    for row in DEMOS:
        if which in (str(row.number), row.name):
            return row
    names = [f"{row.number} {row.name}" for row in DEMOS]
    raise ConfigError(known(which, names, "demo"))
