"""A network on a page's GPU: the session and the training that await what they read.

Nothing here depends on JSPI. The trainer's own generator runs the steps; between two of
them `events` awaits what the next one will read, so that it finds it there.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterator
from time import perf_counter
from typing import Any

import numpy as np

from loom.errors import ConfigError, DeviceError, LoomError
from loom.evaluation import CHUNK
from loom.gpu import browser, check_options, packed
from loom.gpu.array import GPUArray
from loom.gpu.kernels.optimize import RING, Control, slots_of, step_block
from loom.gpu.lower import lower
from loom.gpu.program import Limits
from loom.gpu.session import CONTROL_BYTES, Session, split
from loom.gpu.store import DeviceLost
from loom.gpu.training import PARTS, UNREAD, DeviceEngine, Entry
from loom.layers.base import Layer
from loom.layers.dense import Dense
from loom.network import Network

Array = np.ndarray
LOSSES = 3  # of the device in a row after which training gives up
LOOK = 0.25  # seconds of a long epoch after which losses are read


class AsyncSession(Session):
    """`net` on the page's GPU; what reads is a coroutine.

    Attributes:
        training: a Trainer runs here; Python's arrays are those of its last sync.
        held: a Trainer's events are read: the GPU and the layers must stay.
        notice: what the user should know: that a lost device was opened again.
        known: the control words as fetched, until another step runs.
    """

    awaited = True

    def __init__(self, net, device: browser.Device, precision: str = "f32"):
        self.training = self.held = False
        self._kept_gradients: browser.Kept | None = None
        self.notice = ""
        self.known: Control | None = None
        super().__init__(net, device, precision)

    def _open(self) -> browser.Device:
        return self.adapter

    def _report(self) -> dict[str, Any]:
        limits, info = self.device.limits, self.device.info
        return {
            "device": info["device"],
            "vendor": info["vendor"],
            "architecture": info["architecture"],
            "type": "software" if limits.software else "GPU",
            "backend": "WebGPU",
            "f16": limits.f16,
            "subgroups": limits.subgroups,
            "max_binding": limits.binding,
            "live_bytes": self.device.live_bytes,
            "notice": self.notice,
        }

    async def array(self, values: Array) -> GPUArray:
        """Values on the device, for passes of any session there."""
        if self.device.lost and not self.training:
            await self.recover()
        made = GPUArray(self.device, values, self.stored)
        try:
            await self.device.ask("made")
        except DeviceError:
            made.free()
            raise
        return made

    async def forward(self, x: Array | GPUArray) -> Array:
        """Outputs in evaluation mode; x (B, *input_shape), checked by the network."""
        self.net.check_values(x)
        try:
            return await self.run_forward(x)
        except DeviceLost:
            if self.training:
                raise
        await self.recover()
        try:
            return await self.run_forward(x)
        except DeviceLost as error:
            raise DeviceError(
                f"forward_gpu: {error}, and so was the one that was opened instead. "
                "Use the CPU: forward_cpu."
            ) from None

    async def run_forward(self, x: Array | GPUArray) -> Array:
        """As forward; DeviceLost when the device is gone."""
        program = await self.load(len(x), self._mode)
        program.write("x", x)
        self._push()
        self._last, self.rows = program, len(x)
        return (await program.outputs(["forward"], ("y",)))[0]

    def repeatable(self, rows: int) -> browser.Executable | None:
        """The program of the last forward pass, where it may be run for any finite x.

        None where x must be looked at first, or weights may be sent before the next.
        """
        found = self._programs.get((rows, self._mode))
        if found is None or not self._at_rest():
            return None
        types = {found.program.inputs["x"].dtype, found.program.outputs["y"].dtype}
        any_x = type(self.net.first()).check_values is Layer.check_values
        return found if any_x and types == {"f32"} else None

    def stands(self, executable: int, rows: int, finite: bool) -> bool:
        """Whether a pass made without `forward`, of `rows` (0: x is flat), is right.

        Then it is the last forward pass; if not, there is none.
        """
        self._last, flat = None, rows == 0
        key = rows or self.net.batch_size, self._mode
        found = self._programs.get(key)
        if found is None or found.handle != executable or not finite:
            return False
        if not self._at_rest():
            return False
        self._programs.move_to_end(key)
        self._last, self.rows, self.net._flat = found, key[0], flat
        return True

    def _at_rest(self) -> bool:
        try:
            same = self._same()
        except LoomError:  # the next pass tells what is wrong with the network
            return False
        return same and (self.training or self.mirror.at_rest())

    async def backward(self, dy: Array | GPUArray) -> Array:
        """dL/dx of the last forward pass; brings every gradient."""
        try:
            if self._last is not None:
                return await self._run_backward(dy)
        except DeviceLost:
            pass
        raise DeviceError(
            "backward_gpu: what forward_gpu kept is gone with the GPU, or the network "
            "was changed. Run forward_gpu again."
        )

    async def _run_backward(self, dy: Array) -> Array:
        last, parts = self._last, ["backward"]
        if last.program.info["mode"] == "forward":
            self._mode = "gradients"
            program = await self.load(len(dy), self._mode)
            program.take("x", last)
            self._last, last, parts = program, program, ["forward", "backward"]
        last.write("dy", dy)
        self._push()
        self._forget()
        buffers = self._gradient_buffers()
        (dx,), kept = await last.outputs_and_more(parts, ("dx",), buffers)
        self.keep(kept)
        return dx

    def keep(self, gradients: browser.Kept) -> None:
        """Take the gradients of the last backward pass."""
        self._forget()
        self._kept_gradients, self.has_gradients = gradients, True

    def repeatable_back(self) -> tuple | None:
        """(program, gradients' buffers) of a backward pass for any finite dy, or None.

        None where the last forward pass kept nothing, or weights may be sent before.
        """
        last = self._last
        if last is None or self.device.lost or self.training or not self._at_rest():
            return None
        types = [last.program.inputs.get("dy"), last.program.outputs.get("dx")]
        if any(t is None or t.dtype != "f32" for t in types):
            return None
        return last, self._gradient_buffers()

    def made_back(self, executable: int, kept: Any) -> bool:
        """Keep the gradients of a pass that JavaScript made; False where it is over."""
        if all(row.handle != executable for row in self._programs.values()):
            return False
        self.keep(browser.Kept(kept, self._gradient_buffers()))
        return True

    def gradients(self) -> list[dict[str, Array]]:
        """dL/dw of the last backward pass, layer by layer."""
        if self.device.lost:
            raise DeviceError(
                "gradients: what backward_gpu kept is gone with the GPU. Run "
                "forward_gpu and backward_gpu again."
            )
        found = iter(self._kept_gradients.read())
        arenas = {
            number: packed.joined("gradient", [next(found) for _ in row], self.stored)
            for number, row in self._arenas("gradient", self.layout.weights).items()
        }
        out: list[dict[str, Array]] = [{} for _ in self.net.layers]
        for (index, name), value in split(arenas, self.layout.weights).items():
            out[index][name] = value.copy()
        return out

    def _gradient_buffers(self) -> list[browser.Handle]:
        arenas = self._arenas("gradient", self.layout.weights)
        return [buffer for row in arenas.values() for buffer in row]

    def _arenas(self, role: str, places: dict) -> dict[int, list]:
        """The buffers of each arena of a role."""
        numbers = sorted({place.arena for place in places.values()})
        return {number: self._parts(role, number) for number in numbers}

    def _forget(self) -> None:
        if self._kept_gradients:
            self._kept_gradients.close()
        self._kept_gradients, self.has_gradients = None, False

    def _drop(self) -> None:
        self._forget()
        super()._drop()

    async def load(self, rows: int, mode: str, **training) -> browser.Executable:
        """The loaded program for batches of `rows`, made where it is not there."""
        while (found := self._kept(rows, mode, **training)) is None:
            program, store = self._lower(rows, mode, **training), self.store
            try:
                self.device.compile(program)
                self._push()  # while it is compiled
                made = await self.device.load(program, store)
            except DeviceError:
                if self.store is store and not self._closed:
                    self._begin_again()
                    raise
                continue  # the buffers that it was made for have gone meanwhile
            # Another call may have made it too, or the network was changed.
            if self._kept(rows, mode, **training) or self.store is not store:
                made.close()
            else:
                self._keep(made, rows, mode, **training)
        return found

    def _begin_again(self) -> None:
        """Some of the buffers may not be there: all are made anew by the next call."""
        if not self.held:
            self._drop()
            self._new_store()
            self.mirror.resend()
            self._last = None

    def follow(self) -> None:
        """As Session's; DeviceError where the network has left this session."""
        if self._closed:
            raise DeviceError(
                "the GPU was released while a call waited for it: by release_gpu, or "
                "by init_gpu. Call again."
            )
        super().follow()

    def close(self) -> None:
        """Free everything. Raises ConfigError in training."""
        if self.held:
            raise ConfigError(
                "release_gpu, init_gpu: this network is being trained there. Wait, or "
                "stop the training first."
            )
        super().close()

    async def fetch(self, role: str, places: dict) -> dict[tuple[int, str], Array]:
        """Arrays of a role as they are on the device, one read an arena."""
        arenas = {}
        for number, buffers in self._arenas(role, places).items():
            read = [await self.device.read(b, 0, b.size) for b in buffers]
            arenas[number] = packed.joined(role, read, self.stored)
        return split(arenas, places)

    async def fetch_control(self) -> Control:
        """The control words, after all steps so far; `read_control` gives them too."""
        data = await self.device.read(self._control(), 0, CONTROL_BYTES)
        self.known = Control.from_bytes(data.tobytes())
        return self.known

    def read_control(self) -> Control:
        """The control words that were fetched last."""
        return self.known

    async def recover(self) -> None:
        """Open a new device and begin with the last values that Python has."""
        device = await browser.opened()
        if self.device is device:  # another call has done it
            return
        self.notice = (
            f"The GPU {self.device.info['device']} was lost. It was opened again with "
            "the weights of the last synchronisation; later steps are lost."
        )
        self._forget()
        self._programs.clear()
        self.store.buffers.clear()
        self.mirror.resend()
        self.device = self.adapter = device
        self._new_store()
        self._last = None

    def engine(self, trainer) -> "AsyncEngine":
        """What runs a Trainer's steps on this session."""
        return AsyncEngine(trainer)

    def _push(self) -> None:
        if not self.training:
            self.mirror.push()


class AsyncEngine(DeviceEngine):
    """Steps of a Trainer in a page; `prepare` awaits what the next step will read."""

    def __init__(self, trainer):
        super().__init__(trainer)
        self._ready: dict[str, dict] | None = None  # arrays, fetched and not yet taken
        self._outputs: deque[Array] = deque()
        self._program: Any = None  # of the next step
        self._looked = perf_counter()

    def begin(self) -> None:
        """Send weights and optimizer state; from now on the device's are valid."""
        self._send()
        self.session.mirror.push()
        self.session.training = True
        self._ready = self.session.known = None  # what was fetched before is not ours

    def forward(self, x: Array) -> Array:
        """Outputs in evaluation mode, which `prepare` has fetched."""
        return self._outputs.popleft()

    def step(self, x: Array, t: Array, rate: float) -> Entry:
        """Forward, loss, backward, clip and update in one submission."""
        trainer, net = self.trainer, self.trainer.net
        net.check_values(x)
        place = trainer.batch, trainer.step, trainer.samples, net.step
        program = self._program
        block = step_block(net.seed, net.step, rate, self._slot)
        program.step(PARTS, block, x=x, t=t)
        entry = Entry(self._slot, len(x), place)
        self._slot = (self._slot + 1) % RING
        net.step += 1
        self.pending.append(entry)
        self._ready = self.session.known = None  # what was fetched is old
        return entry

    def settle(self) -> list[Entry]:
        """The steps whose losses are known now; none before they were fetched."""
        return super().settle() if self.session.known else []

    def sync(self) -> None:
        """Put the arrays that were fetched into Python's."""
        ready, self._ready = self._ready, None
        if ready is None:
            return
        self.session.mirror.put(ready["values"])
        optimizer = self.trainer.optimizer
        for number, name in enumerate(slots_of(self.config)):
            for key, arrays in optimizer.state.items():
                np.copyto(arrays[number], ready[name][key])
        optimizer.steps = ready["control"].done
        self._keep_scale(ready["control"])
        self._synced = perf_counter()

    # What is awaited -----------------------------------------------------------------

    async def prepare(self) -> None:
        """Fetch or load what the trainer's next step needs; its time counts."""
        start = perf_counter()
        judged = await self._prepare()
        waited = perf_counter() - start
        self.trainer.waited(waited, waited - judged)

    async def _prepare(self) -> float:
        """Seconds that validation took of it."""
        what, data = self.trainer.upcoming()
        if what == "batch":
            rows, t = data
            kind = self._training(t)
            self._program = await self.session.load(rows, "train", **kind)
            await self.session.device.room()
            if len(self.pending) >= UNREAD or perf_counter() - self._looked > LOOK:
                await self._fetch(self._stale())
                self.trainer.settle()
        elif what != "done" and not self._outputs:
            await self._fetch(what != "epoch" or self._stale())
            if data is not None:
                start = perf_counter()
                await self._validate(data)
                return perf_counter() - start
        return 0.0

    def _stale(self) -> bool:
        spent = max(2 * LOOK, 20 * self._sync_seconds)
        return perf_counter() - self._synced > spent

    async def _fetch(self, arrays: bool) -> None:
        session, layout = self.session, self.session.layout
        control = await session.fetch_control()
        if arrays or control.status:
            start = perf_counter()
            weights = await session.fetch("weight", layout.weights)
            states = await session.fetch("state", layout.states)
            ready = {"control": control, "values": weights | states}
            for name in slots_of(self.config):
                ready[name] = await session.fetch(f"slot.{name}", layout.weights)
            self._ready = ready
            self._sync_seconds = perf_counter() - start
        self._looked = perf_counter()

    async def _validate(self, x: Array) -> None:
        for at in range(0, len(x), CHUNK):
            self._outputs.append(await self.session.run_forward(x[at : at + CHUNK]))

    def _training(self, t: Array) -> dict[str, Any]:
        row = self.trainer.loss_row
        return {"loss_row": row, "classes": t.dtype.kind == "i", "config": self.rule}


async def opened(precision: str = "f32", devices: str = "one") -> browser.Device:
    """The page's GPU. Raises DeviceError that says why there is none."""
    check_options(precision, devices)
    return await browser.opened(_rehearse)


def _rehearse() -> None:
    # What lowers a network runs cold, at a third of its speed, the first time: that is
    # over before anyone waits for a first pass.
    net = Network.stack(Dense(4, 4), seed=1)
    program = lower(net, 1, "forward", limits=Limits(software=True))
    program.to_dict()
    for row in program.pipelines:
        row.source()


async def events(trainer, run: Iterator) -> AsyncIterator:
    """The events of a Trainer's run on the page's GPU.

    A device that is lost is opened again with what the last sync brought, and training
    goes on; the session's `notice` says so.

    Raises: DeviceError when it is lost again and again before a step is done.
    """
    engine, losses = trainer.engine, 0
    session = engine.session
    if session.held:
        raise ConfigError("train: this network is being trained. Wait, or stop that.")
    session.held = True
    try:
        while True:
            try:
                await engine.prepare()
                event = next(run, None)
            except DeviceLost as error:
                losses += 1
                if losses > LOSSES:
                    raise DeviceError(
                        f"train: {error}: {losses} times with no step in between. "
                        "The weights are those of the last synchronisation. Train on "
                        "the CPU."
                    ) from None
                engine.pending.clear()
                await session.recover()
                run = trainer.go_on()
                continue
            if event is None:
                return
            losses = 0
            yield event
    finally:
        session.training = session.held = False
