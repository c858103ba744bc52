"""Runs in Pyodide under Node: finds out what is imported, and compiles everything.

Pyodide's own Python has to compile: another version's files are of no use. Without
column positions (PYTHONNODEBUGRANGES) and docstrings the files are a third smaller;
tracebacks keep their lines. Loom keeps its docstrings: the reflection reads them.
"""

import bz2
import importlib.util
import io
import json
import marshal
import sys
import zipfile
from pathlib import Path

HEADER = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
TIME = (2020, 1, 1, 0, 0, 0)
STDLIB = "/lib/python314.zip"
SITE = Path("/lib/python3.14/site-packages")

# What a page does from its start to a first training; whatever else is imported later
# comes with the rest.
TYPICAL = """
import json, traceback
import numpy as np
import loom
from loom import browser
browser.describe()
net = loom.Network(4, 1, 1, 2, 1)
net.set_layer(0, 0, 0, loom.Dense(4, 3, "tanh"))
text = net.save_model_to_string("m")
net = loom.load_model_from_string(text, "m")
x = np.ones((4, 4), np.float32)
y = net.forward_cpu(x)[0]
net.train([(x, y)], {"Epochs": 1, "Verbose": False})
net.evaluate_network(x, y)
browser.call(0, "NewNetwork", True, "[4, 1, 1, 1, 1]")
browser.call(1, "ForwardCPU", True, "[[1, 2, 3, 4]]")
browser.call(1, "Unknown", True, "[]")
np.linalg.norm(x); np.isfinite(x).all(); np.concatenate((x, x)); np.einsum("ij->i", x)
np.unique(x); np.histogram(x); np.percentile(x, 50); np.pad(x, 1)
"""

# What the demo page's start adds: Loom's examples and data come with the rest, what
# they import of the library at once.
PAGE = "browser.rehearse()"


def compiled(source: bytes, name: str, level: int) -> bytes:
    """A .pyc that is never checked against a source."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=level)
    return HEADER + marshal.dumps(code)


def module_name(path: str) -> str:
    """a/b/__init__.py -> a.b; a/c.cpython-314-wasm32-emscripten.so -> a.c"""
    parts = path.split("/")
    parts[-1] = parts[-1].partition(".")[0]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_code(path: str) -> bool:
    """Whether a file is a module, not data."""
    return path.endswith((".py", ".so"))


def stored(files: dict[str, bytes]) -> bytes:
    """A zip without compression: Brotli does better on the whole."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path, TIME), data)
    return out.getvalue()


def pack(files: dict[str, bytes]) -> bytes:
    """Length of an index (4 bytes), the index [[path, size]] as JSON, and the files."""
    rows = sorted(files.items())
    index = json.dumps([[path, len(data)] for path, data in rows]).encode()
    head = len(index).to_bytes(4, "little") + index
    return head + b"".join(data for _, data in rows)


def stdlib() -> dict[str, bytes]:
    """Path -> source of every file that the standard library's zip holds."""
    with zipfile.ZipFile(STDLIB) as archive:
        return {
            name: archive.read(name)
            for name in archive.namelist()
            if not name.endswith("/")
        }


def installed(package: str) -> dict[str, bytes]:
    """Path -> content of the package's files that a program may need."""
    unwanted = {"tests", "__pycache__", "include"}
    wanted = ("*",) if package == "loom" else ("*.py", "*.so")
    return {
        str(path.relative_to(SITE)): path.read_bytes()
        for pattern in wanted
        for path in sorted((SITE / package).rglob(pattern))
        if path.is_file()
        and not unwanted & set(path.parts)
        and not path.name.endswith(".pyc")
    }


def unpacked(files: dict[str, bytes]) -> dict[str, bytes]:
    """Of loom/assets just shaders and tables, and these open: Brotli does better."""
    out = {path: data for path, data in files.items() if not path.endswith(".bz2")}
    shaders, tables = "loom/assets/shaders.json", "loom/assets/data.json.bz2"
    out[shaders] = bz2.decompress(files[f"{shaders}.bz2"])
    for name, text in json.loads(bz2.decompress(files[tables])).items():
        out[f"loom/data/texts/{name}"] = text.encode()
    return out


def ready(files: dict[str, bytes], level: int, root: str) -> dict[str, bytes]:
    """The same files with sources compiled."""
    out = {}
    for path, data in files.items():
        if path.endswith(".py"):
            out[path + "c"] = compiled(data, f"{root}/{path}", level)
        else:
            out[path] = data
    return out


def split(files: dict[str, bytes], used: set[str]) -> tuple[dict, dict]:
    """The modules that are used, with the data of their packages, and the rest."""
    packages = {p.rpartition("/")[0] for p in files if p.endswith("/__init__.py")}

    def is_used(path: str) -> bool:
        if is_code(path):
            return module_name(path) in used
        folder = path.rpartition("/")[0]
        while folder and folder not in packages:
            folder = folder.rpartition("/")[0]
        return not folder or folder.replace("/", ".") in used

    base = {path: data for path, data in files.items() if is_used(path)}
    return base, {path: data for path, data in files.items() if path not in base}


def metadata(package: str) -> dict[str, bytes]:
    """What importlib.metadata and micropip ask for: name, version and requirements."""
    wanted = ("Metadata-Version:", "Name:", "Version:", "Requires-Dist:")
    (path,) = SITE.glob(f"{package}-*.dist-info/METADATA")
    lines = path.read_text().partition("\n\n")[0].splitlines()
    text = "".join(f"{line}\n" for line in lines if line.startswith(wanted))
    return {str(path.relative_to(SITE)): text.encode()}


def main(out: Path, ours: Path) -> None:
    """Write base.zip, the packs and the index of the rest's modules to `out`."""
    names = {}
    exec(TYPICAL, names)
    ours_used = set(sys.modules)
    exec(PAGE, names)
    used = set(sys.modules)
    base, rest = split(stdlib(), used)
    numpy, more = split(installed("numpy"), used)
    numpy |= metadata("numpy")
    random = {p: d for p, d in more.items() if p.startswith("numpy/random/")}
    more = {p: d for p, d in more.items() if p not in random}
    loom, later = split(unpacked(installed("loom")), ours_used)
    packs = {"stdlib": rest, "numpy": more, "random": random, "loom": later}
    index = {
        module_name(path): name
        for name, files in packs.items()
        for path in files
        if is_code(path)
    }
    loom = ready(loom, 1, str(SITE)) | metadata("loom_nn")
    loom["_loom_rest.pyc"] = compiled(ours.read_bytes(), "_loom_rest.py", 2)
    loom["_loom_rest.json"] = json.dumps(index).encode()
    (out / "python-base.zip").write_bytes(stored(ready(base, 2, STDLIB)))
    (out / "numpy-base.pack").write_bytes(pack(ready(numpy, 2, str(SITE))))
    (out / "loom_nn-base.pack").write_bytes(pack(loom))
    for name, files in packs.items():
        root = "/lib/python3.14" if name == "stdlib" else str(SITE)
        level = 1 if name == "loom" else 2
        (out / f"rest-{name}.pack").write_bytes(pack(ready(files, level, root)))
