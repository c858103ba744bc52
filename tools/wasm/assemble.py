"""web/dist: the runtime, our wheel, the JavaScript API and the page, self-contained.

web/dist/
  loom.mjs, worker.mjs, ...  every file of web/, as it lies there
  loom.d.mts                 TypeScript declarations, from the reflection
  files.json                 version, and the size in bytes of what is loaded
  runtime/                   Pyodide, its lock file and the wheels that it lists, whole;
                             and the packs that loom.mjs starts from (tools/wasm/trim)
  vendor/uplot/              charts for the page
  *.br                       the same files for servers that can send Brotli
"""

import fcntl
import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from loom.fabric import site, vendor
from loom.fabric.vendor import digest
from tools.wasm import kernels, trim
from tools.wasm.sources import (
    ROOT,
    BuildError,
    cache,
    run,
)

DIST = ROOT / "web" / "dist"
PACKAGES = ("numpy", "micropip")  # beside ours
# Seldom other bytes, so the slowest compression is waited for once.
SETTLED = ("pyodide.asm.wasm", "python-base.zip", "numpy-base.pack")
COMPRESSED = {
    *(".mjs", ".js", ".css", ".html", ".json", ".wasm", ".zip", ".whl", ".svg", ".pack")
}


def build(quality: int = 9) -> Path:
    """Assemble web/dist anew and give its path; `quality` is Brotli's, to 11."""
    with _one_at_a_time():
        fresh = DIST.with_name("build")
        shutil.rmtree(fresh, ignore_errors=True)
        _copy_sources(fresh)
        kernels.current()
        _write_runtime(fresh)
        _write_generated(fresh)
        paths = [p for p in fresh.rglob("*") if p.suffix in COMPRESSED and p.is_file()]
        with ThreadPoolExecutor() as pool:
            for _ in pool.map(partial(_compress, quality=quality), paths):
                pass  # failures are raised here
        shutil.rmtree(DIST, ignore_errors=True)
        fresh.rename(DIST)
    return DIST


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with cache("build.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _copy_sources(target: Path) -> None:
    shutil.copytree(
        ROOT / "web",
        target,
        ignore=shutil.ignore_patterns("dist", "build", ".*", "__pycache__"),
    )
    shutil.copy(ROOT / "LICENSE", target)


def _write_runtime(target: Path) -> None:
    """Pyodide, the wheels, a lock file of just these, and the charts."""
    from pyodide_lock import PyodideLockSpec
    from pyodide_lock.utils import add_wheels_to_spec

    kept = cache("vendor")
    site.add_vendor(target, kept)
    runtime = target / "runtime"
    wheels = {
        name: vendor.fetch(vendor.python_package(name, kept), kept) for name in PACKAGES
    }
    for path in wheels.values():
        shutil.copy(path, runtime)
    wheel = build_wheel(runtime)
    lock = json.loads(vendor.fetch(vendor.LOCK, kept).read_bytes())
    lock["packages"] = {name: lock["packages"][name] for name in PACKAGES}
    lock["info"].setdefault("version", vendor.PYODIDE)  # pyodide-lock 0.1 wants it
    path = runtime / "pyodide-lock.json"
    path.write_text(json.dumps(lock))
    spec = PyodideLockSpec.from_json(path)
    spec = add_wheels_to_spec(spec, [wheel], base_path=runtime)
    spec.check_wheel_filenames()
    spec.to_json(path, indent=1)
    trim.write(runtime, [wheel, wheels["numpy"]])


def build_wheel(folder: Path) -> Path:
    """Our own wheel, built into `folder`; the same sources give the same bytes."""
    run(
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        folder,
        cwd=ROOT,
    )
    wheel = next(folder.glob("loom_nn-*.whl"))
    if not wheel.name.endswith("-py3-none-any.whl"):
        raise BuildError(f"expected a py3-none-any wheel, got {wheel.name}.")
    return wheel


def _write_generated(target: Path) -> None:
    from tools.wasm.declarations import declarations

    (target / "loom.d.mts").write_text(declarations())
    site.describe(target)
    _name_build(target)
    _write_service_worker(target)


def _name_build(target: Path) -> None:
    """Put into files.json a hash of what a start that is kept (kept.mjs) is made of."""
    listing = json.loads((target / "files.json").read_text())
    parts = [*listing["files"], "runtime/rest-loom.pack", "kept.mjs", "packs.mjs"]
    hashes = "".join(digest((target / part).read_bytes()) for part in parts)
    listing["build"] = digest(hashes.encode())[:16]
    (target / "files.json").write_text(json.dumps(listing, indent=1))


def _write_service_worker(target: Path) -> None:
    """Put what it has to keep, and a name for just that, before its source."""
    unwanted = {".whl", ".mts", ".zip"}  # for those who load Pyodide themselves
    files = [
        path
        for path in sorted(target.rglob("*"))
        if path.is_file()
        and path.name != "service-worker.js"
        and (path.suffix not in unwanted or path.name in site.START)
    ]
    contents = [f"{p.relative_to(target)} {digest(p.read_bytes())}" for p in files]
    script = target / "service-worker.js"
    build = {
        "version": digest("\n".join([*contents, script.read_text()]).encode())[:16],
        "files": [path.relative_to(target).as_posix() for path in files],
    }
    script.write_text(f"const BUILD = {json.dumps(build)};\n{script.read_text()}")


def _compress(path: Path, quality: int) -> None:
    """Write PATH.br beside `path`, if it is a tenth smaller; kept in the cache."""
    import brotli

    if path.name in SETTLED:
        quality = 11
    data = path.read_bytes()
    kept = cache("brotli", f"{digest(data)}-{quality}.br")
    if not kept.is_file():
        partial = kept.with_suffix(".partial")
        partial.write_bytes(brotli.compress(data, quality=quality))
        partial.replace(kept)
    if kept.stat().st_size < 0.9 * len(data):
        shutil.copy(kept, path.with_name(path.name + ".br"))
