"""The generated declarations, checked by the TypeScript compiler."""

import shutil
import subprocess
from pathlib import Path

import pytest

from loom import export
from tools.wasm.declarations import declarations
from tools.wasm.sources import npm_package

HERE = Path(__file__).parent / "types"


def test_declarations_compile_strictly(tmp_path):
    if not shutil.which("node"):
        pytest.fail("node was not found: install Node.js 20 or newer")
    shutil.copytree(HERE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "loom.d.mts").write_text(declarations())
    shutil.copy(export.HERE / "model.d.mts", tmp_path)
    done = subprocess.run(
        ["node", npm_package("typescript") / "lib" / "tsc.js", "-p", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
