"""What a training run tells: events on the way, a result at the end."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any


@dataclass(slots=True)
class TrainingEvent:
    """One moment of a training run.

    Attributes:
        kind: "batch", "epoch", "validation" (a part of the validation data was run),
            "checkpoint" (written), "stopped" or "done".
        epoch, epochs: the epoch, from 1, of so many.
        batch, batches: the batch (or part of the validation data), from 1, of so many.
        step: batches trained since the beginning.
        loss: of the batch; of the whole epoch in an "epoch" event.
        average_loss: mean of the epoch so far, each sample counting once.
        learning_rate: of the last step.
        samples_per_second: throughput of training, evaluation apart.
        seconds: time spent, pauses between the steps of a generator apart.
        eta_seconds: estimate of what training will still take.
        validation: {epoch, loss, score, average_deviation, failures, accuracy} in an
            "epoch" event where the validation data were evaluated.
    """

    kind: str
    epoch: int
    epochs: int
    batch: int
    batches: int
    step: int
    loss: float | None
    average_loss: float | None
    learning_rate: float
    samples_per_second: float
    seconds: float
    eta_seconds: float
    validation: dict[str, Any] | None = None

    def to_wire(self) -> dict[str, Any]:
        """The event under wire names; what is not a finite number is null."""
        validation = self.validation
        return {
            "Kind": self.kind,
            "Epoch": self.epoch,
            "Epochs": self.epochs,
            "Batch": self.batch,
            "Batches": self.batches,
            "Step": self.step,
            "Loss": _finite(self.loss),
            "AverageLoss": _finite(self.average_loss),
            "LearningRate": self.learning_rate,
            "SamplesPerSecond": self.samples_per_second,
            "Seconds": self.seconds,
            "EtaSeconds": self.eta_seconds,
            "Validation": validation and validation_to_wire(validation),
        }


_LATER = ("loss", "average_loss")
_KNOWN = [row.name for row in fields(TrainingEvent) if row.name not in _LATER]


class LaterEvent(TrainingEvent):
    """A batch's event on a GPU: the losses are read when they are asked for.

    `read()` gives (loss, average loss); reading waits for the device.
    """

    def __init__(self, event: TrainingEvent, read: Callable[[], tuple[float, float]]):
        self._read = read
        for name in _KNOWN:
            setattr(self, name, getattr(event, name))

    @property
    def loss(self) -> float:
        """Of the batch."""
        return self._read()[0]

    @property
    def average_loss(self) -> float:
        """Mean of the epoch so far."""
        return self._read()[1]


@dataclass
class TrainingResult:
    """What a training run came to.

    Attributes:
        loss_history: mean loss of each finished epoch; NaN where a GPU was lost before
            any of it was read.
        final_loss: mean loss of the last epoch, begun or finished.
        best_loss, best_epoch: the least of loss_history and its epoch, from 1.
        epochs, steps: finished epochs, trained batches.
        total_time: nanoseconds spent, pauses between a generator's steps apart.
        avg_throughput: trained samples per second, evaluation apart.
        validation_history: one {epoch, loss, score, average_deviation, failures,
            accuracy} for each evaluation.
        eval_metrics: DeviationMetrics of the last evaluation.
        stopped: whether it was stopped before its end.
    """

    loss_history: list[float] = field(default_factory=list)
    final_loss: float | None = None
    best_loss: float | None = None
    best_epoch: int = 0
    epochs: int = 0
    steps: int = 0
    total_time: int = 0
    avg_throughput: float = 0.0
    validation_history: list[dict[str, Any]] = field(default_factory=list)
    eval_metrics: Any = None
    stopped: bool = False

    @property
    def seconds(self) -> float:
        """`total_time` in seconds."""
        return self.total_time / 1e9

    def to_wire(self) -> dict[str, Any]:
        """The result under wire names; what is not a finite number is null."""
        metrics = self.eval_metrics
        return {
            "LossHistory": [_finite(value) for value in self.loss_history],
            "FinalLoss": _finite(self.final_loss),
            "BestLoss": _finite(self.best_loss),
            "BestEpoch": self.best_epoch,
            "Epochs": self.epochs,
            "Steps": self.steps,
            "TotalTime": self.total_time,
            "AvgThroughput": self.avg_throughput,
            "ValidationHistory": [
                validation_to_wire(row) for row in self.validation_history
            ],
            "EvalMetrics": None if metrics is None else metrics.to_wire(),
            "Stopped": self.stopped,
        }


def validation_to_wire(row: dict[str, Any]) -> dict[str, Any]:
    """One row of the validation history under wire names."""
    return {
        "Epoch": row["epoch"],
        "Loss": _finite(row["loss"]),
        "Score": row["score"],
        "AverageDeviation": row["average_deviation"],
        "Failures": row["failures"],
        "Accuracy": _finite(row["accuracy"]),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
