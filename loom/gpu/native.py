"""A GPU by wgpu-py: memory, pipelines, submissions. It knows no layer."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import RLock

import numpy as np
import wgpu

from loom.errors import DeviceError
from loom.gpu import calls, shaders
from loom.gpu.executable import STAGING, STORAGE, Executable
from loom.gpu.program import Limits, Pipeline, Program
from loom.gpu.store import DeviceLost, Store

FEATURES = {  # ours -> wgpu's
    "f16": "shader-f16",
    "subgroups": "subgroup",
    "timestamps": "timestamp-query",
}
SHARED = "mappable-primary-buffers"  # shaders use what the host maps
IN_FLIGHT = 8  # submissions on their way before the host waits for them

# Of all devices: wgpu-py's handler of errors is one for the process.
_LOCK = RLock()


class Device:
    """An opened adapter: memory, pipelines (kept), submissions.

    Attributes:
        limits: program.Limits of it.
        live_bytes: of all buffers that were made and not freed.
        lost: it answers no more.
        open: neither lost nor destroyed, as far as is known.
        shares: whether shaders can use buffers that the host maps.
        checked: shaders keep their bounds and loop guards.
        stores: constant blocks are storage, not uniforms: lavapipe (Mesa 22.3) compiles
            a kernel anew for each run where a uniform's value shortens it by half, in
            2 ms and 0.3 MB that it keeps.
        lock: held from a pass's first write to its last read, so that threads wait for
            each other; wgpu ends the process where they meet in a mapped buffer.
    """

    def __init__(self, adapter, *, checked: bool = False):
        wanted = [n for n in (*FEATURES.values(), SHARED) if n in adapter.features]
        names = (
            "max-buffer-size",
            "max-storage-buffer-binding-size",
            "max-compute-invocations-per-workgroup",
            "max-compute-workgroup-size-x",
            "max-compute-workgroup-size-y",
            "max-compute-workgroup-storage-size",
            "max-storage-buffers-per-shader-stage",
        )
        try:
            with quiet():
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
        self.limits, self.shares = limits_of(adapter), SHARED in wanted
        self.checked, self.live_bytes = checked, 0
        self.lost, self.open = False, True
        self.stores = self.limits.software
        self._layouts: dict[tuple, tuple] = {}
        self._modules: dict[str, object] = {}
        self._pipelines: dict[Pipeline, object] = {}
        self._staging: calls.Mapped | None = None
        self._any = self.raw.create_buffer(size=4, usage=STAGING)
        self._waiting = 0
        self._unused: deque = deque()

    # Memory ----------------------------------------------------------------------

    def buffer(self, nbytes: int, usage: int = STORAGE, label: str = ""):
        """A zeroed wgpu buffer. Raises DeviceError when there is no memory left."""
        try:
            with self.lock:
                self._sweep()
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
        """Give a buffer's memory back; later, if another thread works with the device.

        The garbage collector frees networks in whatever thread it runs: one that waited
        here could be one that the lock's holder waits for (see `compile`).
        """
        self._unused.append(buffer)
        if self.lock.acquire(blocking=False):
            try:
                self._sweep()
            finally:
                self.lock.release()

    def _sweep(self) -> None:
        while self._unused:
            buffer = self._unused.popleft()
            self.live_bytes -= buffer.size
            if not self.lost:
                buffer.destroy()

    def write(self, buffer, offset: int, data: np.ndarray | bytes) -> None:
        """Queue a write; odd halves are padded to whole words."""
        size = len(data) if isinstance(data, bytes) else data.nbytes
        if size % 4:
            data = bytes(memoryview(data).cast("B")) + bytes(2)
        self.call(calls.write, self.raw, buffer, offset, data)

    def read(self, source, offset: int, nbytes: int) -> np.ndarray:
        """Bytes of a buffer, after all that was submitted before; uint8."""
        return self.call(self._read, source, offset, nbytes)

    def _read(self, source, offset: int, nbytes: int) -> np.ndarray:
        size = -(-nbytes // 4) * 4
        if self._staging is None or self._staging.buffer.size < size:
            # Kept: a staging buffer that is warm is read ten times as fast.
            if self._staging is not None:
                self._staging.buffer.destroy()
                self._staging = None
            made = self.buffer(max(size, 1 << 16), STAGING, "staging")
            self.live_bytes -= made.size
            self._staging = calls.Mapped(self.raw, made, [(0, np.uint8, (made.size,))])
        staging = self._staging
        with calls.Checked("read") as checked:
            self.ask(checked)
            staging.leave()  # where a read was interrupted
            self.copy(source, offset, staging.buffer, 0, size, checked)
            try:
                return self.fetch(staging)[0][:nbytes].copy()
            finally:
                staging.leave()

    def fetch(self, mapped: calls.Mapped) -> tuple[np.ndarray, ...]:
        """The arrays of a buffer that the host may read, when all before is done."""
        arrays = mapped.arrays(spin=not self.limits.software)
        self._waiting = 0
        return arrays

    # Work ------------------------------------------------------------------------

    def ask(self, checked: calls.Checked) -> None:
        """Raise when the device is lost."""
        calls.ask(self.raw, self._any, checked)

    def submit(self, recorded) -> None:
        """One submission; waits for all where too many are on their way.

        Only to a device that was just asked: wgpu-native ends the process when a lost
        one refuses a submission.
        """
        calls.submit(self.raw, recorded)
        self._waiting += 1
        if self._waiting >= IN_FLIGHT:
            self.finish()

    def copy(
        self, source, start: int, target, at: int, nbytes: int, checked: calls.Checked
    ) -> None:
        """Copy bytes of a buffer to another, in a submission of its own."""
        row = (source._internal, start, target._internal, at, nbytes)
        self.submit(calls.record(self.raw, (), (row,), checked))

    def finish(self) -> None:
        """Return when all that was submitted is done."""
        self.call(calls.wait, self.raw)
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
        with self.lock:
            self.open = False
            self.raw.destroy()

    def call(self, function: Callable, *arguments):
        """function(*arguments) with the lock, its errors as ours.

        Raises DeviceLost when the device is gone, DeviceError for all that it refuses.
        """
        if self.lost:
            allowed()
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
            self.lost, self.open = True, False
            raise DeviceLost(
                f"the GPU was lost ({_first_line(error)}); the next call opens it again"
            ) from None

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
                "uniform": "read-only-storage" if self.stores else "uniform",
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
        text = shaders.in_storage(row.source()) if self.stores else row.source()
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


_opened: dict[tuple, Device] = {}
_forked = False


def allowed() -> None:
    """Raise DeviceError in a child of a process that has used wgpu: it would hang."""
    if _forked:
        raise DeviceError(
            "the GPU was used before this process was forked, and a driver does not "
            "outlive that. Start processes by multiprocessing's 'spawn', or use the "
            "GPU in the children alone; read or save weights before."
        )


def _forget() -> None:
    global _forked
    _forked = True
    for device in _opened.values():
        # Another thread of the parent may have held the lock.
        device.lock, device.lost, device.open = RLock(), True, False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def opened(adapter, number: int = 0, checked: bool = False) -> Device:
    """The device of an adapter, opened once a process; `number` opens it again."""
    allowed()
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


@contextmanager
def quiet() -> Iterator[None]:
    """Without wgpu's warning of memory that is shared: only what is small will be."""
    log = logging.getLogger("wgpu")
    log.addFilter(_is_other)
    try:
        yield
    finally:
        log.removeFilter(_is_other)


def _is_other(record: logging.LogRecord) -> bool:
    return "MAPPABLE_PRIMARY_BUFFERS" not in record.getMessage()


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


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
