"""Runs GPU programs through wgpu-py. It knows no layer and no arithmetic."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import RLock

import numpy as np
import wgpu

from loom.errors import DeviceError
from loom.gpu import calls
from loom.gpu.program import PERSISTENT, Limits, Pipeline, Program, Tensor
from loom.gpu.store import DeviceLost, Store

DTYPES = {"f32": np.float32, "f16": np.float16, "u32": np.uint32}
FEATURES = {  # ours -> wgpu's
    "f16": "shader-f16",
    "subgroups": "subgroup",
    "timestamps": "timestamp-query",
}
IN_FLIGHT = 8  # submissions on their way before the host waits for them
_STORAGE = (
    wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_DST | wgpu.BufferUsage.COPY_SRC
)
_UNIFORM = wgpu.BufferUsage.UNIFORM | wgpu.BufferUsage.COPY_DST
_STAGING = wgpu.BufferUsage.MAP_READ | wgpu.BufferUsage.COPY_DST

# Of all devices: wgpu-py's handler of errors is one for the process.
_LOCK = RLock()


class Device:
    """An opened adapter: memory, pipelines (kept), submissions.

    Attributes:
        limits: program.Limits of it.
        live_bytes: of all buffers that were made and not freed.
        lost: it answers no more.
        checked: shaders keep their bounds and loop guards.
        lock: held from a pass's first write to its last read, so that threads wait for
            each other; wgpu ends the process where they meet in a mapped buffer.
    """

    def __init__(self, adapter, *, checked: bool = False):
        wanted = [n for n in FEATURES.values() if n in adapter.features]
        names = (
            "max-buffer-size",
            "max-storage-buffer-binding-size",
            "max-compute-invocations-per-workgroup",
            "max-compute-workgroup-size-x",
            "max-compute-workgroup-size-y",
            "max-compute-workgroup-storage-size",
        )
        try:
            self.raw = adapter.request_device_sync(
                required_features=wanted,
                required_limits={name: adapter.limits[name] for name in names},
            )
        except RuntimeError as error:
            raise DeviceError(
                f"the GPU {adapter.info['device']!r} cannot be opened: {error}. "
                "Close other programs that use it, or update its driver."
            ) from None
        self.adapter, self.key = adapter, ()
        self.lock = _LOCK
        self.info = dict(adapter.info)
        self.limits = limits_of(adapter)
        self.checked, self.lost, self.live_bytes = checked, False, 0
        self._layouts: dict[tuple, tuple] = {}
        self._modules: dict[str, object] = {}
        self._pipelines: dict[Pipeline, object] = {}
        self._staging = None
        self._waiting = 0

    # Memory ----------------------------------------------------------------------

    def buffer(self, nbytes: int, usage: int = _STORAGE, label: str = ""):
        """A zeroed wgpu buffer. Raises DeviceError when there is no memory left."""
        try:
            with self.lock:
                made = self.raw.create_buffer(size=nbytes, usage=usage, label=label)
        except wgpu.GPUError as error:
            self._check_lost(error)
            raise DeviceError(
                f"{label or 'a buffer'}: the GPU has no room for {nbytes:,} bytes "
                f"({self.live_bytes:,} are in use by this program). Make the batch or "
                f"the network smaller. ({_first_line(error)})"
            ) from None
        self.live_bytes += nbytes
        return made

    def free(self, buffer) -> None:
        """Give a buffer's memory back."""
        with self.lock:
            self.live_bytes -= buffer.size
            if not self.lost:
                buffer.destroy()

    def write(self, buffer, offset: int, data: np.ndarray | bytes) -> None:
        """Queue a write; odd halves are padded to whole words."""
        size = len(data) if isinstance(data, bytes) else data.nbytes
        if size % 4:
            data = bytes(memoryview(data).cast("B")) + bytes(2)
        self._call(calls.write, self.raw, buffer, offset, data)

    def read(self, source, offset: int, nbytes: int) -> np.ndarray:
        """Bytes of a buffer, after all that was submitted before; uint8."""
        size = -(-nbytes // 4) * 4
        with self.lock:
            if self._staging is None or self._staging.size < size:
                # Kept: a staging buffer that is warm is read ten times as fast.
                if self._staging is not None:
                    self._staging.destroy()
                    self._staging = None
                self._staging = self.buffer(max(size, 1 << 16), _STAGING, "staging")
                self.live_bytes -= self._staging.size
            staging = self._staging
            self.submit([], [(source._internal, offset, staging._internal, 0, size)])
            return self.fetch(staging, size)[:nbytes]

    def fetch(self, staging, nbytes: int) -> np.ndarray:
        """The first bytes of a staging buffer, when all before is done."""
        out = np.empty(nbytes, np.uint8)
        spin = not self.limits.software
        self._call(calls.read, self.raw, staging, nbytes, out, spin)
        self._waiting = 0
        return out

    # Work ------------------------------------------------------------------------

    def submit(self, commands, copies) -> None:
        """One submission; waits for all where too many are on their way."""
        self._call(calls.submit, self.raw, commands, copies)
        self._waiting += 1
        if self._waiting >= IN_FLIGHT:
            self.finish()

    def finish(self) -> None:
        """Return when all that was submitted is done."""
        self._call(calls.wait, self.raw)
        self._waiting = 0

    def load(self, program: Program, store: "Store | None" = None) -> "Executable":
        """The program with its buffers, pipelines and bind groups on this device."""
        try:
            with self.lock:
                return Executable(self, program, store or Store(self))
        except wgpu.GPUError as error:
            self._check_lost(error)
            raise DeviceError(f"the GPU reports: {error}") from None

    def destroy(self) -> None:
        """Close the device; everything on it is lost."""
        self.raw.destroy()

    def _call(self, function, *arguments):
        if self.lost:
            raise DeviceLost("the GPU was lost")
        try:
            with self.lock:
                return function(*arguments)
        except wgpu.GPUError as error:
            self._check_lost(error)
            raise DeviceError(f"the GPU reports: {error}") from None

    def _check_lost(self, error: Exception) -> None:
        text = str(error).lower()
        if "lost" in text or "parent device" in text or "destroyed" in text:
            self.lost = True
            raise DeviceLost(f"the GPU was lost: {_first_line(error)}") from None

    # Pipelines -------------------------------------------------------------------

    def compile(self, pipelines: Iterable[Pipeline]) -> None:
        """Make the pipelines that are not there yet, side by side."""
        new = [row for row in dict.fromkeys(pipelines) if row not in self._pipelines]
        for row in new:
            self._layout(row)
        if len(new) < 2:
            made = map(self._make, new)
        else:
            with ThreadPoolExecutor(min(len(new), os.cpu_count() or 1, 8)) as pool:
                made = list(pool.map(self._make, new))
        self._pipelines.update(zip(new, made, strict=True))

    def pipeline(self, row: Pipeline):
        """The compiled pipeline and its bind group layout."""
        self.compile([row])
        return self._pipelines[row], self._layout(row)[0]

    def _layout(self, row: Pipeline) -> tuple:
        key = tuple(row.layout())
        if key not in self._layouts:
            kinds = {
                "read": "read-only-storage",
                "write": "storage",
                "uniform": "uniform",
            }
            group = self.raw.create_bind_group_layout(
                entries=[
                    {
                        "binding": number,
                        "visibility": wgpu.ShaderStage.COMPUTE,
                        "buffer": {"type": kinds[access]},
                    }
                    for number, access in key
                ]
            )
            whole = self.raw.create_pipeline_layout(bind_group_layouts=[group])
            self._layouts[key] = group, whole
        return self._layouts[key]

    def _make(self, row: Pipeline):
        # naga takes subgroups without a line for them, and refuses the line.
        text = row.source()
        try:
            module = self._modules.get(text)
            if module is None:
                module = self._modules[text] = calls.shader_module(
                    self.raw, text, f"{row.shader}.wgsl", self.checked
                )
            return self.raw.create_compute_pipeline(
                label=row.label,
                layout=self._layouts[tuple(row.layout())][1],
                compute={
                    "module": module,
                    "entry_point": row.entry,
                    "constants": {k: float(v) for k, v in row.constants().items()},
                },
            )
        except wgpu.GPUError as error:
            self._check_lost(error)
            raise DeviceError(f"{row.label} does not compile: {error}") from None


class Executable:
    """A program on a device: write inputs, run passes, read outputs."""

    def __init__(self, device: Device, program: Program, store: Store):
        self.device, self.program, self.store = device, program, store
        self._own: list = []
        self._staging: dict[tuple[str, ...], tuple] = {}
        device.compile(program.pipelines)
        try:
            self._place()
        except (DeviceError, wgpu.GPUError):
            self.close()
            raise

    def _place(self) -> None:
        device, program = self.device, self.program
        slots = [self._new(n, label="shared") for n in program.slots]
        self._buffers: dict[str, object] = {}
        for row in program.buffers:
            if row.role in PERSISTENT:
                made = self.store.get(row)
            elif row.role == "transient":
                made = slots[row.slot] if row.slot >= 0 else self._new(row.nbytes)
            else:
                uniform = row.role in ("params", "step")
                usage = _UNIFORM if uniform else _STORAGE
                made = self._new(row.nbytes, usage, row.name)
                if row.data is not None:
                    device.write(made, 0, row.data)
            self._buffers[row.name] = made
        self._groups: dict[tuple, object] = {}
        self._commands: dict[str, list] = {}
        self._joined: dict[tuple[str, ...], list] = {}
        for row in program.dispatches:
            pipeline, layout = device.pipeline(row.pipeline)
            group = self._group(row, layout)
            self._commands.setdefault(row.part, []).append(
                (pipeline._internal, group._internal, *row.groups)
            )

    def _new(self, nbytes: int, usage: int = _STORAGE, label: str = ""):
        buffer = self.device.buffer(nbytes, usage, label)
        self._own.append(buffer)
        return buffer

    def _group(self, row, layout):
        key = (layout, row.bindings)
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

    def write(self, name: str, values: np.ndarray) -> None:
        """Set an input."""
        t = self.program.inputs[name]
        if t.dtype == "f16":
            with np.errstate(over="ignore"):  # too large for a half: infinite
                values = np.asarray(values, np.float16)
        array = np.ascontiguousarray(values, DTYPES[t.dtype])
        if array.size != t.size:
            raise ValueError(f"input {name}: {array.shape} for {t.shape}")
        self.device.write(self._buffers[t.buffer.name], t.start, array.reshape(-1))

    def write_step(self, block: bytes) -> None:
        """Set the step block, where the program has one."""
        if "step" in self._buffers:
            self.device.write(self._buffers["step"], 0, block)

    def take(self, name: str, other: "Executable") -> None:
        """Set an input to another program's input of the same name and shape."""
        t = self.program.inputs[name]
        source = other._buffers[other.program.inputs[name].buffer.name]
        target = self._buffers[t.buffer.name]
        size = -(-t.nbytes // 4) * 4
        self.device.submit([], [(source._internal, 0, target._internal, 0, size)])

    def own_bytes(self) -> int:
        """Bytes of its buffers, those of the store not counted."""
        return sum(buffer.size for buffer in self._own)

    def run(
        self,
        parts: Iterable[str],
        reads: tuple[str, ...] = (),
        meanwhile: Callable | None = None,
    ) -> list:
        """Run passes in one submission; the outputs asked for, as new arrays.

        `meanwhile()` is called before the outputs are waited for.
        """
        parts = tuple(parts)
        commands = self._joined.get(parts)
        if commands is None:
            rows = [row for part in parts for row in self._commands.get(part, ())]
            commands = self._joined[parts] = rows
        if not reads:
            self.device.submit(commands, ())
            return []
        staging, size, copies, tensors = self._staging_of(reads)
        self.device.submit(commands, copies)
        if meanwhile is not None:
            meanwhile()
        data = self.device.fetch(staging, size)
        return [_array(data, at, t) for at, t in tensors]

    def read(self, name: str) -> np.ndarray:
        """An output as the last run left it."""
        return self.run((), (name,))[0]

    def measure(self, parts: Iterable[str], repeat: int = 1) -> list[int]:
        """Nanoseconds that the device itself takes for the passes, each time.

        Raises DeviceError where it has no timestamps.
        """
        if not self.device.limits.timestamps:
            raise DeviceError("this GPU measures no time (timestamp-query).")
        raw = self.device.raw
        queries = raw.create_query_set(type="timestamp", count=2)
        usage = wgpu.BufferUsage.QUERY_RESOLVE | wgpu.BufferUsage.COPY_SRC
        buffer = raw.create_buffer(size=16, usage=usage)
        rows = [row for part in parts for row in self._commands.get(part, ())]
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

    def close(self) -> None:
        """Free its buffers; those of the store stay."""
        for buffer in self._own:
            self.device.free(buffer)
        self._own = []
        self._staging.clear()

    def _staging_of(self, reads: tuple[str, ...]) -> tuple:
        if reads not in self._staging:
            places, at = [], 0
            for name in reads:
                t = self.program.outputs[name]
                places.append((at, t))
                at += -(-t.nbytes // 8) * 8
            staging = self._new(max(at, 8), _STAGING, "staging")
            copies = [
                (
                    self._buffers[t.buffer.name]._internal,
                    t.start,
                    staging._internal,
                    place,
                    -(-t.nbytes // 4) * 4,
                )
                for place, t in places
            ]
            self._staging[reads] = staging, max(at, 8), copies, places
        return self._staging[reads]


_opened: dict[tuple, Device] = {}


def opened(adapter, number: int = 0, checked: bool = False) -> Device:
    """The device of an adapter, opened once a process; `number` opens it again."""
    info = adapter.info
    names = ("backend_type", "vendor_id", "device_id", "device")
    key = (*(info[name] for name in names), number, checked)
    if key not in _opened or _opened[key].lost:
        _opened[key] = Device(adapter, checked=checked)
        _opened[key].adapter, _opened[key].key = adapter, key
    return _opened[key]


def reopened(device: Device) -> Device:
    """A new device in the place of one that was lost."""
    return opened(device.adapter, *device.key[-2:])


def limits_of(adapter) -> Limits:
    """program.Limits of a wgpu adapter."""
    values, info = adapter.limits, adapter.info
    return Limits(
        buffer=int(values["max-buffer-size"]),
        binding=int(values["max-storage-buffer-binding-size"]),
        groups=int(values["max-compute-workgroups-per-dimension"]),
        invocations=int(values["max-compute-invocations-per-workgroup"]),
        shared=int(values["max-compute-workgroup-storage-size"]),
        **{ours: name in adapter.features for ours, name in FEATURES.items()},
        vendor=str(info.get("vendor", "")).lower(),
        software=info.get("adapter_type") == "CPU",
    )


def _array(data: np.ndarray, at: int, t: Tensor) -> np.ndarray:
    values = data[at : at + t.nbytes].view(DTYPES[t.dtype]).reshape(t.shape)
    return values.astype(np.float32) if t.dtype == "f16" else values


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
