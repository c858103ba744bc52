"""npm's packages for tests and benchmarks: pinned, verified, cached.

What the page itself needs is in loom/fabric/vendor.py. The cache is `.cache/` (or
$LOOM_CACHE); with it filled, nothing is downloaded.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from loom.errors import LoomError
from loom.fabric.vendor import digest

ROOT = Path(__file__).resolve().parents[2]
# name -> version, SHA-256 of its npm tarball
NPM = {
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


class BuildError(LoomError):
    """The web build cannot go on; the message says what to do."""


def cache(*parts: str) -> Path:
    """A path in the cache, whose folder exists."""
    path = Path(os.environ.get("LOOM_CACHE") or ROOT / ".cache", *parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


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
    folder = cache("trees", f"{source.name}-{digest(content)[:16]}")
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


def _verify(data: bytes, expected: str, what: str) -> None:
    got = digest(data)
    if got != expected:
        raise BuildError(
            f"{what}: expected SHA-256 {expected}, got {got} ({len(data):,} bytes). "
            "The download is damaged or was changed: remove the cache and try again."
        )
