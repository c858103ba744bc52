"""The ordinary way to a GPU's answer: what a small batch is measured against.

One empty dispatch by plain wgpu, as anyone would write it who counts microseconds:
recorded, submitted, its 40 bytes copied to a staging buffer, which is mapped by asking
again and again. Straight calls of the C library; nothing here is Loom's.
"""

import numpy as np
import wgpu
from wgpu.backends.wgpu_native import ffi, lib

VALUES = 10
SOURCE = f"""
@group(0) @binding(0) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u) {{
    if (id.x < {VALUES}u) {{
        y[id.x] = f32(id.x);
    }}
}}
"""
_usage = wgpu.BufferUsage


class Trip:
    """Called, it makes the trip on a wgpu device and gives the values."""

    def __init__(self, device):
        self._device = device
        module = device.create_shader_module(code=SOURCE)
        self._pipeline = device.create_compute_pipeline(
            layout="auto", compute={"module": module, "entry_point": "main"}
        )
        self._nbytes = 4 * VALUES
        self._source = device.create_buffer(
            size=self._nbytes, usage=_usage.STORAGE | _usage.COPY_SRC
        )
        self._staging = device.create_buffer(
            size=self._nbytes, usage=_usage.MAP_READ | _usage.COPY_DST
        )
        self._group = device.create_bind_group(
            layout=self._pipeline.get_bind_group_layout(0),
            entries=[{"binding": 0, "resource": {"buffer": self._source}}],
        )
        self._status: list[int] = []
        self._info = ffi.new("WGPUBufferMapCallbackInfo *")
        self._info.mode = lib.WGPUCallbackMode_AllowProcessEvents
        self._callback = ffi.callback(
            "void(WGPUMapAsyncStatus, WGPUStringView, void *, void *)",
            lambda status, message, one, two: self._status.append(status),
        )
        self._info.callback = self._callback

    def __call__(self) -> np.ndarray:
        """There and back."""
        device, queue = self._device._internal, self._device.queue._internal
        source, staging = self._source._internal, self._staging._internal
        nbytes, null, status = self._nbytes, ffi.NULL, self._status
        encoder = lib.wgpuDeviceCreateCommandEncoder(device, null)
        run = lib.wgpuCommandEncoderBeginComputePass(encoder, null)
        lib.wgpuComputePassEncoderSetPipeline(run, self._pipeline._internal)
        lib.wgpuComputePassEncoderSetBindGroup(run, 0, self._group._internal, 0, null)
        lib.wgpuComputePassEncoderDispatchWorkgroups(run, 1, 1, 1)
        lib.wgpuComputePassEncoderEnd(run)
        lib.wgpuComputePassEncoderRelease(run)
        lib.wgpuCommandEncoderCopyBufferToBuffer(encoder, source, 0, staging, 0, nbytes)
        commands = lib.wgpuCommandEncoderFinish(encoder, null)
        lib.wgpuCommandEncoderRelease(encoder)
        lib.wgpuQueueSubmit(queue, 1, [commands])
        lib.wgpuCommandBufferRelease(commands)
        lib.wgpuBufferMapAsync(staging, lib.WGPUMapMode_Read, 0, nbytes, self._info[0])
        while not status:
            lib.wgpuDevicePoll(device, False, null)
        status.clear()
        data = lib.wgpuBufferGetMappedRange(staging, 0, nbytes)
        values = np.frombuffer(ffi.buffer(data, nbytes), np.float32).copy()
        lib.wgpuBufferUnmap(staging)
        return values
