"""loom.assets: the same texts from folders, from the wheel's files, in a web page."""

import bz2
import json
import sys

import pytest

from loom import ConfigError, assets


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A copy of the package whose assets are what the test writes."""
    assets.texts.cache_clear()
    monkeypatch.setattr(assets, "HERE", tmp_path / "loom" / "assets")
    assets.HERE.mkdir(parents=True)
    yield assets.HERE
    assets.texts.cache_clear()


def test_in_a_checkout_they_are_the_folders_files():
    page = assets.texts("page")
    assert {"index.html", "loom.mjs", "demo/main.mjs", "rest.py"} <= page.keys()
    assert not [name for name in page if name.startswith(("dist/", "build/", "."))]
    assert "matmul.wgsl" in assets.texts("shaders")
    assert {"api.c", "internal.h", "loom.h.in"} <= assets.texts("native").keys()


@pytest.mark.parametrize("end", ["json", "json.bz2"])
def test_packed_they_are_the_same(elsewhere, end):
    rows = {"a.wgsl": "fn a() {} // ü\n"}
    data = json.dumps(rows).encode()
    data = bz2.compress(data) if end.endswith("bz2") else data
    (elsewhere / f"shaders.{end}").write_bytes(data)
    assert assets.texts("shaders") == rows


def test_a_web_page_has_no_page(elsewhere):
    with pytest.raises(ConfigError, match="without its page files"):
        assets.texts("page")


def test_a_python_without_bz2_is_told(elsewhere, monkeypatch):
    (elsewhere / "native.json.bz2").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "bz2", None)
    with pytest.raises(ConfigError, match=r"loom\.assets: the native files .* bz2"):
        assets.texts("native")
