"""TrainingConfig: every setting of a training run, one row a setting."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

import numpy as np

from loom.errors import ConfigError, known
from loom.training.losses import LOSS_NAMES
from loom.training.optimizers import BY_NAME as OPTIMIZERS
from loom.training.schedules import BY_NAME as SCHEDULES

_GREATEST = 2**53  # whole numbers beyond are taken for a mistake: floats lose them


def _setting(wire, kind, default, low=None, high=None, above=None, choices=()):
    """One row: wire name, type, default, bounds (low <= v <= high, v > above)."""
    return field(
        default=default,
        metadata={
            "wire": wire,
            "kind": kind,
            "low": low,
            "high": high,
            "above": above,
            "choices": tuple(choices),
        },
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingConfig:
    """The settings of a training run; snake_case here, PascalCase on the wire.

    Attributes:
        epochs: passes over the data.
        learning_rate: step size; the schedule starts from it.
        use_gpu: train on the GPU.
        print_every_batch: with verbose, a line every so many batches; 0 for none.
        gradient_clip: greatest global norm of the gradients; 0 for no clipping.
        loss_type: a name of the loss table.
        verbose: print a line an epoch.
        evaluate_every_n: evaluate the validation data every so many epochs, and after
            the last; 0 for never.
        validation_inputs, validation_targets: held-out data, as the batches' arrays.
        batch_size: cut the samples into batches of so many rows, the last one smaller
            if need be. None keeps batches as given; a pair of arrays then is cut
            into 32s.
        shuffle: a new order each epoch: of the samples where batch_size cuts them,
            else of the batches.
        seed: decides the order; None takes the network's.
        optimizer: "sgd", "adam" or "adamw".
        momentum, nesterov: of sgd.
        weight_decay: added to the gradient; with adamw decoupled from it.
        beta1, beta2, epsilon: of adam and adamw.
        schedule: "constant", "step", "cosine" or "linear".
        warmup_steps: steps in which the rate grows linearly from 0.
        final_learning_rate: where step, cosine and linear end.
        step_every, step_factor: the step schedule multiplies the rate by the factor
            every so many epochs.
        checkpoint_path: file that holds the latest checkpoint.
        checkpoint_every_steps, checkpoint_every_seconds: when to write it, beside the
            end; 0 for not.
        resume: continue from checkpoint_path if that file exists.
    """

    epochs: int = _setting("Epochs", int, 10, low=1)
    learning_rate: float = _setting("LearningRate", float, 0.01, above=0)
    use_gpu: bool = _setting("UseGPU", bool, False)
    print_every_batch: int = _setting("PrintEveryBatch", int, 0, low=0)
    gradient_clip: float = _setting("GradientClip", float, 0.0, low=0)
    loss_type: str = _setting("LossType", str, "mse", choices=LOSS_NAMES)
    verbose: bool = _setting("Verbose", bool, False)
    evaluate_every_n: int = _setting("EvaluateEveryN", int, 1, low=0)
    validation_inputs: Any = _setting("ValidationInputs", np.ndarray, None)  # noqa: RUF009
    validation_targets: Any = _setting("ValidationTargets", np.ndarray, None)  # noqa: RUF009
    batch_size: int | None = _setting("BatchSize", int, None, low=1)
    shuffle: bool = _setting("Shuffle", bool, True)
    seed: int | None = _setting("Seed", int, None, low=0, high=2**64 - 1)
    optimizer: str = _setting("Optimizer", str, "sgd", choices=OPTIMIZERS)
    momentum: float = _setting("Momentum", float, 0.0, low=0, high=1)
    nesterov: bool = _setting("Nesterov", bool, False)
    weight_decay: float = _setting("WeightDecay", float, 0.0, low=0)
    beta1: float = _setting("Beta1", float, 0.9, low=0, high=0.999999)
    beta2: float = _setting("Beta2", float, 0.999, low=0, high=0.999999)
    epsilon: float = _setting("Epsilon", float, 1e-8, above=0)
    schedule: str = _setting("Schedule", str, "constant", choices=SCHEDULES)
    warmup_steps: int = _setting("WarmupSteps", int, 0, low=0)
    final_learning_rate: float = _setting("FinalLearningRate", float, 0.0, low=0)
    step_every: int = _setting("StepEvery", int, 10, low=1)
    step_factor: float = _setting("StepFactor", float, 0.1, above=0)
    checkpoint_path: str | None = _setting("CheckpointPath", str, None)
    checkpoint_every_steps: int = _setting("CheckpointEverySteps", int, 0, low=0)
    checkpoint_every_seconds: float = _setting(
        "CheckpointEverySeconds", float, 0.0, low=0
    )
    resume: bool = _setting("Resume", bool, False)

    def __post_init__(self):
        self._check("name")

    @classmethod
    def from_wire(cls, values: Mapping[str, Any]) -> "TrainingConfig":
        """The settings of {Epochs, LearningRate, ...}; null means the default.

        Raises ConfigError for an unknown field, a wrong type, NaN or a value out of
        bounds.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(
                "TrainingConfig: expected an object such as {Epochs: 10}, got "
                f"{type(values).__name__}."
            )
        rows = {row.metadata["wire"]: row for row in fields(cls)}
        for key in values:
            if key not in rows:
                raise ConfigError(f"TrainingConfig: {known(key, rows, 'field')}")
        self = cls.__new__(cls)
        for wire, row in rows.items():
            value = values.get(wire)
            object.__setattr__(self, row.name, row.default if value is None else value)
        self._check("wire")
        return self

    def to_wire(self) -> dict[str, Any]:
        """All settings under their wire names."""
        out = {}
        for row in fields(self):
            value = getattr(self, row.name)
            out[row.metadata["wire"]] = (
                value.tolist() if isinstance(value, np.ndarray) else value
            )
        return out

    def _check(self, names: str) -> None:
        """Check each row, then what rows need of each other."""
        name = {
            row.name: row.metadata["wire"] if names == "wire" else row.name
            for row in fields(self)
        }
        for row in fields(self):
            value = getattr(self, row.name)
            if value is None and row.default is None:
                continue
            object.__setattr__(self, row.name, _checked(row, value, name[row.name]))

        def require(holds, text, what):
            if not holds:
                raise ConfigError(f"TrainingConfig: {text} {what}")

        n = name
        require(
            (self.validation_inputs is None) == (self.validation_targets is None),
            f"expected {n['validation_inputs']} and {n['validation_targets']} "
            "together, got one of them.",
            "Give both or none.",
        )
        require(
            self.momentum > 0 or not self.nesterov,
            f"{n['nesterov']} needs {n['momentum']} above 0, got {self.momentum}.",
            f"Set {n['momentum']}, e.g. 0.9.",
        )
        require(
            self.optimizer == "sgd" or not self.momentum,
            f"{n['momentum']} belongs to sgd, but {n['optimizer']} is "
            f"{self.optimizer!r}.",
            f"Leave it out; {n['beta1']} is its counterpart.",
        )
        for key in ("checkpoint_every_steps", "checkpoint_every_seconds", "resume"):
            require(
                self.checkpoint_path or not getattr(self, key),
                f"{n[key]} needs {n['checkpoint_path']}, got none.",
                "Set the file to write.",
            )


def _checked(row, value: Any, name: str) -> Any:
    """A setting in its type, or ConfigError."""
    rule = row.metadata
    kind, low, high, above = rule["kind"], rule["low"], rule["high"], rule["above"]
    if kind is np.ndarray:
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if kind is float and type(value) is int and abs(value) <= _GREATEST:
        value = float(value)
    if kind is int and type(value) is float and value.is_integer():
        value = int(value)
    if kind is str and hasattr(value, "__fspath__"):
        value = value.__fspath__()
    good = type(value) is kind
    if good and kind in (int, float):
        good = (
            (kind is float or high is not None or value <= _GREATEST)
            and isfinite(value)
            and (low is None or value >= low)
            and (high is None or value <= high)
            and (above is None or value > above)
        )
    if not good:
        word = {
            int: "a whole number",
            float: "a number",
            bool: "true or false",
            str: "text",
        }[kind]
        if high is not None:
            word += f" from {low} to {high}"
        elif low is not None:
            word += f" from {low}"
        elif above is not None:
            word += f" above {above}"
        raise ConfigError(
            f"TrainingConfig: expected {name} as {word}, got {value!r:.60}. "
            f"Leave it out for the default, {row.default!r}."
        )
    if rule["choices"] and value not in rule["choices"]:
        raise ConfigError(f"TrainingConfig: {known(value, rule['choices'], name)}")
    return value
