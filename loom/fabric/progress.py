"""Progress of a training run: live in a terminal, a line an epoch in a pipe."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loom.fabric.curve import curves
from loom.fabric.terminal import console, plain, say
from loom.training import Trainer, TrainingEvent

_LINES = 20  # printed of a run in a pipe, at most
_WIDTH, _HEIGHT = 84, 14  # characters of the plot, at most
_REFRESH = 0.1  # seconds between two pictures


def follow(trainer: Trainer, quiet: bool = False) -> bool:
    """Run a trainer and show it; True where Ctrl-C stopped it.

    The first Ctrl-C ends the run after the batch that is being trained, so that what
    was learnt can be saved; the second ends the program.
    """
    with _stopping(trainer) as stopped:
        if quiet:
            for _ in trainer.run():
                pass
        elif plain():
            _lines(trainer)
        else:
            _live(trainer)
    return bool(stopped)


@contextmanager
def _stopping(trainer: Trainer) -> Iterator[list]:
    stopped: list[int] = []

    def stop(number, frame):
        if stopped:
            raise KeyboardInterrupt
        stopped.append(number)  # a second one is not caught
        trainer.stop()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def _lines(trainer: Trainer) -> None:
    every = max(1, -(-trainer.config.epochs // _LINES))
    for event in trainer.run():
        last = event.epoch == event.epochs
        if event.kind == "epoch" and (event.epoch % every == 0 or last):
            say(line(event))


def _live(trainer: Trainer) -> None:
    with Live(console=console, auto_refresh=False) as live:
        shown, latest = 0.0, None
        for event in trainer.run():
            # A "done" has no validation of its own: keep the epoch's.
            if event.kind == "epoch" or latest is None:
                latest = event
            if perf_counter() - shown >= _REFRESH or event.kind in ("done", "stopped"):
                live.update(_picture(trainer, event, latest), refresh=True)
                shown = perf_counter()


def _picture(trainer: Trainer, event: TrainingEvent, latest: TrainingEvent) -> Group:
    result = trainer.result
    held_out = [row["loss"] for row in result.validation_history]
    series = {"loss": result.loss_history}
    if held_out and None not in held_out and trainer.config.evaluate_every_n == 1:
        series["held out"] = held_out
    total = event.epochs * event.batches
    table = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=total, completed=event.step, width=40)
    text = figures(event, latest.validation)
    table.add_row(f"epoch {event.epoch}/{event.epochs}", bar)
    lines = table, Text(text)
    if len(result.loss_history) < 2:
        return Group(*lines)
    width = min(console.width - 1, _WIDTH)
    return Group(curves(series, event.epochs, width, _HEIGHT), Text(), *lines)


def line(event: TrainingEvent) -> str:
    """An epoch as a line of text."""
    return f"epoch {event.epoch}/{event.epochs}  {figures(event, event.validation)}"


def figures(event: TrainingEvent, validation: dict | None) -> str:
    """Loss, what was evaluated, throughput and time left."""
    parts = [] if event.average_loss is None else [f"loss {event.average_loss:.4g}"]
    if validation:
        if validation["accuracy"] is not None:
            parts.append(f"accuracy {validation['accuracy']:.1%}")
        elif validation["loss"] is not None:
            parts.append(f"held out {validation['loss']:.4g}")
    parts.append(f"{event.samples_per_second:,.0f} samples/s")
    if event.eta_seconds:
        parts.append(f"{clock(event.eta_seconds)} left")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """0.3 s, 40 s, 2:05, 1:00:00."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
