"""The GPU room: programs as data, what builds them, and what runs them.

    program.py   buffers, pipelines, dispatches: pure data, JSON-able
    builder.py   what kernels append to; allocates, validates
    layout.py    where parameters lie in the arenas
    memory.py    which transient buffers may share memory
    shaders.py   the text of shaders/*.wgsl with its includes
    kernels/     operations: one file a family, one function an operation
    lower.py     a network as a program
    native.py    a device, by wgpu-py: memory, pipelines, submissions
    executable.py  a program on it: written, run, read
    session.py   a network on a device: programs, weights in both places
    opening.py   init_gpu's options, the session that they mean
    detector.py  which adapters there are, and which one is taken
    array.py     an array that stays on a device, for passes that take it many times
    store.py     a network's own buffers, for both runners
    browser.py   runs programs in a page by web/webgpu.mjs
    asynchronous.py  a session and training there, where reading is awaited

program, builder, layout, memory, shaders and kernels stand below the layers and import
neither wgpu nor js.
"""

import sys

from loom.errors import DeviceError

AWAIT = (
    "in a page whatever reads from the GPU is awaited: await net.forward_gpu_async(x) "
    "in Python, await network.ForwardGPU(x) in JavaScript."
)


def open_session(net, precision: str, devices: str):
    """`net` on the GPU that LOOM_GPU chooses; DeviceError where wgpu is missing."""
    if sys.platform == "emscripten":
        raise DeviceError(AWAIT)
    try:
        from loom.gpu import opening
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceError(
            f"wgpu is not here ({error}). Install it: pip install 'wgpu>=0.32,<0.33'."
        ) from None
    return opening.open_session(net, precision, devices)
