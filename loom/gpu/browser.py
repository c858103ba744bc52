"""Runs GPU programs in a page through web/webgpu.mjs; whatever reads is awaited.

The JavaScript module is Pyodide's `loom_webgpu`, which web/runtime.mjs registers. Like
`loom.gpu.native` it knows no layer: programs go over once, as JSON, and each pass is
one call. What a session adds on top is in `loom.gpu.asynchronous`.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyodide.ffi import JsException, to_js

from loom import asynchronous
from loom.errors import DeviceError
from loom.gpu.array import GPUArray
from loom.gpu.program import PERSISTENT, Limits, Program, Tensor
from loom.gpu.store import DeviceLost, Store

DTYPES = {"f32": np.float32, "f16": np.float16, "u32": np.uint32}
_opened: list["Device"] = []


@dataclass(frozen=True)
class Handle:
    """A buffer on the device."""

    number: int
    size: int


async def opened(meanwhile: Callable[[], Any] = tuple) -> "Device":
    """The page's device, opened once; a new one where it was lost.

    meanwhile() is called while the browser looks for one. Raises DeviceError that says
    why there is none.
    """
    if not _opened or _opened[0].lost:
        try:
            import loom_webgpu
        except ImportError:
            raise DeviceError(
                "this page did not load Loom through web/loom.mjs, which brings what "
                "runs GPU programs. Load it so, or use the CPU."
            ) from None
        begun = loom_webgpu.later(loom_webgpu, "open")
        meanwhile()
        raw = await waited(begun)
        if not _opened or _opened[0].raw != raw:  # who asked before has made it
            _opened[:] = [Device(raw, loom_webgpu.later)]
    return _opened[0]


class Device:
    """WebGPU's device: memory, and programs put on it.

    Attributes:
        limits: program.Limits of it.
        info: {vendor, architecture, device, description, software}.
    """

    def __init__(self, raw, later):
        self.raw, self._later = raw, later
        self.crowded = False  # more is on its way than should be: see room
        # Looking a method up makes a proxy each time.
        self.put, self.go = raw.set, raw.run
        found = json.loads(raw.describe())
        self.info = found["info"]
        if not self.info["device"]:  # browsers tell as little as they can
            words = self.info["description"], self.info["vendor"]
            self.info["device"] = next(filter(None, words), "unknown")
        limits, features = found["limits"], found["features"]
        self.limits = Limits(
            buffer=int(limits["maxBufferSize"]),
            binding=int(limits["maxStorageBufferBindingSize"]),
            groups=int(limits["maxComputeWorkgroupsPerDimension"]),
            invocations=int(limits["maxComputeInvocationsPerWorkgroup"]),
            shared=int(limits["maxComputeWorkgroupStorageSize"]),
            alignment=int(limits["minStorageBufferOffsetAlignment"]),
            **{name: name in features for name in ("f16", "subgroups", "timestamps")},
            vendor=self.info["vendor"].lower(),
            software=self.info["software"],
        )

    async def ask(self, name: str, *values) -> Any:
        """What a method of JavaScript's promises."""
        return await waited(self._later(self.raw, name, *values))

    @property
    def lost(self) -> bool:
        """It answers no more."""
        return bool(self.raw.lost)

    @property
    def live_bytes(self) -> int:
        """Of all buffers that were made and not freed."""
        return int(self.raw.liveBytes)

    def buffer(self, nbytes: int, label: str = "") -> Handle:
        """A zeroed buffer."""
        return Handle(called(self.raw.buffer, nbytes, label), nbytes)

    def free(self, buffer: Handle) -> None:
        """Give a buffer's memory back."""
        self.raw.free(buffer.number)

    def write(self, buffer: Handle, offset: int, data: np.ndarray | bytes) -> None:
        """Queue a write."""
        called(self.raw.write, buffer.number, offset, _bytes(data))

    async def read(self, buffer: Handle, offset: int, nbytes: int) -> np.ndarray:
        """Bytes of a buffer, after all that was submitted before; uint8."""
        return _array(await self.ask("read", buffer.number, offset, nbytes))

    def compile(self, program: Program) -> None:
        """Begin with its pipelines, each as soon as its text is there."""
        for row in program.pipelines:
            called(self.raw.compile, row.source(), json.dumps(row.to_dict()))

    async def load(self, program: Program, store: Store) -> "Executable":
        """The program with its buffers, pipelines and bind groups on this device."""
        kept = [row for row in program.buffers if row.role in PERSISTENT]
        names = {row.name: store.get(row).number for row in kept}
        text = json.dumps(program.to_dict())
        handle = await self.ask("load", text, json.dumps(names))
        return Executable(self, program, handle)

    async def room(self) -> None:
        """Wait where too many submissions are on their way."""
        if self.crowded:
            self.crowded = False
            await self.ask("room")

    def destroy(self) -> None:
        """Close the device; everything on it is lost."""
        self.raw.destroy()


class Executable:
    """A program on the device: write inputs, run passes, await outputs."""

    def __init__(self, device: Device, program: Program, handle: int):
        self.device, self.program, self.handle = device, program, handle
        self._stepped = any(row.role == "step" for row in program.buffers)
        self._open = True

    def write(self, name: str, values: np.ndarray | GPUArray) -> None:
        """Set an input."""
        if isinstance(values, GPUArray):
            dtype = self.program.inputs[name].dtype
            buffer = values.buffer_on(self.device, dtype, name)
            called(self.device.raw.take, self.handle, name, buffer.number)
            return
        start, array = self.program.inputs[name].start, self._checked(name, values)
        called(self.device.put, self.handle, name, start, _bytes(array))

    def step(self, parts: Iterable[str], block: bytes, **inputs: np.ndarray) -> None:
        """Set inputs and the step block, where there is one, and run passes at once.

        One call into JavaScript: each takes as long as much of Python.
        """
        values = {name: self._checked(name, array) for name, array in inputs.items()}
        if self._stepped:
            values["step"] = block
        words = " ".join(parts), " ".join(values)
        sent = map(_bytes, values.values())
        self.device.crowded = called(self.device.go, self.handle, *words, *sent)

    def _checked(self, name: str, values: np.ndarray) -> np.ndarray:
        t = self.program.inputs[name]
        array = np.ascontiguousarray(values, DTYPES[t.dtype])
        if array.size != t.size:
            raise ValueError(f"input {name}: {array.shape} for {t.shape}")
        return array

    def take(self, name: str, other: "Executable") -> None:
        """Copy an input from another program's of the same shape."""
        called(self.device.raw.take, self.handle, name, other.handle)

    async def outputs(self, parts: Iterable[str], reads: tuple[str, ...]) -> list:
        """Run passes in one submission; the outputs asked for, as new arrays."""
        words = " ".join(parts), " ".join(reads)
        data = await self.device.ask("runAndRead", self.handle, *words)
        return self._outputs(reads, data)

    async def outputs_and_more(
        self, parts: Iterable[str], reads: tuple[str, ...], buffers: list[Handle]
    ) -> tuple[list, "Kept"]:
        """As outputs, and beside them whole buffers, in the same submission."""
        handles = to_js([buffer.number for buffer in buffers])
        words = " ".join(parts), " ".join(reads)
        data, kept = await self.device.ask("runAndKeep", self.handle, *words, handles)
        return self._outputs(reads, data), Kept(kept, buffers)

    def _outputs(self, reads: tuple[str, ...], found) -> list:
        data, at, out = _array(found), 0, []
        for name in reads:
            t = self.program.outputs[name]
            out.append(_values(data, at, t))
            at += -(-t.nbytes // 8) * 8
        return out

    def own_bytes(self) -> int:
        """Bytes of its buffers, those of the store not counted."""
        return self.program.nbytes() - self.program.nbytes(*PERSISTENT)

    def close(self) -> None:
        """Free its buffers; those of the store stay."""
        if self._open:
            self._open = False
            self.device.raw.close(self.handle)


class Kept:
    """What buffers held, outside of Python until it is asked for."""

    def __init__(self, raw, buffers: list[Handle]):
        self._raw, self._sizes = raw, [buffer.size for buffer in buffers]

    def read(self) -> list[np.ndarray]:
        """The bytes of each buffer, uint8."""
        data, at, out = _array(self._raw.read()), 0, []
        for size in self._sizes:
            out.append(data[at : at + size])
            at += -(-size // 256) * 256
        return out

    def close(self) -> None:
        """Give the memory back; once is enough."""
        self._raw.free()


def called(function, *arguments) -> Any:
    """A call into JavaScript, its failure as DeviceError or DeviceLost."""
    try:
        return function(*arguments)
    except JsException as error:
        raise _failure(error) from None


async def waited(held) -> Any:
    """The value of what `later` gave, its failure as DeviceError or DeviceLost."""
    try:
        return await _Promise(held.promise)
    except JsException as error:
        raise _failure(error) from None


class _Promise:
    """Awaits by asyncio, or hands the promise to the bridge, which is much faster."""

    def __init__(self, promise):
        self.promise = promise

    def __await__(self):
        if asynchronous.bridged:
            return (yield self.promise)
        return (yield from self.promise.__await__())


def _failure(error: JsException) -> DeviceError:
    lost = getattr(error, "kind", "") == "DeviceLost"
    return (DeviceLost if lost else DeviceError)(str(error.message))


def _bytes(data: np.ndarray | bytes):
    """What JavaScript reads in place; a copy, by to_js, takes four times as long."""
    return memoryview(data).cast("B")


def _array(data) -> np.ndarray:
    array = np.empty(data.length, np.uint8)
    data.assign_to(memoryview(array))
    return array


def _values(data: np.ndarray, at: int, t: Tensor) -> np.ndarray:
    values = data[at : at + t.nbytes].view(DTYPES[t.dtype]).reshape(t.shape)
    return values.astype(np.float32, copy=False)
