"""The SIMD kernels in Node, Chromium and Firefox, with and without relaxed SIMD."""

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from loom.fabric.server import Handler, Server
from tools.wasm.assemble import DIST

CHECKS = Path(__file__).with_name("checks")
ROOT = Path(__file__).resolve().parents[2]
RELAXED = "--experimental-wasm-relaxed-simd"  # an option of Node 20, no longer of 24


def missing(what: str) -> None:
    """Fail in CI, skip on a laptop."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {what} found")


class CheckHandler(Handler):
    """web/dist, the checks as /checks/, and a place for a page's result."""

    results: queue.Queue

    def translate_path(self, path: str) -> str:
        if path.startswith("/checks/"):
            return str(CHECKS / Path(path).name)
        return super().translate_path(path)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.results.put(json.loads(self.rfile.read(length)))
        self.send_response(204)
        self.end_headers()


@pytest.fixture
def checks(server) -> Iterator[tuple[str, queue.Queue]]:
    """The address of the checks' page, and the queue where its result arrives."""
    results = queue.Queue()
    handler = type("", (CheckHandler,), {"results": results})
    with Server(("127.0.0.1", 0), partial(handler, directory=str(DIST))) as local:
        thread = threading.Thread(target=local.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{local.server_port}/checks/index.html", results
        local.shutdown()
        thread.join()


def verify(result: dict, flavours: set[str], chosen: str) -> None:
    """Every flavour was checked, in every row; the best one is chosen."""
    assert "error" not in result, result["error"]
    assert set(result["worst"]) == flavours
    assert result["chosen"] == chosen


def in_node(*options: str, script: str = "host.mjs", rest: tuple = ()) -> dict:
    node = shutil.which("node")
    if not node:
        missing("Node")
    done = subprocess.run(
        [node, *options, CHECKS / script, f"{DIST / 'runtime'}/", *rest],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_node(server):
    result = in_node()
    # Newer ones know relaxed SIMD without being asked.
    flavours = {"_simd"} | ({"_relaxed"} & set(result["worst"]))
    verify(result, flavours, min(flavours))


def relaxed_options() -> list[str]:
    known = subprocess.run(["node", RELAXED, "-e", "0"], capture_output=True)
    return [] if known.returncode else [RELAXED]


def test_node_with_relaxed_simd(server):
    verify(in_node(*relaxed_options()), {"_simd", "_relaxed"}, "_relaxed")


@pytest.mark.parametrize("flavour", ["_simd", "_relaxed", "off"])
def test_every_layer_against_pytorch(server, flavour):
    """tests/parity whole, inside Pyodide; "off" is NumPy alone."""
    rest = (ROOT, flavour)
    result = in_node(*relaxed_options(), script="parity.mjs", rest=rest)
    assert result["failures"] == []
    assert result["kernels"] == (None if flavour == "off" else flavour)
    assert result["count"] > 150


def test_chromium(browser, checks):
    address, results = checks
    page = browser.new_page()
    page.goto(address)
    verify(results.get(timeout=300), {"_simd", "_relaxed"}, "_relaxed")
    page.close()


def test_firefox(checks, tmp_path):
    address, results = checks
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if not program:
        missing("Firefox")
    command = [program, "--headless", "--no-remote", "--profile", tmp_path, address]
    log = (tmp_path / "log").open("w")
    environment = os.environ | {"HOME": str(tmp_path)}
    process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        verify(results.get(timeout=300), {"_simd", "_relaxed"}, "_relaxed")
    finally:
        process.terminate()
        process.wait(30)
        log.close()
