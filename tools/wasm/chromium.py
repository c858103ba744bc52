"""A real Chromium before a fresh build, for benchmarks and checks outside of pytest."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from loom.fabric.server import HEADERS, Handler, Server
from tools.wasm.assemble import DIST, build
from tools.wasm.sources import BuildError

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Site:
    """What is served: its address, and the bytes of all bodies sent so far."""

    address: str = ""
    sent: int = 0


@contextmanager
def served() -> Iterator[Site]:
    """web/dist, built anew, behind the server of `build_wasm.py --serve`."""
    build()
    site = Site()

    class Counting(Handler):
        def send_header(self, keyword, value):
            if keyword == "Content-Length":
                site.sent += int(value)
            super().send_header(keyword, value)

    with Server(("127.0.0.1", 0), partial(Counting, directory=str(DIST))) as server:
        site.address = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield site
        server.shutdown()


def found() -> str:
    """The program: $LOOM_CHROMIUM, or the one on the path. Raises BuildError."""
    program = os.environ.get("LOOM_CHROMIUM") or next(
        filter(None, map(shutil.which, NAMES)), None
    )
    if not program:
        raise BuildError(
            "no Chromium was found. Install one (Debian: apt-get install chromium), or "
            "set LOOM_CHROMIUM to its path."
        )
    return program


@contextmanager
def launched(*flags: str) -> Iterator:
    """A headless Chromium: $LOOM_CHROMIUM, or the one on the path."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise BuildError(
            "playwright is missing: pip install -e '.[test]', and install Chromium."
        ) from None
    program = found()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=[*FLAGS, *flags])
        yield browser
        browser.close()


def blank(browser, site: Site):
    """An empty page of the site, under its policy, with nothing in the cache."""
    context = browser.new_context()
    policy = {"Content-Security-Policy": HEADERS["Content-Security-Policy"]}
    context.route(
        site.address + "blank.html",
        lambda route: route.fulfill(
            headers={"Content-Type": "text/html", **policy}, body="<!doctype html>"
        ),
    )
    page = context.new_page()
    page.goto(site.address + "blank.html")
    return page


def evaluate(page, script: str, argument=None):
    """The value of an async function body in the page."""
    return page.evaluate(f"async (argument) => {{ {script} }}", argument)
