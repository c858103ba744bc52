"""Training steps on a device: one submission each; losses are read when asked for."""

import weakref
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from loom.errors import TrainingError
from loom.gpu.kernels.optimize import (
    FAILED_GRADIENT,
    FIRST_SCALE,
    RING,
    Control,
    Rule,
    slots_of,
    step_block,
)
from loom.gpu.store import DeviceLost

Array = np.ndarray
PARTS = ("forward", "loss", "backward", "clip", "update")
UNREAD = 256  # steps after which losses are read although nobody asked


@dataclass
class Entry:
    """A step whose loss may still be on the device.

    Attributes:
        slot: its place in the ring of losses.
        rows: samples of the batch.
        place: (batch, step, samples) of the trainer and step of the network before it.
        loss, average: of the batch, and of the epoch so far; None until read.
    """

    slot: int
    rows: int
    place: tuple
    loss: float | None = None
    average: float | None = None


class DeviceEngine:
    """Steps of a Trainer on the network's session; see training.engine for the host's.

    The optimizer's arrays live on the device from `begin` to `finish`; `sync` brings
    them and the weights back. A device that is lost is opened again with what the last
    sync brought, and training goes on.
    """

    def __init__(self, trainer):
        # The trainer owns this; a cycle would keep the network after it is dropped.
        self.trainer, self.config = weakref.proxy(trainer), trainer.config
        self.rule = Rule.of(trainer.config)
        self.session = trainer.net.session()
        self.pending: list[Entry] = []
        self._slot = 0
        self._failure: TrainingError | None = None  # found when the device was left
        self._synced = self._sync_seconds = 0.0

    # What the trainer calls --------------------------------------------------------

    def begin(self) -> None:
        """Send the optimizer's state; from now on the device's is the valid one."""
        try:
            self._take()
        except DeviceLost:
            self._recover()

    def leave(self) -> None:
        """Bring everything back: another run takes the device, or it is released.

        The next step takes it again, or raises what this found.
        """
        try:
            self.trainer.settle()
        except TrainingError as error:
            self._failure = error.with_traceback(None)
        self.sync()

    def _take(self) -> None:
        error, self._failure = self._failure, None
        if error is not None:
            raise error
        other = self.session.trained_by
        if other not in (None, self):
            other.leave()
        self._send()

    def _send(self) -> None:
        self.session.follow()
        trainer, optimizer = self.trainer, self.trainer.optimizer
        halves = self.session.stored == "f16"
        scale = (trainer.loss_scale or FIRST_SCALE) if halves else 1.0
        control = Control(
            done=optimizer.steps,
            loss_scale=scale,
            next_scale=scale,
            good=trainer.loss_scale_age,
        )
        self.session.write_control(control)
        for key, arrays in optimizer.state.items():
            slots = dict(zip(slots_of(self.config), arrays, strict=True))
            self.session.send_slots(key, slots)
        self.session.trained_by = self
        self._synced = perf_counter()

    def _recover(self) -> None:
        """Go on from the last synchronisation; losses that were not read are lost."""
        self.session.recover()
        self.pending.clear()
        self._send()

    def forward(self, x: Array) -> Array:
        """Outputs in evaluation mode."""
        return self.session.forward(x)

    def step(self, x: Array, t: Array, rate: float) -> Entry:
        """Forward, loss, backward, clip and update in one submission."""
        trainer, net = self.trainer, self.trainer.net
        net.check_values(x)
        place = trainer.batch, trainer.step, trainer.samples, net.step
        entry = Entry(self._slot, len(x), place)
        with self.session.device.lock:  # from the first write to the last
            try:
                if self.session.trained_by is not self:
                    self._take()
                self._run(x, t, rate)
            except DeviceLost:
                self._recover()
                self._run(x, t, rate)
        self._slot = (self._slot + 1) % RING
        net.step += 1
        self.pending.append(entry)
        if len(self.pending) >= UNREAD:
            trainer.settle()
        return entry

    def settle(self) -> list[Entry]:
        """The steps whose losses are known now, in order.

        Raises TrainingError, with the trainer back where it stood before the batch that
        failed; the device left the weights as they were then.
        """
        if self.session.trained_by is not self:
            self.pending.clear()  # lost with the device
        if not self.pending:
            return []
        try:
            control = self.session.read_control()
        except DeviceLost:
            self._recover()
            return []
        entries, self.pending = self.pending, []
        self._keep_scale(control)
        for number, entry in enumerate(entries):
            if control.status and entry.slot == control.failed:
                self.pending = []
                self._failed(entry, control, entries[:number])
            entry.loss = float(control.losses[entry.slot])
        now = perf_counter()
        if now - self._synced > max(1.0, 20 * self._sync_seconds):
            self.sync()
        return entries

    def sync(self) -> None:
        """Bring weights and the optimizer's state back to Python."""
        if self.session.trained_by is not self:
            return  # `leave` has done it, or they were lost with the device
        start = perf_counter()
        session, optimizer = self.session, self.trainer.optimizer
        try:
            session.mirror.pull()
            if session.trained_by is not self:
                return  # lost with the device
            control = session.read_control()
            for number, name in enumerate(slots_of(self.config)):
                values = session.slots(name)
                for key, arrays in optimizer.state.items():
                    np.copyto(arrays[number], values[key])
        except DeviceLost:
            self._recover()
            return
        optimizer.steps = control.done
        self._keep_scale(control)
        self._synced = perf_counter()
        self._sync_seconds = self._synced - start

    # Inside ------------------------------------------------------------------------

    def _keep_scale(self, control: Control) -> None:
        if self.session.stored == "f16":
            self.trainer.loss_scale = control.next_scale
            self.trainer.loss_scale_age = control.good

    def _run(self, x: Array, t: Array, rate: float) -> None:
        program = self.session.program(len(x), "train", **self._options(t))
        program.write("x", x)
        program.write("t", t)
        program.write_step(self._block(rate))
        self.session.mirror.push()
        program.run(PARTS)
        self.session.mirror.ran()

    def _options(self, t: Array) -> dict:
        """What a training program depends on beside the batch and the network."""
        classes = t.dtype.kind == "i"
        row = self.trainer.loss_row
        return {"loss_row": row, "classes": classes, "config": self.rule}

    def _block(self, rate: float, first_row: int = 0, share: float = 1.0) -> bytes:
        net = self.trainer.net
        return step_block(net.seed, net.step, rate, self._slot, first_row, share)

    def _failed(self, entry: Entry, control: Control, before: list[Entry]) -> None:
        """Raise what the CPU says about the batch, from the same weights."""
        trainer = self.trainer
        for row in before:
            row.loss = float(control.losses[row.slot])
        trainer.settled(before)
        trainer.batch, trainer.step, trainer.samples, trainer.net.step = entry.place
        self.sync()
        trainer.explain()
        what = "the loss is not finite"
        if control.status == FAILED_GRADIENT:
            what = "a gradient is not finite"
        raise TrainingError(trainer.not_finite(what))
