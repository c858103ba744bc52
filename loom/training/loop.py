"""The training loop: a Trainer that runs batch by batch, and `train` that drives it."""

from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np

from loom.errors import ConfigError, InputError, TrainingError
from loom.evaluation import CHUNK, evaluate, expected_of, samples_of
from loom.files import check_writable
from loom.training import checkpoints
from loom.training.batches import Batches, targets_of
from loom.training.config import TrainingConfig
from loom.training.events import LaterEvent, TrainingEvent, TrainingResult
from loom.training.losses import loss
from loom.training.optimizers import BY_NAME as OPTIMIZERS
from loom.training.optimizers import global_norm
from loom.training.schedules import learning_rate

Array = np.ndarray


def train(
    net,
    batches: Any,
    config: TrainingConfig | Mapping | None = None,
    callback: Callable[[TrainingEvent], Any] | None = None,
) -> TrainingResult:
    """Train `net` on `batches`; see `Trainer`.

    `callback(event)` is called with each event; returning False stops the training.
    """
    if callback is not None and not callable(callback):
        raise ConfigError(
            "train: expected a function of an event as the callback, got "
            f"{type(callback).__name__}. Give one, or leave it out."
        )
    trainer = Trainer(net, batches, config)
    try:
        for event in trainer.run():
            if callback is not None and callback(event) is False:
                trainer.stop()
    finally:
        # Whatever the callback raises, no array is left old, or locked.
        if session := net.open_session():
            session.mirror.pull()
    return trainer.result


class Trainer:
    """A training run that advances one batch at a time.

        trainer = Trainer(net, [(x, t), ...], TrainingConfig(epochs=5))
        for event in trainer.run():
            ...                        # trainer.stop() ends it after this event
        trainer.result

    `batches` is an iterable of (inputs, targets) pairs or of {Input, Target} mappings,
    or one pair of arrays (N, ...), which batch_size cuts. Targets have the shape of the
    outputs, or are flat with as many values; for the cross entropies they may be class
    indices, one whole number for each row of outputs. Everything is checked here, once.

    All state is in the Trainer: after `stop`, `run` goes on from where it stood.

    Raises: ConfigError, ShapeError, InputError for settings and data; TrainingError
        when the loss or a gradient is not finite (the weights stay as they were before
        that batch); ConfigError from `run` when a layer was replaced; FormatError for
        a checkpoint that does not fit.
    """

    def __init__(
        self, net, batches: Any, config: TrainingConfig | Mapping | None = None
    ):
        if config is None:
            config = TrainingConfig()
        elif not isinstance(config, TrainingConfig):
            config = TrainingConfig.from_wire(config)
        self.net, self.config = net, config
        self.loss_row = self._loss = loss(config.loss_type)
        self.batches = Batches(net, batches, self._loss, config.batch_size)
        self._validation = self._prepare_validation()
        self.optimizer = OPTIMIZERS[config.optimizer](net, config)
        self.seed = net.seed if config.seed is None else config.seed
        self.epoch = self.batch = self.step = 0  # what is done, counted from 0
        self.result = TrainingResult()
        self.loss_sum, self.loss_rows = 0.0, 0  # of the epoch so far
        self.seconds = self.training_seconds = 0.0
        self.samples = 0
        # On a GPU in halves: the factor of the loss (0: none yet), updates since then.
        self.loss_scale, self.loss_scale_age = 0.0, 0
        self._rate = learning_rate(config, 0, len(self.batches))
        self._stop = False
        self._arrays = [(layer, layer.parameters) for layer in net.layers]
        self._device, self._forward = None, net.forward
        if config.use_gpu:
            self._open_device()
        self._mark = perf_counter()
        if config.checkpoint_path:
            check_writable(config.checkpoint_path)
            self._fingerprint = checkpoints.fingerprint(self)
            if config.resume:
                checkpoints.resume(self)
        self._checkpoint_seconds = self.seconds

    def _open_device(self) -> None:
        self._device = self.net.session().engine(self)
        self._forward = self._device.forward

    def stop(self) -> None:
        """End the run after the batch that is being trained."""
        self._stop = True

    def run(self) -> Iterator[TrainingEvent]:
        """Train; yields an event after each batch, epoch and checkpoint.

        One `next` runs at most one batch (or one part of the validation data). The time
        between two of them is not the training's. A `stop` counts from the call on.
        """
        self._stop = self.result.stopped = False
        return self.go_on()

    def go_on(self) -> Iterator[TrainingEvent]:
        """As run, of a run that was interrupted: a `stop` in between counts."""
        for event in self._run():
            yield event
            self._mark = perf_counter()

    def _run(self) -> Iterator[TrainingEvent]:
        self._mark = perf_counter()
        if self._device:
            if self._device.session is not self.net.session():  # it was released since
                self._open_device()
            self._device.begin()
        config, total = self.config, len(self.batches)
        while self.epoch < config.epochs and not self._stop:
            order = self._order()
            while self.batch < total and not self._stop:
                yield self._train_batch(order)
                if self._checkpoint_due():
                    yield self._write_checkpoint()
            self.settle()
            if self.batch == total:
                self.result.loss_history.append(self._mean())
                if self._validation_due():
                    yield from self._validate()
                yield self._end_epoch()
        self.result.stopped = self.epoch < config.epochs
        if self._device:
            self._device.sync()
        if config.checkpoint_path:
            yield self._write_checkpoint()
        yield self._event("stopped" if self.result.stopped else "done")

    @property
    def engine(self):
        """What runs the steps on a GPU, or None."""
        return self._device

    def waited(self, seconds: float, training: float) -> None:
        """Count time that was spent for the run between two of its steps."""
        self.seconds += seconds
        self.training_seconds += training

    def upcoming(self) -> tuple[str, Any]:
        """What `run` does next, for engines that must fetch it beforehand.

        ("batch", (rows, targets)), ("checkpoint", None), ("stop", None), ("done", None)
        or, at the end of an epoch, ("epoch", validation inputs or None); "last" where
        that epoch is the last.
        """
        self._check_layers()
        if self.epoch >= self.config.epochs:
            return "done", None
        if self.batch and self._checkpoint_due():
            return "checkpoint", None
        if self.batch < len(self.batches):
            if self._stop:
                return "stop", None
            order = None if self.batches.cuts else self._order()
            x, t = self.batches.batch(self.batch, order)
            return "batch", (len(x), t)
        inputs = self._validation[0] if self._validation_due() else None
        last = self._stop or self.epoch + 1 == self.config.epochs
        return ("last" if last else "epoch"), inputs

    # One batch -------------------------------------------------------------------

    def _order(self) -> Array | None:
        if not self.config.shuffle:
            return None
        return self.batches.order(self.seed, self.epoch)

    def _train_batch(self, order: Array | None) -> TrainingEvent:
        start = perf_counter()
        self._check_layers()
        x, t = self.batches.batch(self.batch, order)
        self._rate = learning_rate(self.config, self.step, len(self.batches))
        if self._device:
            entry, value = self._device.step(x, t, self._rate), None
        else:
            entry, value = None, self._host_step(x, t)
            self.loss_sum += value * len(x)
            self.loss_rows += len(x)
        self.batch += 1
        self.step += 1
        self.samples += len(x)
        self.training_seconds += perf_counter() - start
        event = self._event("batch", value)
        if entry:
            event = LaterEvent(event, lambda: self._losses_of(entry))
        every = self.config.print_every_batch
        if every and self.config.verbose and self.batch % every == 0:
            print(
                f"epoch {event.epoch}/{event.epochs}  batch {event.batch}/"
                f"{event.batches}  loss {event.loss:.4g}"
            )
        return event

    def _check_layers(self) -> None:
        """ConfigError where the optimizer's arrays are no more the network's."""
        for index, (layer, parameters) in enumerate(self._arrays):
            now = self.net.layers[index]
            if now is not layer or now.parameters is not parameters:
                raise ConfigError(
                    f"{self.net.where(index)} was replaced during the training. Change "
                    "values in place, e.g. parameters['weight'][:] = ..., or begin "
                    "another run after it."
                )

    def _host_step(self, x: Array, t: Array) -> float:
        """Forward, loss, backward and update on the CPU; the loss."""
        net = self.net
        # What overflows is found by the checks; NumPy need not warn as well.
        with np.errstate(over="ignore", invalid="ignore"):
            value, dy = self._checked_loss(net.forward(x, training=True), t)
            net.backward(dy, need_dx=False)
            try:
                self.optimizer.step(net.gradients(), self._rate)
            except TrainingError as error:
                raise self.not_finite(str(error)) from None
        return value

    def _checked_loss(self, y: Array, t: Array) -> tuple[float, Array]:
        try:
            value, dy = self._loss.function(y, t)
        except InputError as error:
            raise TrainingError(f"{self._where()}: {error}") from None
        if not isfinite(value):
            raise self.not_finite(f"the loss is {value}")
        return value, dy

    # On a GPU losses come later ----------------------------------------------------

    def settle(self) -> None:
        """Know every loss so far. Raises TrainingError if a step had failed."""
        if self._device:
            self.settled(self._device.settle())

    def settled(self, entries: list) -> None:
        """Count the losses of steps on the device."""
        for entry in entries:
            self.loss_sum += entry.loss * entry.rows
            self.loss_rows += entry.rows
            entry.average = self.loss_sum / self.loss_rows

    def explain(self) -> None:
        """Raise what the CPU finds wrong with the present batch, if it finds it too."""
        x, t = self.batches.batch(self.batch, self._order())
        with np.errstate(over="ignore", invalid="ignore"):
            _, dy = self._checked_loss(self.net.forward(x, training=True), t)
            self.net.backward(dy, need_dx=False)
            try:
                global_norm(self.net.gradients())
            except TrainingError as error:
                raise self.not_finite(str(error)) from None

    def _losses_of(self, entry) -> tuple[float, float]:
        if entry.loss is None:
            self.settle()
        nothing = float("nan")  # lost with the device
        if entry.loss is None:
            return nothing, nothing
        return entry.loss, entry.average

    def _mean(self) -> float:
        return self.loss_sum / self.loss_rows if self.loss_rows else float("nan")

    def _where(self) -> str:
        return f"epoch {self.epoch + 1}, batch {self.batch + 1} of {len(self.batches)}"

    def not_finite(self, what: str) -> TrainingError:
        """The error for a loss or gradient that is not finite."""
        clip = self.config.gradient_clip
        advice = f"Set learning_rate below {self._rate:g}"
        if not clip:
            advice += ", or gradient_clip=1.0"
        return TrainingError(
            f"{self._where()}: {what}. The weights are those before this batch. "
            f"{advice}."
        )

    # The end of an epoch ---------------------------------------------------------

    def _end_epoch(self) -> TrainingEvent:
        average = self._mean()
        result, history = self.result, self.result.validation_history
        evaluated = history and history[-1]["epoch"] == self.epoch + 1
        event = self._event("epoch", average, history[-1] if evaluated else None)
        self.epoch += 1
        self.batch = 0
        self.loss_sum, self.loss_rows = 0.0, 0
        known = isfinite(average)  # else lost with a device
        if known and (result.best_loss is None or average < result.best_loss):
            result.best_loss, result.best_epoch = average, self.epoch
        result.final_loss, result.epochs = average, self.epoch
        if self.config.verbose:
            print(_line(event))
        return event

    def _prepare_validation(self) -> tuple | None:
        config = self.config
        if config.validation_inputs is None or not config.evaluate_every_n:
            return None
        x = samples_of(self.net, config.validation_inputs, "validation_inputs")
        expected = self.net._array(config.validation_targets, "validation_targets")
        try:
            t = targets_of(self.net, len(x), expected, self._loss, "validation")
        except ValueError:
            # One class or value a sample is enough for all but the loss.
            if expected.size != len(x):
                raise
            t = None
        return x, t, expected

    def _validation_due(self) -> bool:
        done = self.epoch + 1
        return self._validation is not None and (
            done % self.config.evaluate_every_n == 0 or done == self.config.epochs
        )

    def _validate(self) -> Iterator[TrainingEvent]:
        x, t, expected = self._validation
        parts = -(-len(x) // CHUNK)
        outputs, total = [], 0.0
        columns, decided = expected_of((len(x), *self.net.shapes()[-1]), expected)
        for part in range(parts):
            rows = slice(part * CHUNK, (part + 1) * CHUNK)
            y, value = self._assess(x[rows], None if t is None else t[rows], columns)
            total += value * len(x[rows])
            outputs.append(y)
            if part + 1 < parts:
                event = self._event("validation")
                event.batch, event.batches = part + 1, parts
                yield event
        if y.ndim == 1:
            expected = decided
        metrics = evaluate(np.concatenate(outputs), expected)
        self.result.eval_metrics = metrics
        several = self.net.shapes()[-1][-1] > 1
        self.result.validation_history.append(
            {
                "epoch": self.epoch + 1,
                "loss": None if t is None else total / len(x),
                "score": metrics.score,
                "average_deviation": metrics.average_deviation,
                "failures": metrics.failures,
                "accuracy": metrics.accuracy if several else None,
            }
        )

    def _assess(self, x: Array, t: Array | None, columns: int) -> tuple[Array, float]:
        """Outputs, or of a GPU what it decides for each `columns` of them; the loss."""
        if self._device and not self._device.session.awaited:
            row = None if t is None else self._loss
            y, value = self._device.session.assess(x, columns, t, row)
            if t is None or value is not None:
                return y, value or 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            y = self._forward(x)
            return y, 0.0 if t is None else self._loss(y, t)[0]

    # Events and checkpoints ------------------------------------------------------

    def _event(self, kind, value=None, validation=None) -> TrainingEvent:
        now = perf_counter()
        self.seconds += now - self._mark
        self._mark = now
        total, busy = len(self.batches), self.training_seconds
        left = max(0, self.config.epochs * total - self.step)
        result = self.result
        result.steps = self.step
        result.total_time = int(self.seconds * 1e9)
        result.avg_throughput = self.samples / busy if busy else 0.0
        average = self.loss_sum / self.loss_rows if self.loss_rows else None
        if average is not None:
            result.final_loss = average
        return TrainingEvent(
            kind,
            min(self.epoch + 1, self.config.epochs),
            self.config.epochs,
            self.batch,
            total,
            self.step,
            value,
            result.final_loss if average is None else average,
            self._rate,
            result.avg_throughput,
            self.seconds,
            left * busy / self.step if self.step else 0.0,
            validation,
        )

    def _checkpoint_due(self) -> bool:
        config = self.config
        if not config.checkpoint_path:
            return False
        steps, seconds = config.checkpoint_every_steps, config.checkpoint_every_seconds
        return bool(
            (steps and self.step % steps == 0)
            or (seconds and self.seconds - self._checkpoint_seconds >= seconds)
        )

    def _write_checkpoint(self) -> TrainingEvent:
        self.settle()
        if self._device:
            self._device.sync()
        checkpoints.save(self, self.config.checkpoint_path)
        self._checkpoint_seconds = self.seconds
        return self._event("checkpoint")


def _line(event: TrainingEvent) -> str:
    """A line of progress: epoch 3/20  loss 0.1234  12,345 samples/s  eta 4 s."""
    text = f"epoch {event.epoch}/{event.epochs}  loss {event.loss:.4g}  "
    row = event.validation
    if row:
        if row["loss"] is not None:
            text += f"validation loss {row['loss']:.4g}  "
        text += f"score {row['score']:.2f}  "
        if row["accuracy"] is not None:
            text += f"accuracy {row['accuracy']:.2%}  "
    speed, eta = event.samples_per_second, event.eta_seconds
    return f"{text}{speed:,.0f} samples/s  eta {eta:.0f} s"
