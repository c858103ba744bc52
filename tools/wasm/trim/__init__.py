"""The runtime in two parts: what a start needs, and the rest, fetched on import.

runtime/
  python-base.zip    the standard library's modules that a start imports, compiled
  numpy-base.pack    the same of NumPy
  loom_nn-base.pack  the same of Loom, the finder of the rest, and its index
  rest-NAME.pack     stdlib, numpy, random (of NumPy), loom: everything else

Pyodide compiles them itself, under Node (see inside.py); what comes out is kept in the
cache under the hash of all that goes in. web/packs.mjs and web/rest.py use them.
"""

import shutil
import tempfile
from pathlib import Path

from loom.fabric.vendor import PYODIDE, digest
from tools.wasm.sources import ROOT, cache, run

HERE = Path(__file__).parent
REST = ROOT / "web" / "rest.py"


def write(runtime: Path, wheels: list[Path]) -> None:
    """Write the files beside the whole Pyodide and the wheels in `runtime`."""
    inputs = [*wheels, *sorted(HERE.glob("inside.*")), REST]
    key = digest(
        "\n".join([PYODIDE, *(digest(p.read_bytes()) for p in inputs)]).encode()
    )
    kept = cache("trimmed", key[:16])
    if not kept.is_dir():
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            out = Path(scratch, "out")
            out.mkdir()
            run("node", HERE / "inside.mjs", runtime, out, REST)
            out.rename(kept)
    for path in kept.iterdir():
        shutil.copy(path, runtime)
