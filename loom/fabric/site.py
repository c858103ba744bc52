"""The demo page as a folder, made from this installation.

The page's own files, Pyodide and NumPy come from one origin, so its policy stays what
it is on any host: nothing leaves the page. Pyodide and NumPy are whole here; a
published build (build_wasm.py) has them trimmed, for the network's sake.
"""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import loom
from loom import assets
from loom.fabric import vendor
from loom.files import make_folder

# What web/packs.mjs starts Python from: the library, and two packs.
START = ("python-base.zip", "numpy-base.pack", "loom_nn-base.pack")
# A page on this computer need not be kept for later; what one kept is dropped, since
# other programs may take the address.
NO_WORKER = """\
async function leave() {
  const ours = (await caches.keys()).filter((name) => name.startsWith("loom-"));
  await Promise.all(ours.map((name) => caches.delete(name)));
  const files = await navigator.storage.getDirectory();
  await files.removeEntry("loom-start", { recursive: true }).catch(() => {});
  await self.registration.unregister();
}
self.addEventListener("activate", (event) => event.waitUntil(leave()));
"""


def write(folder: Path, kept: Path, say: Callable = print) -> None:
    """Write the whole site to `folder`; what others made is fetched into `kept`."""
    for name, text in assets.texts("page").items():
        path = folder / name
        make_folder(path.parent)
        path.write_text(text, encoding="utf-8")
    (folder / "service-worker.js").write_text(NO_WORKER)
    add_vendor(folder, kept, say)
    runtime = folder / "runtime"
    (runtime / "python_stdlib.zip").rename(runtime / START[0])
    shutil.copy(vendor.fetch(vendor.LOCK, kept, say), runtime)
    numpy = vendor.fetch(vendor.python_package("numpy", kept, say), kept, say)
    (runtime / START[1]).write_bytes(pack(wheel_files(numpy)))
    (runtime / START[2]).write_bytes(pack(our_files()))
    describe(folder)


def add_vendor(folder: Path, kept: Path, say: Callable = print) -> None:
    """Pyodide into runtime/, and the charts into vendor/uplot/."""
    places = {"runtime": vendor.RUNTIME, "vendor/uplot": vendor.CHARTS}
    for place, files in places.items():
        make_folder(folder / place)
        for file in files:
            data = vendor.fetch(file, kept, say).read_bytes()
            if file.name.endswith(".mjs"):
                # A map that is named and not there would be an error in the console.
                data = data.partition(b"\n//# sourceMappingURL=")[0] + b"\n"
            (folder / place / file.name).write_bytes(data)


def describe(folder: Path) -> None:
    """Write files.json: our version, and the bytes of what a start loads."""
    names = [file.name for file in vendor.RUNTIME if file.name.endswith(("js", "wasm"))]
    names = [f"runtime/{name}" for name in (*names, vendor.LOCK.name, *START)]
    sizes = {name: (folder / name).stat().st_size for name in names}
    listing = {"version": loom.__version__, "files": sizes}
    (folder / "files.json").write_text(json.dumps(listing, indent=1))


def pack(files: dict[str, bytes]) -> bytes:
    """Length of an index (4 bytes), the index [[path, size]] as JSON, and the files."""
    rows = sorted(files.items())
    index = json.dumps([[path, len(data)] for path, data in rows]).encode()
    return len(index).to_bytes(4, "little") + index + b"".join(data for _, data in rows)


def wheel_files(wheel: Path) -> dict[str, bytes]:
    """Path -> content of what a program may need of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: archive.read(name)
            for name in archive.namelist()
            if name.endswith((".py", ".so", "METADATA")) and "/tests/" not in name
        }


def our_files() -> dict[str, bytes]:
    """Path -> content of this Loom, as the page needs it."""
    root = Path(loom.__file__).parent
    foreign = ("cabi", "fabric", "assets", "kernels/c")
    out = {
        f"loom/{name}": path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
        and not (name := path.relative_to(root).as_posix()).startswith(foreign)
        and "__pycache__" not in name
    }
    out["loom/assets/__init__.py"] = Path(assets.__file__).read_bytes()
    out["loom/assets/shaders.json"] = json.dumps(assets.texts("shaders")).encode()
    for name, text in assets.texts("data").items():
        out[f"loom/data/texts/{name}"] = text.encode()
    metadata = f"Metadata-Version: 2.1\nName: loom-nn\nVersion: {loom.__version__}\n"
    out[f"loom_nn-{loom.__version__}.dist-info/METADATA"] = metadata.encode()
    out["_loom_rest.py"] = assets.texts("page")["rest.py"].encode()
    out["_loom_rest.json"] = b"{}"  # nothing comes later
    return out
