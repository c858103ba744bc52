"""A program on a device: its buffers, bind groups and runs. It knows no layer."""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import wgpu

from loom.errors import DeviceError
from loom.gpu import calls
from loom.gpu.array import GPUArray
from loom.gpu.program import PERSISTENT, Program
from loom.gpu.run import Inlet, Outlet, Run, hand_over
from loom.gpu.store import Store

DTYPES = {"f32": np.float32, "f16": np.float16, "u32": np.uint32}
SMALL_INPUT, SMALL_OUTPUT = 1 << 18, 1 << 16  # bytes up to which memory is shared
_USAGE = wgpu.BufferUsage
STORAGE = _USAGE.STORAGE | _USAGE.COPY_DST | _USAGE.COPY_SRC
STAGING = _USAGE.MAP_READ | _USAGE.COPY_DST
_BLOCK = _USAGE.UNIFORM | _USAGE.STORAGE | _USAGE.COPY_DST


class Executable:
    """A program on a device: write inputs, run passes, read outputs."""

    def __init__(self, device, program: Program, store: Store):
        self.device, self.program, self.store = device, program, store
        self._own: list = []
        self._buffers: dict[str, object] = {}
        self._inlet: Inlet | None = None
        self._direct: dict[str, calls.Mapped] = {}
        self._groups: dict[tuple, object] = {}
        self._runs: dict[tuple, Run] = {}  # by parts and reads
        self._outlets: dict[tuple[str, ...], Outlet] = {}
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
                block = row.role in ("params", "step")
                usage = _BLOCK if block else STORAGE | extra
                made = self._new(row.nbytes, usage, row.name)
                if row.data is not None:
                    device.write(made, 0, row.data)
            self._buffers[row.name] = made
        self._commands = [self._bind(0)]
        for name, t in program.outputs.items():
            if t.buffer.name in shared:
                made = self._buffers[t.buffer.name]
                places = [(t.start, DTYPES[t.dtype], t.shape)]
                self._direct[name] = calls.Mapped(device.raw, made, places)
        for t in program.inputs.values():
            if t.buffer.name in shared:
                first = self._buffers[t.buffer.name]
                second = self._new(first.size, first.usage, t.buffer.name)
                places = [(t.start, DTYPES[t.dtype], t.shape)]
                sides = [
                    calls.Mapped(device.raw, made, places, write=True)
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
        array = np.ascontiguousarray(values, DTYPES[t.dtype])
        if array.shape != t.shape:
            if array.size != t.size:
                raise ValueError(f"input {name}: {values.shape} for {t.shape}")
            array = array.reshape(t.shape)
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
        size = -(-t.nbytes // 4) * 4
        self.device.copy(source, 0, target, t.start, size, checked)

    def _input(self, name: str, checked: calls.Checked):
        """The buffer of an input, as the device has it."""
        side = hand_over(self.device, self._inlet, checked)
        if self._inlet is not None:
            return self._inlet.sides[side].buffer
        return self._buffers[self.program.inputs[name].buffer.name]

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
        run = self._runs.get((parts, reads)) or self._new_run(parts, reads)
        with calls.Checked("run") as checked:
            for name, values in inputs.items():
                self._write(name, values, checked)
            return run(checked, meanwhile)

    def _new_run(self, parts: tuple, reads: tuple) -> Run:
        outlet = self._outlet(reads) if reads else None
        rows = [self._rows(parts, side) for side in range(len(self._commands))]
        self._runs[parts, reads] = Run(self.device, rows, self._inlet, outlet)
        return self._runs[parts, reads]

    def repeatable(self, parts: tuple, read: str, shape: tuple) -> Run | None:
        """The run of these parts that reads one output, if an input of that shape, and
        of float32, can be given to its `again`."""
        if self._inlet is None or read not in self._direct:
            return None
        (x,), y = self.program.inputs.values(), self.program.outputs[read]
        fits = x.shape == shape and x.dtype == y.dtype == "f32"
        return self._runs[parts, (read,)] if fits else None

    def _rows(self, parts: Iterable[str], side: int) -> list[tuple]:
        commands = self._commands[side]
        return [row for part in parts for row in commands.get(part, ())]

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
            return Outlet(self._direct[reads[0]], [])
        starts, size = [], 0
        for t in outputs:
            starts.append(size)
            size += -(-t.nbytes // 8) * 8
        staging = self._new(max(size, 8), STAGING, "staging")
        copies, places = [], []
        for at, t in zip(starts, outputs, strict=True):
            source = self._buffers[t.buffer.name]._internal
            nbytes = -(-t.nbytes // 4) * 4
            copies.append((source, t.start, staging._internal, at, nbytes))
            places.append((at, DTYPES[t.dtype], t.shape))
        return Outlet(calls.Mapped(self.device.raw, staging, places), copies)

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
            side = self.device.call(hand_over, self.device, self._inlet, checked)
        rows = self._rows(parts, side)
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
        self._runs.clear()
        self._outlets.clear()
        for buffer in self._own:
            self.device.free(buffer)
        self._own = []
