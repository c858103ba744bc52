"""A built web/dist behind the real server, and a real Chromium before it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tools.wasm import chromium
from tools.wasm.sources import BuildError

playwright = pytest.importorskip("playwright.sync_api")

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    *chromium.FLAGS,
    "--js-flags=--expose-gc",
    "--enable-precise-memory-info",
    # A software adapter: WebGPU without a GPU.
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a fresh build, served by `build_wasm.py --serve`."""
    process = subprocess.Popen(
        [sys.executable, "build_wasm.py", "--serve", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "http://" in line:
                yield next(word for word in line.split() if "http://" in word)
                break
        else:
            pytest.fail("build_wasm.py --serve ended:\n" + "".join(lines))
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture(scope="session")
def browser() -> Iterator["playwright.Browser"]:
    """Chromium; missing is a failure in CI and a skip on a laptop."""
    try:
        found = chromium.found()
    except BuildError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Page:
    """A page of our origin that records everything that must not happen."""

    def __init__(self, browser, server: str, **options):
        self.server = server
        self.context = browser.new_context(**options)
        with urlopen(server + "files.json") as reply:
            policy = reply.headers["Content-Security-Policy"]
        blank = {"Content-Type": "text/html", "Content-Security-Policy": policy}
        self.context.route(
            server + "blank.html",
            lambda route: route.fulfill(headers=blank, body="<!doctype html><p>blank"),
        )
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.context.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text}")

    def open(self, path: str) -> "Page":
        """Go to a path of the server; blank.html is empty, under the same policy."""
        self.page.goto(self.server + path)
        return self

    def run(self, script: str, argument=None):
        """The value of an async function body in the page; `argument` is its input."""
        return self.page.evaluate(f"async (argument) => {{ {script} }}", argument)

    def open_demo(self, query: str = "") -> "Page":
        """Go to the page itself and wait until it is ready to be used."""
        self.open(query)
        self.page.wait_for_selector("html[data-ready]", state="attached")
        return self

    def close(self) -> None:
        """Check that the page was clean all along."""
        self.context.close()
        assert self.problems == []
        assert [url for url in self.requests if not url.startswith(self.server)] == []


@pytest.fixture(scope="module")
def page(browser, server) -> Iterator[Page]:
    """A page with Loom loaded in its own thread as `loom`."""
    page = Page(browser, server).open("blank.html")
    page.run("""
        const { loadLoom, LoomError } = await import("/loom.mjs");
        window.progress = [];
        window.LoomError = LoomError;
        window.loom = await loadLoom({ onProgress: (event) => progress.push(event) });
    """)
    yield page
    page.close()


@pytest.fixture(scope="module")
def worker(browser, server) -> Iterator[Page]:
    """A page with Loom loaded in a worker as `loom`."""
    page = Page(browser, server).open("blank.html")
    page.run("""
        const { loadLoom, LoomError } = await import("/loom.mjs");
        window.progress = [];
        window.LoomError = LoomError;
        window.loom = await loadLoom({
          worker: true, onProgress: (event) => progress.push(event),
        });
    """)
    yield page
    page.close()


@pytest.fixture(params=["page", "worker"])
def either(request) -> Page:
    """Either of them."""
    return request.getfixturevalue(request.param)
