"""One training step on arrays: forward, loss, backward, update."""

import json
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from loom.errors import ConfigError, InputError, TrainingError, known

Array = np.ndarray

# The settings of TrainingConfig that a single step has.
SETTINGS = (
    "LossType",
    "LearningRate",
    "Optimizer",
    "Momentum",
    "Nesterov",
    "WeightDecay",
    "Beta1",
    "Beta2",
    "Epsilon",
    "GradientClip",
)


class Step:
    """Training steps of one network.

    The optimizer and its state live on while the settings and the layers stay; other
    settings, or a layer that was replaced, begin anew.
    """

    def __init__(self, net):
        self.net = net
        self._text: str | None = None
        self._layers: list[Any] = []

    def __call__(self, x: Array, targets: Array, text: str) -> float:
        """Train on one batch; the loss before the update.

        Shapes: x (B, input size), targets (B, outputs) or, for the cross entropies,
        (B,) class indices. `text` is a JSON object of SETTINGS, or empty for mse and
        plain gradient descent with rate 0.01. Raises TrainingError when the loss or a
        gradient is not finite: the weights are then as before.
        """
        from loom.training.batches import targets_of

        net = self.net
        self._configure(text)
        if net.on_gpu:
            return self._on_gpu(x, targets)
        x = net._samples(x, "train_step")
        t = targets_of(net, len(x), targets, self._loss, "train_step")
        with np.errstate(over="ignore", invalid="ignore"):
            y = net.forward(x, training=True)
            try:
                value, dy = self._loss.function(y, t)
            except InputError as error:
                raise TrainingError(f"train_step: {error}") from None
            if not isfinite(value):
                raise self._not_finite(f"the loss is {value}")
            net.backward(dy, need_dx=False)
            try:
                self._optimizer.step(net.gradients(), self._config.learning_rate)
            except TrainingError as error:
                raise self._not_finite(str(error)) from None
        return value

    def _on_gpu(self, x: Array, targets: Array) -> float:
        """A run of one batch, with this optimizer's state before and after it."""
        from loom.training import Trainer

        config = replace(self._config, use_gpu=True, epochs=1, shuffle=False)
        trainer = Trainer(self.net, [(x, targets)], config)
        trainer.optimizer = self._optimizer
        for _ in trainer.run():
            pass
        return trainer.result.final_loss

    def _configure(self, text: str) -> None:
        layers = self.net.layers
        same = len(layers) == len(self._layers) and all(
            a is b for a, b in zip(layers, self._layers, strict=True)
        )
        if text == self._text and same:
            return
        from loom.training import TrainingConfig, loss
        from loom.training.optimizers import BY_NAME

        config = TrainingConfig.from_wire(_settings(text))
        self._loss = loss(config.loss_type)
        self._optimizer = BY_NAME[config.optimizer](self.net, config)
        self._config, self._text, self._layers = config, text, list(layers)

    def _not_finite(self, what: str) -> TrainingError:
        return TrainingError(
            f"train_step: {what}. The weights are those before this step. Set "
            f"LearningRate below {self._config.learning_rate:g}, or GradientClip to 1."
        )


def _settings(text: str) -> Mapping[str, Any]:
    try:
        values = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"train_step: expected the settings as a JSON object: {error}."
        ) from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"train_step: expected the settings as a JSON object, got {text:.40}."
        )
    for name in values:
        if name not in SETTINGS:
            raise ConfigError(f"train_step: {known(name, SETTINGS, 'setting')}")
    return values
