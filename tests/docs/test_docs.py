"""The API documentation builds, and everything public has a docstring."""

import subprocess
import sys
from pathlib import Path

from tools import docs


def test_the_documentation_builds_without_a_warning(tmp_path):
    # A process of its own: it puts stand-ins for Pyodide into sys.modules.
    done = subprocess.run(
        [sys.executable, "-m", "tools.docs", str(tmp_path)],
        cwd=Path(docs.__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "modules in" in done.stdout
    page = (tmp_path / "loom" / "network.html").read_text()
    assert "Run the network in evaluation mode." in page
    assert len(list(tmp_path.rglob("*.html"))) > 100


def test_a_missing_docstring_is_found(tmp_path, monkeypatch):
    (tmp_path / "bare.py").write_text("def f(): pass\nclass C: 'x'\n_g = lambda: 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert docs.undocumented(["bare"]) == ["bare", "bare.f"]
