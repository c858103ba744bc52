"""The few calls that wgpu-py makes too slowly or not at all, on its own C library.

One submission of a hundred dispatches through wgpu-py's objects costs a Python object
and an error check each; here the whole encoding is checked once. Pinned to wgpu 0.32.
"""

from itertools import count
from math import prod
from time import perf_counter

import numpy as np
import wgpu
from wgpu.backends.wgpu_native import ffi, lib
from wgpu.backends.wgpu_native._api import error_handler

SPIN = 0.0005  # seconds of asking again and again before waiting in the driver
_NULL = ffi.NULL
# wgpu-native 29 frees only command buffers whose byte here says that they were
# submitted (the drop's condition is the wrong way round). Set after a submission was
# seen to set it, and only then.
_SUBMITTED = 16
_frees = False
_ids = count(1)
_ended: dict = {}  # how the last request for each Mapped ended; None: not yet


class Checked:
    """Calls inside `with Checked(what):` raise wgpu.GPUError for what went wrong."""

    # As error_handler.capture and release, in fewer steps: it is an ErrorSlot itself.
    __slots__ = ("_stack", "message", "name", "type")

    def __init__(self, what: str):
        self.name, self.message = what, None

    def __enter__(self):
        self._stack = error_handler._get_proxy_stack()
        self._stack.append(self)
        return self

    def __exit__(self, kind, value, trace):
        self._stack.pop()
        if self.message is not None and kind is None:
            self.so_far()

    def so_far(self) -> None:
        """Raise now for what went wrong until here."""
        if self.message is not None:
            raise wgpu.GPUError(f"{self.name}: {self.message}")


def shader_module(device, text: str, label: str, checked: bool):
    """A compiled module; unless `checked` without bounds and loop guards.

    Loop guards alone make short loops 2.5 times slower; the tests prove the shaders.
    """
    if checked:
        return device.create_shader_module(label=label, code=text)
    code, name = text.encode(), label.encode()
    keep = ffi.new("char[]", code), ffi.new("char[]", name)
    source = ffi.new("WGPUShaderSourceWGSL *")
    source.chain.sType = lib.WGPUSType_ShaderSourceWGSL
    source.code.data, source.code.length = keep[0], len(code)
    descriptor = ffi.new("WGPUShaderModuleDescriptor *")
    descriptor.nextInChain = ffi.cast("WGPUChainedStruct *", source)
    descriptor.label.data, descriptor.label.length = keep[1], len(name)
    with Checked(label):
        handle = lib.wgpuDeviceCreateShaderModuleTrusted(
            device._internal, descriptor, lib.WGPUShaderRuntimeChecks_None
        )
    return wgpu.backends.wgpu_native.GPUShaderModule(label, handle, device)


def encode(run, commands) -> None:
    """Write (pipeline, bind group, x, y, z) rows of C handles into a compute pass."""
    set_pipeline = lib.wgpuComputePassEncoderSetPipeline
    set_group = lib.wgpuComputePassEncoderSetBindGroup
    dispatch = lib.wgpuComputePassEncoderDispatchWorkgroups
    last = None
    for pipeline, group, x, y, z in commands:
        if pipeline is not last:
            set_pipeline(run, pipeline)
            last = pipeline
        set_group(run, 0, group, 0, _NULL)
        dispatch(run, x, y, z)


def record(device, commands, copies, checked: Checked):
    """Commands in one pass, then copies (source, at, target, at, bytes), recorded.

    The result is for one submission; dropped, it is freed.
    """
    encoder = lib.wgpuDeviceCreateCommandEncoder(device._internal, _NULL)
    if commands:
        run = lib.wgpuCommandEncoderBeginComputePass(encoder, _NULL)
        encode(run, commands)
        lib.wgpuComputePassEncoderEnd(run)
        lib.wgpuComputePassEncoderRelease(run)
    for copy in copies:
        lib.wgpuCommandEncoderCopyBufferToBuffer(encoder, *copy)
    recorded = lib.wgpuCommandEncoderFinish(encoder, _NULL)
    lib.wgpuCommandEncoderRelease(encoder)
    recorded = ffi.gc(recorded, _free)
    checked.so_far()
    return recorded


def ask(device, buffer, checked: Checked) -> None:
    """Raise when the device is lost; `buffer` is any of its that takes copies."""
    # A write of nothing: all that it does is to fail.
    lib.wgpuQueueWriteBuffer(device.queue._internal, buffer._internal, 0, _NULL, 0)
    checked.so_far()


def submit(device, recorded) -> None:
    """Submit what was recorded."""
    global _frees
    flag = ffi.cast("uint8_t *", recorded) + _SUBMITTED
    before = flag[0]
    lib.wgpuQueueSubmit(device.queue._internal, 1, [recorded])
    _frees = (before, flag[0]) == (0, 1)


def _free(recorded) -> None:
    # What was never submitted would stay for ever: 0.2 MB of each network.
    if _frees:
        (ffi.cast("uint8_t *", recorded) + _SUBMITTED)[0] = 1
    lib.wgpuCommandBufferRelease(recorded)


def wait(device) -> None:
    """Return when all that was submitted is done."""
    with Checked("wait"):
        lib.wgpuDevicePoll(device._internal, True, _NULL)


def write(device, buffer, offset: int, data) -> None:
    """Queue a write of contiguous data (a multiple of 4 bytes) to a buffer."""
    view = ffi.from_buffer(data)
    with Checked("write"):
        lib.wgpuQueueWriteBuffer(
            device.queue._internal, buffer._internal, offset, view, len(view)
        )


class Mapped:
    """Arrays in a buffer that the host uses in place, by turns with the device.

    Its methods belong inside of a Checked.

    Attributes:
        buffer: wgpu's.
        asked: it is the host's or will be; no submission may use it before `leave`.

    `places` are (byte, dtype, shape) of the arrays in it.
    """

    def __init__(self, device, buffer, places, write: bool = False):
        self.buffer, self.asked = buffer, False
        self._device, self._raw = device._internal, buffer._internal
        self._nbytes, self._places = buffer.size, tuple(places)
        self._mode = lib.WGPUMapMode_Write if write else lib.WGPUMapMode_Read
        self._arrays: tuple[np.ndarray, ...] = ()
        self._start = _NULL  # where it lay in the host's memory
        self._taken = False
        self._key = ffi.cast("void *", next(_ids))
        _ended[self._key] = None
        self._info = ffi.new("WGPUBufferMapCallbackInfo *")
        self._info.mode = lib.WGPUCallbackMode_AllowProcessEvents
        self._info.callback = _on_mapped
        self._info.userdata1 = self._key

    def __del__(self):
        _ended.pop(self._key, None)

    def ask(self) -> None:
        """Want it, as soon as all that was submitted with it is done."""
        # First: whoever interrupts us here must not leave it to a submission.
        self.asked = True
        _ended[self._key] = None
        lib.wgpuBufferMapAsync(self._raw, self._mode, 0, self._nbytes, self._info[0])

    def look(self) -> None:
        """Take it if it is ready."""
        if not self._taken:
            lib.wgpuDevicePoll(self._device, 0, _NULL)
            if _ended[self._key] is not None:
                self._take()

    def arrays(self, spin: bool) -> tuple[np.ndarray, ...]:
        """Its arrays, to be used until `leave`; waits for them."""
        if not self._taken:
            if not self.asked:
                self.ask()
            if _ended[self._key] is None:
                self._wait(spin)
            self._take()
        return self._arrays

    def leave(self) -> None:
        """Let the device have it."""
        if self.asked:
            self._taken = False
            lib.wgpuBufferUnmap(self._raw)
            self.asked = False

    def _wait(self, spin: bool) -> None:
        poll, device, key = lib.wgpuDevicePoll, self._device, self._key
        end = perf_counter() + SPIN * spin
        while _ended[key] is None and perf_counter() < end:
            poll(device, 0, _NULL)
        if _ended[key] is None:
            poll(device, 1, _NULL)

    def _take(self) -> None:
        if _ended[self._key] != lib.WGPUMapAsyncStatus_Success:
            raise wgpu.GPUError("the buffer could not be mapped")
        start = lib.wgpuBufferGetMappedRange(self._raw, 0, self._nbytes)
        if start != self._start:  # it mostly lies where it lay before
            self._start, whole = start, ffi.buffer(start, self._nbytes)
            self._arrays = tuple(
                np.frombuffer(whole, dtype, prod(shape), at).reshape(shape)
                for at, dtype, shape in self._places
            )
        self._taken = True


@ffi.callback("void(WGPUMapAsyncStatus, WGPUStringView, void *, void *)")
def _on_mapped(status, message, userdata1, userdata2):
    if userdata1 in _ended:  # pointers are equal where their addresses are
        _ended[userdata1] = status
