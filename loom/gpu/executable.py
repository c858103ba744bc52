"""A program on a device: its buffers, bind groups and recordings. It knows no layer.

What makes a small run fast, beside its kernels:

- What is submitted was recorded while the device computed the run before.
- Where shaders can use memory that the host maps, a small input is written where it is
  read, and a small output read where it was written: nothing is copied. The input has
  two such buffers, by turns: while the device reads one, the host gets the other back.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import wgpu

from loom.errors import DeviceError
from loom.gpu import calls
from loom.gpu.array import GPUArray
from loom.gpu.program import PERSISTENT, Program, Tensor
from loom.gpu.store import Store

DTYPES = {"f32": np.float32, "f16": np.float16, "u32": np.uint32}
SMALL_INPUT, SMALL_OUTPUT = 1 << 18, 1 << 16  # bytes up to which memory is shared
_USAGE = wgpu.BufferUsage
STORAGE = _USAGE.STORAGE | _USAGE.COPY_DST | _USAGE.COPY_SRC
STAGING = _USAGE.MAP_READ | _USAGE.COPY_DST
_UNIFORM = _USAGE.UNIFORM | _USAGE.COPY_DST


class Inlet:
    """A program's only input, in two buffers that host and device share by turns."""

    def __init__(self, sides: list[calls.Mapped]):
        self.sides, self.now, self.new = sides, 0, False

    @property
    def side(self) -> calls.Mapped:
        """The one that was written last."""
        return self.sides[self.now]

    def write(self, data: np.ndarray) -> None:
        """Set it."""
        if not self.side.asked:  # the device may still read it
            self.now = 1 - self.now
        self.side.view(spin=True)[: data.nbytes] = data.view(np.uint8)
        self.new = True

    def turn(self) -> int:
        """The side that the next run has, if it is as this one; on its way to the host.

        A run whose input was written is followed by one whose input will be.
        """
        if not self.new:
            return self.now
        self.new = False
        other = self.sides[1 - self.now]
        if not other.asked:
            other.ask()
        return 1 - self.now


class Outlet:
    """Outputs that are read together: (place, tensor) of each in a mapped buffer."""

    def __init__(self, mapped: calls.Mapped, copies: list[tuple], places: list[tuple]):
        self.mapped, self.copies, self.places = mapped, copies, places


class Executable:
    """A program on a device: write inputs, run passes, read outputs."""

    def __init__(self, device, program: Program, store: Store):
        self.device, self.program, self.store = device, program, store
        self._own: list = []
        self._buffers: dict[str, object] = {}
        self._inlet: Inlet | None = None
        self._direct: dict[str, calls.Mapped] = {}
        self._groups: dict[tuple, object] = {}
        self._outlets: dict[tuple[str, ...], Outlet] = {}
        self._recorded: dict[tuple, object] = {}
        self._known: set[tuple] = set()
        device.compile(program.pipelines)
        try:
            self._place()
        except (DeviceError, wgpu.GPUError):
            self.close()
            raise

    def _place(self) -> None:
        device, program = self.device, self.program
        slots = [self._new(n, label="shared") for n in program.slots]
        shared = self._shared()
        for row in program.buffers:
            extra = shared.get(row.name, 0)
            if row.role in PERSISTENT:
                made = self.store.get(row)
            elif row.role == "transient" and row.slot >= 0 and not extra:
                made = slots[row.slot]
            else:
                uniform = row.role in ("params", "step")
                usage = _UNIFORM if uniform else STORAGE | extra
                made = self._new(row.nbytes, usage, row.name)
                if row.data is not None:
                    device.write(made, 0, row.data)
            self._buffers[row.name] = made
        self._commands = [self._bind(0)]
        for name, t in program.outputs.items():
            if t.buffer.name in shared:
                made = self._buffers[t.buffer.name]
                self._direct[name] = calls.Mapped(device.raw, made, made.size)
        for t in program.inputs.values():
            if t.buffer.name in shared:
                first = self._buffers[t.buffer.name]
                second = self._new(first.size, first.usage, t.buffer.name)
                sides = [
                    calls.Mapped(device.raw, made, made.size, write=True)
                    for made in (first, second)
                ]
                self._buffers[t.buffer.name] = second
                self._commands.append(self._bind(1))
                self._inlet = Inlet(sides)

    def _shared(self) -> dict[str, int]:
        """Names of the buffers that the host maps, and the usage that this needs."""
        program = self.program
        if not self.device.shares:
            return {}
        uses = Counter(
            b.buffer.name for row in program.dispatches for b in row.bindings
        )
        shared = {}
        for t in program.outputs.values():
            # Read by another dispatch it would be read over the bus.
            own = t.buffer.role == "transient" and uses[t.buffer.name] == 1
            if own and t.buffer.nbytes <= SMALL_OUTPUT:
                shared[t.buffer.name] = _USAGE.MAP_READ
        if len(program.inputs) == 1:
            (t,) = program.inputs.values()
            if t.buffer.nbytes <= SMALL_INPUT:
                shared[t.buffer.name] = _USAGE.MAP_WRITE
        return shared

    def _bind(self, side: int) -> dict[str, list]:
        """The commands of each part, with the input's buffer of that side."""
        commands: dict[str, list] = {}
        for row in self.program.dispatches:
            pipeline, layout = self.device.pipeline(row.pipeline)
            group = self._group(row, layout, side)
            commands.setdefault(row.part, []).append(
                (pipeline._internal, group._internal, *row.groups)
            )
        return commands

    def _new(self, nbytes: int, usage: int = STORAGE, label: str = ""):
        buffer = self.device.buffer(nbytes, usage, label)
        self._own.append(buffer)
        return buffer

    def _group(self, row, layout, side: int):
        turns = any(b.buffer.role == "input" for b in row.bindings)
        key = (layout, row.bindings, side if turns else 0)
        if key not in self._groups:
            self._groups[key] = self.device.raw.create_bind_group(
                label=f"{row.label}: {row.pipeline.label}",
                layout=layout,
                entries=[
                    {
                        "binding": b.number,
                        "resource": {
                            "buffer": self._buffers[b.buffer.name],
                            "offset": b.offset,
                            "size": b.size,
                        },
                    }
                    for b in row.bindings
                ],
            )
        return self._groups[key]

    # Inputs ------------------------------------------------------------------------

    def write(self, name: str, values: np.ndarray | GPUArray) -> None:
        """Set an input."""
        self.device.call(self._write_one, name, values)

    def _write_one(self, name: str, values: np.ndarray | GPUArray) -> None:
        with calls.Checked("write") as checked:
            self._write(name, values, checked)

    def _write(self, name: str, values, checked: calls.Checked) -> None:
        t = self.program.inputs[name]
        if isinstance(values, GPUArray):
            self._copy(name, values.buffer_on(self.device, t.dtype, name), checked)
            return
        if t.dtype == "f16":
            with np.errstate(over="ignore"):  # too large for a half: infinite
                values = np.asarray(values, np.float16)
        array = np.ascontiguousarray(values, DTYPES[t.dtype]).reshape(-1)
        if array.size != t.size:
            raise ValueError(f"input {name}: {values.shape} for {t.shape}")
        if self._inlet is None:
            self.device.write(self._buffers[t.buffer.name], t.start, array)
        else:
            # A lost device may have given back the memory that was mapped.
            self.device.ask(checked)
            self._inlet.write(array)

    def write_step(self, block: bytes) -> None:
        """Set the step block, where the program has one."""
        if "step" in self._buffers:
            self.device.write(self._buffers["step"], 0, block)

    def take(self, name: str, other: "Executable") -> None:
        """Set an input to another program's input of the same name and shape."""
        self.device.call(self._take, name, other)

    def _take(self, name: str, other: "Executable") -> None:
        with calls.Checked("take") as checked:
            self._copy(name, other._input(name, checked), checked)

    def _copy(self, name: str, source, checked: calls.Checked) -> None:
        t, target = self.program.inputs[name], self._input(name, checked)
        self.device.copy(source, 0, target, t.start, -(-t.nbytes // 4) * 4)

    def _input(self, name: str, checked: calls.Checked):
        """The buffer of an input, as the device has it."""
        side = self._hand_over(checked)
        if self._inlet is not None:
            return self._inlet.sides[side].buffer
        return self._buffers[self.program.inputs[name].buffer.name]

    def _hand_over(self, checked: calls.Checked) -> int:
        """Let the device have the input; which side of it. Raises for a lost one."""
        inlet = self._inlet
        if inlet is None or not inlet.side.asked:
            self.device.ask(checked)
            return 0 if inlet is None else inlet.now
        inlet.side.leave()
        checked.so_far()
        return inlet.now

    # Runs --------------------------------------------------------------------------

    def run(
        self,
        parts: Iterable[str],
        reads: tuple[str, ...] = (),
        meanwhile: Callable | None = None,
        **inputs: np.ndarray,
    ) -> list:
        """Run passes in one submission; the outputs asked for, as new arrays.

        `inputs` are set before; `meanwhile()` is called before the outputs are waited
        for.
        """
        return self.device.call(self._run, tuple(parts), reads, meanwhile, inputs)

    def _run(
        self, parts: tuple, reads: tuple, meanwhile: Callable | None, inputs: dict
    ) -> list:
        device = self.device
        outlet = self._outlet(reads) if reads else None
        with calls.Checked("run") as checked:
            for name, values in inputs.items():
                self._write(name, values, checked)
            side = self._hand_over(checked)
            if outlet is not None:
                outlet.mapped.leave()  # where a run was interrupted
            if outlet is None or parts or outlet.copies:
                recorded = self._recorded.pop((parts, reads, side), None)
                if recorded is None:
                    recorded = self._record(parts, reads, side)
                device.submit(recorded)
            if outlet is None:
                self._prepare(parts, reads)
                return []
            try:
                outlet.mapped.ask()
                self._prepare(parts, reads)
                if meanwhile is not None:
                    meanwhile()
                data = device.fetch(outlet.mapped)
                return [_array(data, at, t) for at, t in outlet.places]
            finally:
                outlet.mapped.leave()

    def _record(self, parts: tuple, reads: tuple, side: int):
        commands = self._commands[side]
        rows = [row for part in parts for row in commands.get(part, ())]
        copies = self._outlet(reads).copies if reads else ()
        return calls.record(self.device.raw, rows, copies)

    def _prepare(self, parts: tuple, reads: tuple) -> None:
        """Make the next such run ready while the device computes this one."""
        inlet = self._inlet
        side = inlet.turn() if inlet is not None else 0
        if (parts, reads) not in self._known:
            self._known.add((parts, reads))  # it may have been the only one
        elif (parts, reads, side) not in self._recorded:
            self._recorded[parts, reads, side] = self._record(parts, reads, side)
        if inlet is not None and side != inlet.now:
            inlet.sides[side].look()

    def read(self, name: str) -> np.ndarray:
        """An output as the last run left it."""
        return self.run((), (name,))[0]

    def _outlet(self, reads: tuple[str, ...]) -> Outlet:
        if reads not in self._outlets:
            self._outlets[reads] = self._let_out(reads)
        return self._outlets[reads]

    def _let_out(self, reads: tuple[str, ...]) -> Outlet:
        outputs = [self.program.outputs[name] for name in reads]
        if len(reads) == 1 and reads[0] in self._direct:
            return Outlet(self._direct[reads[0]], [], [(outputs[0].start, outputs[0])])
        places, copies, at = [], [], 0
        for t in outputs:
            places.append((at, t))
            at += -(-t.nbytes // 8) * 8
        size = max(at, 8)
        staging = self._new(size, STAGING, "staging")
        for at, t in places:
            source = self._buffers[t.buffer.name]._internal
            nbytes = -(-t.nbytes // 4) * 4
            copies.append((source, t.start, staging._internal, at, nbytes))
        return Outlet(calls.Mapped(self.device.raw, staging, size), copies, places)

    def measure(self, parts: Iterable[str], repeat: int = 1) -> list[int]:
        """Nanoseconds that the device itself takes for the passes, each time.

        Raises DeviceError where it has no timestamps.
        """
        if not self.device.limits.timestamps:
            raise DeviceError("this GPU measures no time (timestamp-query).")
        raw = self.device.raw
        queries = raw.create_query_set(type="timestamp", count=2)
        usage = _USAGE.QUERY_RESOLVE | _USAGE.COPY_SRC
        buffer = raw.create_buffer(size=16, usage=usage)
        with calls.Checked("measure") as checked:
            commands = self._commands[self.device.call(self._hand_over, checked)]
        rows = [row for part in parts for row in commands.get(part, ())]
        out = []
        for _ in range(repeat):
            encoder = raw.create_command_encoder()
            run = encoder.begin_compute_pass(
                timestamp_writes={
                    "query_set": queries,
                    "beginning_of_pass_write_index": 0,
                    "end_of_pass_write_index": 1,
                }
            )
            calls.encode(run._internal, rows)
            run.end()
            encoder.resolve_query_set(queries, 0, 2, buffer, 0)
            raw.queue.submit([encoder.finish()])
            start, end = np.frombuffer(self.device.read(buffer, 0, 16), np.uint64)
            out.append(int(end - start))
        return out

    # The end -----------------------------------------------------------------------

    def own_bytes(self) -> int:
        """Bytes of its buffers, those of the store not counted."""
        return sum(buffer.size for buffer in self._own)

    def close(self) -> None:
        """Free its buffers; those of the store stay."""
        self._recorded.clear()
        self._outlets.clear()
        for buffer in self._own:
            self.device.free(buffer)
        self._own = []


def _array(data: np.ndarray, at: int, t: Tensor) -> np.ndarray:
    values = data[at : at + t.nbytes].view(DTYPES[t.dtype]).reshape(t.shape)
    return values.astype(np.float32) if t.dtype == "f16" else values.copy()
