"""Which GPUs there are, and which one is taken: by LOOM_GPU.

auto         the best one: discrete, integrated, other, software (with a warning)
discrete, integrated, software    only one of that type
scan         as auto, but each is opened and given work; the first that answers right
none         none at all
"""

import os
import time
import warnings
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np

from loom.errors import ConfigError, DeviceError, known

POLICIES = ("auto", "discrete", "integrated", "software", "none", "scan")
_TYPES = {
    "DiscreteGPU": "discrete",
    "IntegratedGPU": "integrated",
    "CPU": "software",
}
_ORDER = ("discrete", "integrated", "other", "software")
INSTALL = (
    "Install the driver of your GPU with its Vulkan part (Debian: nvidia-driver or "
    "mesa-vulkan-drivers, and libvulkan1), or update Windows' or macOS's own. Without "
    "a GPU, mesa-vulkan-drivers has a software one; the CPU (forward_cpu, "
    "use_gpu=False) works everywhere."
)
_found: list = []


def policy() -> str:
    """LOOM_GPU, or "auto". Raises ConfigError for an unknown one."""
    value = os.environ.get("LOOM_GPU", "").strip().lower() or "auto"
    if value not in POLICIES:
        raise ConfigError(f"LOOM_GPU: {known(value, POLICIES, 'policy')}")
    return value


def detect(quiet: bool = False) -> dict[str, Any]:
    """The report of the GPU that would be taken, or DeviceError.

    `quiet` keeps a software GPU from warning.
    """
    with warnings.catch_warnings():
        if quiet:
            warnings.simplefilter("ignore")
        return report(choose())


def detect_all() -> list[dict[str, Any]]:
    """A report of each GPU here, the best first; empty where there is none."""
    return [report(adapter) for adapter in adapters(anew=True)]


def choose(wanted: str | None = None):
    """The adapter that the policy takes, or DeviceError that says what to do."""
    wanted = wanted or policy()
    if wanted == "none":
        raise DeviceError(
            "no GPU: LOOM_GPU=none forbids it. Unset LOOM_GPU, or use the CPU."
        )
    found = adapters()
    if not found:
        raise DeviceError(f"no GPU was found. {INSTALL}")
    if wanted == "scan":
        return _scan(found)
    if wanted == "auto":
        if kind(found[0]) == "software":
            warnings.warn(
                f"only a software GPU was found ({found[0].info['device']}): the CPU "
                "path is faster. LOOM_GPU=software takes it without a warning.",
                stacklevel=3,
            )
        return found[0]
    for adapter in found:
        if kind(adapter) == wanted:
            return adapter
    have = ", ".join(f"{a.info['device']} ({kind(a)})" for a in found)
    raise DeviceError(
        f"no {wanted} GPU, as LOOM_GPU={wanted} asks for; found {have}. Set "
        "LOOM_GPU=auto to take it."
    )


def adapters(anew: bool = False) -> list:
    """wgpu's adapters, the best first."""
    # Once, if there are any: a look takes milliseconds, and what wgpu-py makes for it
    # is kept by a running event loop (a notebook's) until that has its next turn.
    if anew or not _found:
        _found[:] = sorted(_enumerate(), key=lambda a: _ORDER.index(kind(a)))
    return list(_found)


@lru_cache(maxsize=1)
def _wgpu():
    """The wgpu package, its instance without OpenGL: that only repeats the adapters."""
    try:
        import wgpu
        from wgpu.backends.wgpu_native import extras
    except ImportError as error:
        raise DeviceError(
            f"wgpu is not here ({error}). Install it: pip install 'wgpu>=0.32,<0.33'."
        ) from None
    except (OSError, RuntimeError) as error:
        raise DeviceError(f"wgpu cannot start: {error}. {INSTALL}") from None
    # Another user of wgpu in this process may have made the instance already.
    with suppress(RuntimeError):
        extras.set_instance_extras(backends=["Vulkan", "Metal", "DX12"])
    return wgpu


def _enumerate() -> list:
    wgpu = _wgpu()
    from loom.gpu import native  # which needs wgpu

    native.allowed()
    try:
        found = list(wgpu.gpu.enumerate_adapters_sync())
    except (OSError, RuntimeError) as error:
        raise DeviceError(f"the GPUs cannot be listed: {error}. {INSTALL}") from None
    return [row for row in found if row.info["backend_type"] != "OpenGL"]


def kind(adapter) -> str:
    """ "discrete", "integrated", "software" or "other"."""
    return _TYPES.get(adapter.info["adapter_type"], "other")


def key(adapter) -> str:
    """What tells this adapter from others, the same in every process."""
    info = adapter.info
    name = "-".join(str(info["device"]).lower().split())
    return (
        f"{info['backend_type']}:{info['vendor_id']:04x}:{info['device_id']:04x}:{name}"
    ).lower()


def report(adapter) -> dict[str, Any]:
    """What is known of an adapter, JSON-able."""
    from loom.gpu.native import limits_of

    wgpu = _wgpu()
    info, limits = adapter.info, limits_of(adapter)
    group = 256 if limits.invocations >= 256 else 64
    return {
        "key": key(adapter),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "runtime": f"wgpu-py {wgpu.__version__}",
        "backend": info["backend_type"],
        "adapter_type": kind(adapter),
        "vendor": info["vendor"],
        "vendor_id": info["vendor_id"],
        "device_id": info["device_id"],
        "name": info["device"],
        "driver": info["description"],
        "limits": {k: int(v) for k, v in adapter.limits.items()},
        "features": sorted(adapter.features),
        "recommended": {
            "workgroup": group,
            "tile": 128 if limits.shared >= 16384 and not limits.software else 32,
            "budget_bytes": limits.binding,
        },
    }


def _scan(found: list):
    """The first adapter that opens and adds two and two."""
    from loom.gpu.native import opened

    problems = []
    for adapter in found:
        try:
            if _works(opened(adapter)):
                return adapter
            problems.append(f"{adapter.info['device']}: wrong results")
        except DeviceError as error:
            problems.append(f"{adapter.info['device']}: {error}")
    raise DeviceError(f"no GPU works: {'; '.join(problems)}. {INSTALL}")


def _works(device) -> bool:
    from loom.gpu.builder import Builder
    from loom.gpu.kernels import elementwise

    b = Builder(limits=device.limits)
    x = b.input("x", (1000,))
    b.output("y", elementwise.add(b, x, x))
    run = device.load(b.finish())
    try:
        values = np.arange(1000, dtype=np.float32)
        run.write("x", values)
        return bool((run.run(["forward"], ("y",))[0] == 2 * values).all())
    finally:
        run.close()
