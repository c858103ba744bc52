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
    detector.py  which adapters there are, and which one is taken
    array.py     an array that stays on a device, for passes that take it many times
    store.py     a network's own buffers, for both runners
    browser.py   runs programs in a page by web/webgpu.mjs
    asynchronous.py  a session and training there, where reading is awaited

program, builder, layout, memory, shaders and kernels stand below the layers and import
neither wgpu nor js.
"""

import sys

from loom.errors import ConfigError, DeviceError, known

AWAIT = (
    "in a page whatever reads from the GPU is awaited: await net.forward_gpu_async(x) "
    "in Python, await network.ForwardGPU(x) in JavaScript."
)
PRECISIONS = ("f32", "f16", "auto")
DEVICES = ("one", "all")


def check_options(precision: str, devices: str) -> None:
    """Raise ConfigError for a name that init_gpu does not know."""
    for name, value, all_of in (
        ("precision", precision, PRECISIONS),
        ("devices", devices, DEVICES),
    ):
        if value not in all_of:
            raise ConfigError(f"init_gpu: {known(value, all_of, name)}")


def open_session(net, precision: str, devices: str):
    """`net` on the GPU that LOOM_GPU chooses, or on all of its kind.

    A session that is open is closed, unless there is no such GPU: DeviceError.
    """
    if sys.platform == "emscripten":
        raise DeviceError(AWAIT)
    from loom.gpu.detector import adapters, choose, kind
    from loom.gpu.session import Session

    check_options(precision, devices)
    first = choose()
    net.release_gpu()
    if devices == "all":
        same = [row for row in adapters() if kind(row) == kind(first)]
        if len(same) > 1:
            from loom.gpu.team import Team

            return Team(net, same, precision).opened_as(precision, devices)
    return Session(net, first, precision).opened_as(precision, devices)
