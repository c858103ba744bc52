"""`loom train`: an example or a table of one's own, from data to a saved model."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from loom.data import Table, read_table
from loom.errors import FormatError
from loom.evaluation import DeviationMetrics
from loom.examples import Example, Task
from loom.examples.tables import from_table
from loom.fabric.progress import clock, follow
from loom.fabric.terminal import say, say_json, size
from loom.files import check_writable, read_bytes
from loom.network import Network
from loom.training import Trainer, TrainingResult

CHECKPOINT_SECONDS = 2.0  # between two checkpoints
CSV = "csv: "  # begins the metadata's `example` of a model trained on one's own table


@dataclass
class Outcome:
    """A finished `loom train`."""

    example: Example
    net: Network
    result: TrainingResult
    metrics: DeviationMetrics
    value: float
    out: Path
    interrupted: bool

    def to_json(self) -> dict[str, Any]:
        """What --json prints."""
        result = self.result.to_wire()
        for name in ("EvalMetrics", "ValidationHistory"):
            del result[name]
        return {
            "example": self.example.name,
            "seed": self.net.seed,
            "parameters": self.net.parameter_count(),
            "metric": self.example.metric,
            "value": self.value,
            "goal": self.example.goal,
            "reached": self.example.reached(self.value),
            "score": self.metrics.score,
            "samples": self.metrics.total_samples,
            "model": str(self.out),
            "interrupted": self.interrupted,
            "training": result,
        }


def train(
    example: Example, seed: int, out: Path | None, quiet: bool, **changes: Any
) -> Outcome:
    """Train, evaluate, save and say so. `changes` are TrainingConfig fields."""
    net, task = example.build(seed)
    out = out or Path(f"{example.name}.loom.json")
    check_writable(out)
    trainer = Trainer(net, task.training, example.settings(task, **changes))
    if not quiet:
        _introduce(example, net, task)
        if trainer.step:
            left = trainer.config.epochs - trainer.epoch
            say(f"resumed after {trainer.step:,} steps, {left} epochs are left")
    interrupted = follow(trainer, quiet)
    finished = example.finish(net, task)
    metrics, value = example.evaluate(finished, task)
    finished.save_model(str(out), example.name)
    done = Outcome(example, finished, trainer.result, metrics, value, out, interrupted)
    if not quiet:
        _conclude(done, trainer)
    return done


def from_csv(path: str, target: str | None, task: str | None, ignore) -> Example:
    """The example of a CSV file ("-" for standard input)."""
    text = read_text(path)
    name = "stdin" if path == "-" else Path(path).stem
    where = "standard input" if path == "-" else Path(path).name

    def read() -> Table:
        return read_table(text, target, name=where, task=task, ignore=ignore)

    table = read()
    kind = f"{len(table.classes)} classes" if table.classes else "a regression"
    about = (
        f"{len(table.inputs):,} rows of {where}: {table.target} ({kind}) from "
        f"{len(table.columns)} columns by a dense network; a fifth is held out."
    )
    checksum = f"{crc32(text.encode()):08x}"
    metadata = {"example": f"{CSV}{where}", "csv_crc32": checksum}
    return from_table(name, read, about=about, metadata=metadata)


def read_text(path: str) -> str:
    """The text of a file, or of standard input for "-"."""
    try:
        return sys.stdin.read() if path == "-" else read_bytes(path, "CSV").decode()
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path}: expected text in UTF-8, got byte {error.object[error.start]:#x} "
            f"at {error.start}. Save the file as UTF-8."
        ) from None


def _introduce(example: Example, net: Network, task: Task) -> None:
    if example.title != example.name:
        say(example.title, "bold")
    say(example.about)
    layers = " -> ".join(repr(layer) for layer in net.layers)
    if len(layers) < 120:
        say(layers, "dim")
    say(
        f"{len(task.train[0]):,} samples to train on, {len(task.held_out[0]):,} held "
        f"out, {net.parameter_count():,} parameters, seed {net.seed}"
    )
    say()


def _conclude(done: Outcome, trainer: Trainer) -> None:
    result, example = done.result, done.example
    say()
    if done.interrupted:
        say(f"Stopped by Ctrl-C in epoch {trainer.epoch + 1}.", "bold")
    say(
        f"trained {result.steps:,} steps in {clock(result.seconds)}, "
        f"{result.avg_throughput:,.0f} samples/s, best loss "
        + ("-" if result.best_loss is None else f"{result.best_loss:.4g}")
        + f" in epoch {result.best_epoch}"
    )
    say()
    say(f"Held out: {done.metrics.total_samples:,} samples", "bold")
    say(done.metrics.summary())
    say()
    text = f"{done.value:.2%}" if example.metric == "accuracy" else f"{done.value:.4g}"
    say(f"{example.metric} {text}{_goal(done)}", "bold")
    out = done.out
    say(f"saved {out} ({size(out.stat().st_size)})")
    if trainer.config.checkpoint_path and done.interrupted:
        say("go on with the same command and --resume")
    say()
    say(f"next: loom {_use(done)}", "dim")
    say(f"      loom info {out}", "dim")


def _use(done: Outcome) -> str:
    """A command that shows what the model can do."""
    source = done.net.metadata["example"]
    if done.example.kind == "text":
        return f'write {done.out} "Alice "'
    if source.startswith(CSV):
        return f"predict {done.out} --csv {source[len(CSV) :]}"
    return f"predict {done.out} --sample 1"


def _goal(done: Outcome) -> str:
    example = done.example
    if example.goal is None:
        return ""
    goal = (
        f"{example.goal:.0%}" if example.metric == "accuracy" else f"{example.goal:g}"
    )
    reached = "reached" if example.reached(done.value) else "not reached"
    return f" (goal {goal}: {reached})"


def report(done: Outcome) -> None:
    """The outcome as JSON."""
    say_json(done.to_json())
