"""`loom export web`: a model as a stand-alone ES module, without Python.

DIR/
  model.mjs, model.d.mts   load() and predict(Float32Array), and their types
  model.json               the calls of a prediction (see `steps`), and what is where
  weights.bin              every parameter as float32, little-endian
  kernels.wasm             the SIMD kernels for the CPU
  program.json             the GPU program as data
  webgpu.mjs, executable.mjs, errors.mjs   what runs it

The numbers are those of forward_cpu, within rounding.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from loom import assets
from loom.errors import ConfigError
from loom.export.steps import Plan
from loom.files import check_writable, make_folder
from loom.gpu.lower import lower
from loom.gpu.program import Limits
from loom.network import Network

HERE = Path(__file__).parent
KERNELS = HERE.parent / "kernels" / "standalone.wasm"
MODULE = ("model.mjs", "model.d.mts")
# The page's own.
SHARED = ("webgpu.mjs", "executable.mjs", "errors.mjs")
VERSION = 1


def export_web(
    net: Network, folder: str | Path, *, gpu: bool = True, batch: int = 1
) -> list[Path]:
    """Write `net` to `folder` as an ES module; the files, in the order of the above.

    gpu: with the GPU program, for batches of `batch` samples (the CPU takes any).
    Raises ConfigError for a layer that has no form without Python, DeviceError for one
    that a GPU with the least limits cannot hold.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"export web: {folder} is a file. Name a folder.")
    if batch < 1:
        raise ConfigError(f"export web: expected batch of at least 1, got {batch}.")
    net.output_size()
    plan = Plan(net)
    program = lower(net, batch, "forward").to_dict() if gpu else None
    make_folder(folder, "export web: ")
    check_writable(folder / MODULE[0])
    for name in MODULE:
        shutil.copyfile(HERE / name, folder / name)
    described = {
        "version": VERSION,
        "inputShape": list(net.input_shape),
        "outputShape": list(net.shapes()[-1]),
        **plan.to_dict(),
        "arenas": plan.arenas(Limits()) if gpu else [],
        "batch": batch if gpu else 0,
    }
    (folder / "model.json").write_text(_compact(described))
    (folder / "weights.bin").write_bytes(plan.weights().astype("<f4").tobytes())
    shutil.copyfile(KERNELS, folder / "kernels.wasm")
    written = [*MODULE, "model.json", "weights.bin", "kernels.wasm"]
    if program:
        (folder / "program.json").write_text(_compact(program))
        for name in SHARED:
            (folder / name).write_text(assets.texts("page")[name], encoding="utf-8")
        written += ["program.json", *SHARED]
    return [folder / name for name in written]


def _compact(value: dict) -> str:
    return json.dumps(value, separators=(",", ":"), default=_number)


def _number(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"not JSON: {value!r}")
