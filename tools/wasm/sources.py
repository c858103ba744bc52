"""Third-party files for the browser: pinned, verified, cached.

Every file is checked against a SHA-256 that stands here or in Pyodide's lock file, so
it does not matter where it came from. The cache is `.cache/` (or $LOOM_CACHE); with it
filled, nothing is downloaded.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYODIDE = "314.0.4"
# name -> version, SHA-256 of its npm tarball
NPM = {
    "pyodide": (
        PYODIDE,
        "85d930cbff5bcf8bf8f5fb62d5b73d9a1e73f706a8a64c3e527ec980f1d32bd4",
    ),
    "uplot": (
        "1.6.32",
        "4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d",
    ),
    "typescript": (
        "5.9.3",
        "10e108c9cf7d5f2879053dff18515fb405abf2ccef63eaaf017d9c571687a1d3",
    ),
    "@jax-js/jax": (
        "0.1.25",
        "6bb85e8f37f497fa0eccf0beb25f1c69225db94e555e82e20a848eaac79db30e",
    ),
    "@tensorflow/tfjs": (
        "4.22.0",
        "56505c191e24116787477b3bb5bb1cc0cf1c2bdce8112b9c402a8a2d31cf2f00",
    ),
    "@tensorflow/tfjs-backend-wasm": (
        "4.22.0",
        "5cd6f5e18657c12fb94f4ec3dcef485c8c1a9ca39f3ef1d261c1cb13c1a231c3",
    ),
    "@tensorflow/tfjs-backend-webgpu": (
        "4.22.0",
        "e60089ded350de2a7ec0b367bd44c62a516da312d69a84a3f2e1aa3bb31c97e6",
    ),
    "onnxruntime-web": (
        "1.30.0",
        "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
    ),
}
# Where `python -m bench web --peers` serves them.
PEERS = {
    "jax": "@jax-js/jax",
    "tfjs": "@tensorflow/tfjs",
    "tfjs-backend-wasm": "@tensorflow/tfjs-backend-wasm",
    "tfjs-backend-webgpu": "@tensorflow/tfjs-backend-webgpu",
    "onnxruntime-web": "onnxruntime-web",
}
# The npm package of Pyodide holds no packages; they are on its CDN and, where that
# cannot be reached, in this distribution, which carries a copy of them.
CDN = f"https://cdn.jsdelivr.net/pyodide/v{PYODIDE}/full/"
DONOR, DONOR_FOLDER = "open-webui==0.12.4", "open_webui/frontend/pyodide/"


class BuildError(Exception):
    """The web build cannot go on; the message says what to do."""


def cache(*parts: str) -> Path:
    """A path in the cache, whose folder exists."""
    path = Path(os.environ.get("LOOM_CACHE") or ROOT / ".cache", *parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def sha256(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command; BuildError with its output when it fails."""
    try:
        done = subprocess.run(
            [str(c) for c in command],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except FileNotFoundError:
        raise BuildError(
            f"{command[0]} was not found. Install Node.js 20 or newer with npm "
            "(Debian: apt-get install nodejs npm)."
        ) from None
    if done.returncode:
        shown = " ".join(str(c) for c in command)
        raise BuildError(f"`{shown}` failed:\n{done.stdout.strip()}")


def npm_package(name: str) -> Path:
    """The unpacked folder of a pinned npm package."""
    version, expected = NPM[name]
    folder = cache("npm", f"{name}-{version}")
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        run("npm", "pack", "--silent", f"{name}@{version}", cwd=Path(scratch))
        tarball = next(Path(scratch).glob("*.tgz"))
        _verify(tarball.read_bytes(), expected, f"npm package {name}@{version}")
        with tarfile.open(tarball) as archive:
            archive.extractall(scratch, filter="data")
        (Path(scratch) / "package").rename(folder)
    return folder


def npm_tree(source: Path) -> Path:
    """A copy of `source` with node_modules as its package-lock.json has them.

    The lock's integrity hashes are checked by npm; no package's own script is run. The
    copy is kept in the cache and made anew when a file of `source` changes.
    """
    files = sorted(path for path in source.iterdir() if path.is_file())
    content = b"".join(path.name.encode() + path.read_bytes() for path in files)
    folder = cache("trees", f"{source.name}-{sha256(content)[:16]}")
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        fresh = Path(scratch) / "tree"
        fresh.mkdir()
        for path in files:
            shutil.copy(path, fresh)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=fresh)
        fresh.rename(folder)
    return folder


def pyodide_lock() -> dict:
    """Pyodide's own lock file."""
    return json.loads((npm_package("pyodide") / "pyodide-lock.json").read_text())


def pyodide_wheel(name: str) -> Path:
    """The wheel of `name` that Pyodide's lock file names, verified against it."""
    row = pyodide_lock()["packages"][name]
    path = cache("wheels", row["file_name"])
    if path.is_file() and sha256(path.read_bytes()) == row["sha256"]:
        return path
    data = _from_cdn(row["file_name"])
    if data is None:
        data = _from_donor(row["file_name"])
    _verify(data, row["sha256"], row["file_name"])
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(path)
    return path


def _from_cdn(file_name: str) -> bytes | None:
    try:
        with urllib.request.urlopen(CDN + file_name, timeout=20) as reply:
            return reply.read()
    except OSError:
        return None


def _from_donor(file_name: str) -> bytes:
    """The file from the copy in DONOR, which is kept in the cache unpacked."""
    folder = cache("donor", DONOR)
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            print(f"Pyodide's CDN gave nothing; taking its wheels from {DONOR}.")
            # Only its files are read, so the Python that it asks for is no matter.
            run(
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--ignore-requires-python", "--only-binary", ":all:"),
                *("-d", scratch, DONOR),
            )
            kept = Path(scratch) / "kept"
            kept.mkdir()
            ours = ("numpy-", "micropip-")
            with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as donor:
                for entry in donor.namelist():
                    name = entry.removeprefix(DONOR_FOLDER)
                    if name != entry and name.startswith(ours):
                        (kept / Path(name).name).write_bytes(donor.read(entry))
            shutil.move(kept, folder)
    try:
        return (folder / file_name).read_bytes()
    except FileNotFoundError:
        raise BuildError(
            f"{file_name} is neither on Pyodide's CDN ({CDN}) nor in {DONOR}. "
            f"Put the file into {cache('wheels')} and build again."
        ) from None


def _verify(data: bytes, expected: str, what: str) -> None:
    got = sha256(data)
    if got != expected:
        raise BuildError(
            f"{what}: expected SHA-256 {expected}, got {got} ({len(data):,} bytes). "
            "The download is damaged or was changed: remove the cache and try again."
        )
