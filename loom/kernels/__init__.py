"""The SIMD kernels of the browser: float32 arrays in, float32 arrays out, no copies.

In Pyodide NumPy has no BLAS and no vector units. `c/` is a small freestanding C library
that has both; `_simd.wasm` and `_relaxed.wasm` are that library compiled, as Python
extension modules with the buffer protocol (see `tools/wasm/kernels.py`, which builds
them). Their suffix is not .so, since Pyodide would load every .so of a wheel, also one
that the browser cannot compile.

`simd` is the module for this interpreter, or None: natively, and in a browser without
SIMD. Only `loom.linalg` and `loom.activations` ask for it. A kernel answers False for
arrays that it does not take, and the caller uses NumPy. LOOM_KERNELS=off in the
environment leaves everything to NumPy; `_simd` or `_relaxed` chooses.
"""

import os
import sys
import warnings
from types import ModuleType

from loom.errors import ConfigError, known

# Two modules of one function: i8x16.splat, and i8x16.relaxed_swizzle. An engine that
# validates them runs SIMD128, or relaxed SIMD.
_HEADER = bytes.fromhex("0061736d01000000 010501600001 7b 03020100 0a")
PROBES = {
    "_relaxed": _HEADER + bytes.fromhex("0f010d00 4100fd0f 4100fd0f fd8002 0b"),
    "_simd": _HEADER + bytes.fromhex("08010600 4100fd0f 0b"),
}


def flavour() -> str | None:
    """The best kernels that this interpreter can run: their module's name, or None."""
    chosen = os.environ.get("LOOM_KERNELS")
    if chosen and chosen not in (*PROBES, "off"):
        raise ConfigError(known(chosen, (*PROBES, "off"), "LOOM_KERNELS"))
    if sys.platform != "emscripten" or chosen == "off":
        return None
    if chosen:
        return chosen
    from js import WebAssembly
    from pyodide.ffi import to_js

    for name, probe in PROBES.items():
        if WebAssembly.validate(to_js(probe)):
            return name
    return None


def load(name: str) -> ModuleType:
    """The extension module of a flavour. ImportError where it cannot be compiled."""
    from importlib.machinery import ExtensionFileLoader
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    path = str(Path(__file__).with_name(f"{name}.wasm"))
    loader = ExtensionFileLoader(f"{__name__}.{name}", path)
    spec = spec_from_file_location(loader.name, path, loader=loader)
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def _simd() -> ModuleType | None:
    name = flavour()
    if name is None:
        return None
    try:
        return load(name)
    except ImportError as error:
        warnings.warn(
            f"the SIMD kernels could not be loaded ({error}); NumPy computes, slower. "
            "Does this page's policy allow 'wasm-unsafe-eval', and is the wheel whole?",
            stacklevel=2,
        )
        return None


simd = _simd()
