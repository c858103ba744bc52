"""Firefox through WebDriver BiDi: the page loads, trains on the CPU, reads a digit."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.wasm.sources import npm_tree

HERE = Path(__file__).parent / "firefox"
NAMES = ("firefox-esr", "firefox")


def test_firefox_loads_the_page_and_trains(server, tmp_path):
    found = os.environ.get("LOOM_FIREFOX") or next(
        filter(None, map(shutil.which, NAMES)), None
    )
    if not found:
        message = "no Firefox found: install one, or set LOOM_FIREFOX to its path"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    folder = npm_tree(HERE)
    done = subprocess.run(
        ["node", folder / "firefox.mjs", server, found],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["problems"] == []
    assert result["foreign"] == []
    assert float(result["metric"].rstrip("%")) >= 96
    assert result["verdict"].startswith("7")
    assert result["version"].startswith("firefox/")
