"""What a demo is, and the stage that it plays on: it shows, trains and checks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from loom.examples import Example, Task
from loom.fabric.progress import follow
from loom.fabric.terminal import say
from loom.network import Network
from loom.training import Trainer

SEED = 1


@dataclass(frozen=True)
class Demo:
    """One row of the menu.

    Attributes:
        number: its permanent number in the menu.
        name: a word for `loom demo`.
        title: what the menu says.
        play: runs it on a stage.
    """

    number: int
    name: str
    title: str
    play: Callable[["Stage"], None]


@dataclass(frozen=True)
class Check:
    """One thing that a demo verified, or found wrong."""

    claim: str
    passed: bool

    def text(self) -> str:
        """A line for people."""
        return f"{'✓' if self.passed else '✗'} {self.claim}"


class Stopped(Exception):
    """Ctrl-C ended a training; what was learnt is saved."""


@dataclass
class Stage:
    """Where a demo shows and checks.

    Attributes:
        quiet: print nothing (for --json).
        checks: what was verified so far.
        figures: what --json also tells.
    """

    quiet: bool = False
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def say(self, text: str = "", style: str | None = None) -> None:
        """A line for people."""
        if not self.quiet:
            say(text, style)

    def check(self, claim: str, passed: bool) -> None:
        """Verify a claim, and tell it."""
        found = Check(claim, bool(passed))
        self.checks.append(found)
        self.say(found.text(), None if found.passed else "bold red")

    def train(self, example: Example, **changes: Any) -> tuple[Network, Task, Trainer]:
        """Train an example in view: the finished network. Raises Stopped on Ctrl-C."""
        net, task = example.build(SEED)
        self.say(example.about)
        self.say(
            f"{len(task.train[0]):,} samples, {net.parameter_count():,} parameters"
        )
        self.say()
        trainer = Trainer(net, task.training, example.settings(task, **changes))
        interrupted = follow(trainer, self.quiet)
        self.say()
        net = example.finish(net, task)
        self.figures["loss_history"] = trainer.result.loss_history
        if interrupted:
            path = Path(f"{example.name}.loom.json")
            net.save_model(str(path), example.name)
            self.say(f"Stopped by Ctrl-C; what was learnt is in {path}.", "bold")
            raise Stopped
        return net, task, trainer


def play(demo: Demo, quiet: bool = False) -> dict[str, Any]:
    """Run a demo: {"demo", "name", "title", "seconds", "passed", "checks", ...}."""
    stage = Stage(quiet)
    stage.say(f"{demo.number}  {demo.title}", "bold")
    start = perf_counter()
    demo.play(stage)
    seconds = perf_counter() - start
    passed = bool(stage.checks) and all(check.passed for check in stage.checks)
    verdict = "all verified" if passed else "NOT all verified"
    stage.say(f"{len(stage.checks)} checks, {verdict}, in {seconds:.1f} s\n", "bold")
    return {
        "demo": demo.number,
        "name": demo.name,
        "title": demo.title,
        "passed": passed,
        "seconds": seconds,
        "checks": [vars(check) for check in stage.checks],
    } | stage.figures
