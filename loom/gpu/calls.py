"""The few calls that wgpu-py makes too slowly or not at all, on its own C library.

One submission of a hundred dispatches through wgpu-py's objects costs a Python object
and an error check each; here the whole encoding is checked once. Pinned to wgpu 0.32.
"""

from itertools import count
from time import perf_counter

import numpy as np
import wgpu
from wgpu.backends.wgpu_native import ffi, lib
from wgpu.backends.wgpu_native._api import error_handler

SPIN = 0.0005  # seconds of asking again and again before waiting in the driver
_NULL = ffi.NULL
_ids = count(1)
_mapped: dict[int, int] = {}


class Checked:
    """Calls inside `with Checked(what):` raise wgpu.GPUError for what went wrong."""

    def __init__(self, what: str):
        self.what = what

    def __enter__(self):
        error_handler.capture(self.what)

    def __exit__(self, kind, value, trace):
        error = error_handler.release(self.what)
        if error is not None and kind is None:
            raise wgpu.GPUError(f"{self.what}: {error[1]}")


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


def submit(device, commands, copies) -> None:
    """Encode commands in one pass, then copies (source, at, target, at, bytes); submit.

    Raises for a device that is lost before it submits: wgpu-native ends the process
    when a submission is refused.
    """
    with Checked("encode"):
        encoder = lib.wgpuDeviceCreateCommandEncoder(device._internal, _NULL)
        if commands:
            run = lib.wgpuCommandEncoderBeginComputePass(encoder, _NULL)
            encode(run, commands)
            lib.wgpuComputePassEncoderEnd(run)
            lib.wgpuComputePassEncoderRelease(run)
        for source, start, target, at, nbytes in copies:
            lib.wgpuCommandEncoderCopyBufferToBuffer(
                encoder, source, start, target, at, nbytes
            )
        buffer = ffi.new("WGPUCommandBuffer[1]")
        buffer[0] = lib.wgpuCommandEncoderFinish(encoder, _NULL)
        lib.wgpuCommandEncoderRelease(encoder)
    with Checked("submit"):
        lib.wgpuQueueSubmit(device.queue._internal, 1, buffer)
        lib.wgpuCommandBufferRelease(buffer[0])


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


@ffi.callback("void(WGPUMapAsyncStatus, WGPUStringView, void *, void *)")
def _on_mapped(status, message, userdata1, userdata2):
    _mapped[int(ffi.cast("intptr_t", userdata1))] = status


def read(device, buffer, nbytes: int, into: np.ndarray, spin: bool) -> None:
    """Map a staging buffer and copy its first bytes into a uint8 array."""
    key = next(_ids)
    info = ffi.new("WGPUBufferMapCallbackInfo *")
    info.mode = lib.WGPUCallbackMode_AllowProcessEvents
    info.callback = _on_mapped
    info.userdata1 = ffi.cast("void *", key)
    handle = buffer._internal
    with Checked("read"):
        lib.wgpuBufferMapAsync(handle, lib.WGPUMapMode_Read, 0, nbytes, info[0])
        poll, internal = lib.wgpuDevicePoll, device._internal
        end = perf_counter() + SPIN * spin
        while key not in _mapped and perf_counter() < end:
            poll(internal, False, _NULL)
        if key not in _mapped:
            poll(internal, True, _NULL)
    if _mapped.pop(key, None) != lib.WGPUMapAsyncStatus_Success:
        raise wgpu.GPUError("read: the buffer could not be mapped")
    try:
        pointer = lib.wgpuBufferGetMappedRange(handle, 0, nbytes)
        into[:] = np.frombuffer(ffi.buffer(pointer, nbytes), np.uint8)
    finally:
        lib.wgpuBufferUnmap(handle)
