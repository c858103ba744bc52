"""What an example is: data split for training, a network, settings and a goal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from loom.data.standard import Standard, fold
from loom.evaluation import DeviationMetrics, evaluate, outputs_of
from loom.network import Network
from loom.training import TrainingConfig, TrainingResult, loss

Array = np.ndarray
Pair = tuple[Array, Array]
KINDS = ("image", "table", "sequence", "text")


@dataclass(frozen=True)
class Task:
    """Samples in the units that a person knows, and how they are standardised.

    Attributes:
        train, held_out: (inputs (N, ...), targets) pairs.
        classes: names of the classes; empty for a regression.
        columns: names of the inputs of a table.
        target: name of what is predicted.
        inputs, outputs: standardisation that training uses and the saved network holds
            in its weights; None for none.
    """

    train: Pair
    held_out: Pair
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    target: str = "class"
    inputs: Standard | None = None
    outputs: Standard | None = None

    @property
    def training(self) -> Pair:
        """`train` as the network in training sees it."""
        return self._standard(self.train)

    @property
    def validation(self) -> Pair:
        """`held_out` as the network in training sees it."""
        return self._standard(self.held_out)

    def _standard(self, pair: Pair) -> Pair:
        x, t = pair
        if self.inputs is not None:
            x = self.inputs.apply(x)
        if self.outputs is not None:
            t = self.outputs.apply(t)
        return x, t


@dataclass(frozen=True)
class Example:
    """One row of the table.

    Attributes:
        name: the word after `loom train`, and the page's key.
        title: a few words for menus.
        about: one sentence: the data, the network, what is held out.
        kind: "image", "table", "sequence" or "text": how to show a sample.
        task: seed -> the samples.
        network: (task, seed) -> a new network.
        config: TrainingConfig fields that differ from its defaults.
        metric: "accuracy" or "score" (at least `goal`) or "loss" (at most), on what is
            held out.
        goal: what training reaches with the default settings; None for no claim.
        drawable: whether a drawn digit can be put in (64 values of 8x8).
        metadata: what the model file shall remember beside the class names.
    """

    name: str
    title: str
    about: str
    kind: str
    task: Callable[[int], Task]
    network: Callable[[Task, int], Network]
    config: Mapping[str, Any]
    metric: str = "accuracy"
    goal: float | None = None
    drawable: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def build(self, seed: int = 1) -> tuple[Network, Task]:
        """The untrained network and its task; one seed decides both."""
        task = self.task(seed)
        net = self.network(task, seed)
        net.metadata = {"example": self.name, "kind": self.kind, "target": task.target}
        for name in ("classes", "columns"):
            if values := getattr(task, name):
                net.metadata[name] = list(values)
        net.metadata |= self.metadata
        return net, task

    def settings(self, task: Task, **changes: Any) -> TrainingConfig:
        """The example's settings with the held-out samples as validation data."""
        x, t = task.validation
        given = {"validation_inputs": x, "validation_targets": t}
        return TrainingConfig(**given | dict(self.config) | changes)

    def finish(self, net: Network, task: Task) -> Network:
        """The trained network as it is saved: takes and gives plain values."""
        if task.inputs is None and task.outputs is None:
            return net
        return fold(net, task.inputs, task.outputs)

    def evaluate(self, net: Network, task: Task) -> tuple[DeviationMetrics, float]:
        """Deviations of a finished network on what is held out, and the metric."""
        x, t = task.held_out
        outputs = outputs_of(net, x, self.name)
        metrics = evaluate(outputs, t)
        if self.metric != "loss":
            return metrics, getattr(metrics, self.metric)
        row = loss(self.config.get("loss_type", "mse"))
        return metrics, float(row(outputs, t)[0])

    def reached(self, value: float) -> bool:
        """Whether a value of the metric meets the goal."""
        if self.goal is None:
            return True
        return value <= self.goal if self.metric == "loss" else value >= self.goal

    def describe(self) -> dict[str, Any]:
        """The row for a menu, JSON-able; `config` under wire names."""
        wire = {row.name: row.metadata["wire"] for row in fields(TrainingConfig)}
        return {
            "name": self.name,
            "title": self.title,
            "about": self.about,
            "kind": self.kind,
            "metric": self.metric,
            "goal": self.goal,
            "drawable": self.drawable,
            "config": {wire[name]: value for name, value in self.config.items()},
        }


def train(
    example: Example, seed: int = 1, **changes: Any
) -> tuple[Network, TrainingResult, float]:
    """Train an example from beginning to end: finished network, result, metric."""
    net, task = example.build(seed)
    result = net.train(task.training, example.settings(task, **changes))
    net = example.finish(net, task)
    return net, result, example.evaluate(net, task)[1]
