"""A library built for the session, and programs compiled against it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cabi.api import Api

pytest.importorskip("cffi", reason="the extra `cabi` is not installed")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "loom" / "cabi" / "examples"
PROGRAMS = Path(__file__).parent / "programs"
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Werror"]


def tool(name: str, needed: bool = False) -> str:
    """A program's path; missing, it fails in CI where it is needed, else skips."""
    found = shutil.which(name)
    if not found:
        message = f"no {name} found: install it (tools/system.sh test)"
        (pytest.fail if needed and os.environ.get("CI") else pytest.skip)(message)
    return found


def run(command: list, timeout: float = 120, **options) -> subprocess.CompletedProcess:
    """Run to the end, whatever the status; output as text."""
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )


def output(command: list, **options) -> str:
    """What a program prints; it must succeed."""
    done = run(command, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """The folder that `python -m loom.cabi build` makes."""
    tool("cc", needed=True)
    out = tmp_path_factory.mktemp("compiled")
    printed = output(
        [sys.executable, "-m", "loom.cabi", "build", "--out", out],
        cwd=ROOT,
        timeout=300,
    )
    return Path(printed.strip())


@pytest.fixture(scope="session")
def compile_program(folder, tmp_path_factory) -> Callable[..., Path]:
    """Compile a C or C++ source against a library; the program's path."""

    def compile_one(source: Path, flags=(), library: Path = folder) -> Path:
        plus = source.suffix == ".cpp"
        compiler = tool("c++" if plus else "cc", needed=True)
        program = tmp_path_factory.mktemp("program") / source.stem
        standard = "-std=c++17" if plus else "-std=gnu11"
        include = ["-I", library, "-o", program]
        link = ["-L", library, "-lloom", f"-Wl,-rpath,{library}", "-pthread", "-ldl"]
        output([compiler, standard, *WARNINGS, *flags, source, *include, *link])
        return program

    return compile_one


@pytest.fixture(scope="session")
def api(folder) -> Api:
    """The library inside this interpreter."""
    return Api(next(folder.glob("libloom.*")))
