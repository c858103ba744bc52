"""What others made and the web page needs: pinned, verified, kept.

A file's SHA-256 stands here, or in Pyodide's lock file, whose own stands here; so it
does not matter where a file comes from. With a filled cache nothing is downloaded.
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
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from loom.errors import InputError
from loom.files import make_folder, write_atomic

CDN = "https://cdn.jsdelivr.net/"
PYODIDE, UPLOT = "314.0.4", "1.6.32"
# npm's package of Pyodide holds no Python packages. They are on the CDN and, where that
# cannot be reached, in this distribution, which carries a copy of them.
DONOR, DONOR_FOLDER = "open-webui==0.12.4", "open_webui/frontend/pyodide/"
_SECONDS = 20  # without an answer


class File(NamedTuple):
    """A file of others: its name, the folder below the CDN, the SHA-256."""

    name: str
    folder: str
    sha256: str


LOCK = File(
    "pyodide-lock.json",
    f"npm/pyodide@{PYODIDE}/",
    "c963d22858f6bcb8f41586a2142f03905ab370c88ea22a86a2736e95fac2a8f3",
)
RUNTIME = tuple(
    File(name, LOCK.folder, sha)
    for name, sha in {
        "pyodide.mjs": (
            "c75dd73bb0c70674135f9f4ab746c9b5316e9fe027cafacb2be445e658f04c92"
        ),
        "pyodide.asm.mjs": (
            "fd7a3cefa122ff6463dcf2997961eb341250e4cc4ed60281448390f0a767cca2"
        ),
        "pyodide.asm.wasm": (
            "6c8986a8ee583401069aa403e76ee79d4633a1478ab11cea76030bc299aded9f"
        ),
        "python_stdlib.zip": (
            "b5ca2308e9fa72eda319889a1ddf086389e9f1234ced279cc71267fe9ba56e54"
        ),
    }.items()
)
CHARTS = (
    File(
        "LICENSE",
        f"npm/uplot@{UPLOT}/",
        "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    ),
    File(
        "uPlot.esm.js",
        f"npm/uplot@{UPLOT}/dist/",
        "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba",
    ),
    File(
        "uPlot.min.css",
        f"npm/uplot@{UPLOT}/dist/",
        "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    ),
)


def cache() -> Path:
    """The folder vendor/ in $LOOM_CACHE, or in the user's own folder for caches."""
    home = Path.home()
    if sys.platform == "win32":
        usual = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        usual = home / "Library" / "Caches"
    else:
        usual = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return Path(os.environ.get("LOOM_CACHE") or usual / "loom") / "vendor"


def python_package(name: str, folder: Path, say: Callable = print) -> File:
    """The wheel that Pyodide's lock file names, for `fetch`."""
    lock = json.loads(fetch(LOCK, folder, say).read_bytes())
    row = lock["packages"][name]
    return File(row["file_name"], f"pyodide/v{PYODIDE}/full/", row["sha256"])


def fetch(file: File, folder: Path, say: Callable = print) -> Path:
    """The file in `folder`, downloaded if it is not there as it should be.

    From the CDN, or else by npm or pip from the user's package index. Raises InputError
    when none of them has it.
    """
    path = folder / file.name
    if path.is_file() and digest(path.read_bytes()) == file.sha256:
        return path
    make_folder(folder, advice="Set LOOM_CACHE to one that is writable.")
    problems = []
    for source in (_from_cdn, _from_index):
        try:
            data = source(file, say)
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            problems.append(str(error))
            continue
        if (got := digest(data)) == file.sha256:
            write_atomic(path, data)
            return path
        problems.append(f"expected SHA-256 {file.sha256}, got {got}")
    raise InputError(
        f"{file.name} is not in {folder}, and could not be downloaded: "
        f"{'; '.join(problems)}. Is there no internet? The first start needs it, later "
        f"ones do not. Or put {CDN}{file.folder}{file.name} into that folder."
    )


def digest(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _from_cdn(file: File, say: Callable) -> bytes:
    say(f"Downloading {file.name}")
    address = CDN + file.folder + file.name
    with urllib.request.urlopen(address, timeout=_SECONDS) as reply:
        return reply.read()


def _from_index(file: File, say: Callable) -> bytes:
    where, package, inside = file.folder.split("/", 2)
    if where == "npm":
        return _npm(package, say)[f"package/{inside}{file.name}"]
    return _donor(say)[DONOR_FOLDER + file.name]


@lru_cache(maxsize=2)
def _npm(package: str, say: Callable) -> dict[str, bytes]:
    """Path -> content of an npm package."""
    if not (npm := shutil.which("npm")):
        raise OSError("npm is not installed")
    say(f"The CDN gave nothing: asking npm for {package}")
    with tempfile.TemporaryDirectory() as scratch:
        _run(npm, "pack", "--silent", "--fetch-retries=0", package, folder=scratch)
        (tarball,) = Path(scratch).glob("*.tgz")
        with tarfile.open(tarball) as archive:
            rows = {row.name: archive.extractfile(row) for row in archive if row.size}
            return {name: data.read() for name, data in rows.items() if data}


@lru_cache(maxsize=1)
def _donor(say: Callable) -> dict[str, bytes]:
    """Path -> content of what DONOR has of Pyodide."""
    say(f"The CDN gave nothing: asking pip for {DONOR}, which has a copy")
    with tempfile.TemporaryDirectory() as scratch:
        # Only its files are read, so the Python that it asks for is no matter.
        _run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--retries", "1", "--ignore-requires-python", "--only-binary", ":all:"),
            *("-d", scratch, DONOR),
            folder=scratch,
        )
        (wheel,) = Path(scratch).glob("*.whl")
        ours = tuple(DONOR_FOLDER + name for name in ("numpy-", "micropip-"))
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.startswith(ours)]
            return {name: archive.read(name) for name in names}


def _run(*command: str, folder: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        words = " ".join(command[:4] if command[0] == sys.executable else command[:2])
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise OSError(f"`{words}`: {last}")
