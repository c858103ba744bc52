"""The page without a network: kept by its service worker, installable, quick."""

import json
import re
import threading
from functools import partial

import pytest
from conftest import FLAGS, Page

from loom.fabric.server import Handler, Server
from tools.wasm import chromium
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


def test_the_page_starts_when_its_server_has_ended(browser, server):
    """`server` has built what is served here by a server of this test's own."""
    with Server(("127.0.0.1", 0), partial(Handler, directory=str(DIST))) as own:
        threading.Thread(target=own.serve_forever, daemon=True).start()
        site = Page(browser, f"http://127.0.0.1:{own.server_port}/")
        start(site)
        assert site.run(KEPT) is True
        own.shutdown()
    start(site)
    assert site.run("return loom.version;")
    assert site.run("return navigator.serviceWorker.controller !== null;")
    # Modules outside of the start are kept too.
    y = site.run("""
        const network = await loom.NewNetwork(4, 1, 1, 1, 1);
        return [...(await network.ForwardCPU(new Float32Array(4)))[0]];
    """)
    assert y == [0, 0, 0, 0]
    site.close()


def test_of_the_rest_the_first_start_takes_looms_alone(site):
    start(site)
    rest = [url for url in site.requests if "/rest-" in url]
    assert [url.rpartition("/")[2] for url in rest] == ["rest-loom.pack"]


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


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "without icons"])
def test_chromium_would_install_it(browser, server, tmp_path, whole):
    """Chromium's own check, which it refuses to private windows; it can fail, too."""
    driver = browser.browser_type
    context = driver.launch_persistent_context(
        tmp_path, executable_path=chromium.found(), args=FLAGS
    )
    manifest = json.loads((DIST / "manifest.webmanifest").read_text())
    if not whole:
        manifest["icons"] = []
    context.route(
        server + "manifest.webmanifest",
        lambda route: route.fulfill(
            content_type="application/manifest+json", body=json.dumps(manifest)
        ),
    )
    page = context.new_page()
    page.goto(server)
    chrome = context.new_cdp_session(page)
    assert chrome.send("Page.getAppManifest")["errors"] == []
    found = chrome.send("Page.getInstallabilityErrors")["installabilityErrors"]
    context.close()
    assert (found == []) is whole, found
