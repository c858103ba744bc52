"""The page without a network: kept by its service worker, installable, quick."""

import json
import re

import pytest
from conftest import Page

from tools.wasm.assemble import DIST

READY = "html[data-ready]"
KEPT = """
    const { keepOffline } = await import("/offline.mjs");
    return await keepOffline();
"""


@pytest.fixture
def site(browser, server):
    page = Page(browser, server)
    yield page
    page.context.close()
    assert page.problems == []


def start(page) -> float:
    """Open the page; milliseconds until it can predict."""
    page.open("index.html")
    page.page.wait_for_selector(READY, state="attached", timeout=120_000)
    return page.run("return performance.now();")


def test_the_page_starts_without_a_network(site):
    start(site)
    assert site.run(KEPT) is True
    site.requests.clear()
    site.context.set_offline(True)
    start(site)
    assert site.run("return loom.version;")
    assert site.run("return navigator.serviceWorker.controller !== null;")
    # Modules outside of the start are kept too.
    y = site.run("""
        const network = await loom.NewNetwork(4, 1, 1, 1, 1);
        return [...(await network.ForwardCPU(new Float32Array(4)))[0]];
    """)
    assert y == [0, 0, 0, 0]


def test_later_starts_fetch_nothing(site):
    start(site)
    assert site.run(KEPT) is True
    start(site)  # the service worker answers from here on
    served = site.run("""
        const rows = performance.getEntriesByType("resource");
        return rows.filter((row) => row.transferSize > 0).map((row) => row.name);
    """)
    assert served == []


def test_every_file_of_the_build_is_kept_and_there():
    head = (DIST / "service-worker.js").read_text().splitlines()[0]
    build = json.loads(re.fullmatch(r"const BUILD = (.*);", head)[1])
    assert re.fullmatch("[0-9a-f]{16}", build["version"])
    assert all((DIST / name).is_file() for name in build["files"])
    for name in ("index.html", "runtime/rest-stdlib.pack", "runtime/pyodide.asm.wasm"):
        assert name in build["files"]
    assert not [n for n in build["files"] if n.endswith((".br", ".whl"))]


def test_the_manifest_makes_it_installable(server):
    manifest = json.loads((DIST / "manifest.webmanifest").read_text())
    assert {"name", "start_url", "display", "icons"} <= set(manifest)
    for icon in manifest["icons"]:
        assert (DIST / icon["src"]).is_file()
    assert 'rel="manifest"' in (DIST / "index.html").read_text()
