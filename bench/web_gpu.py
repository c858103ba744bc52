"""How fast is Loom on WebGPU, beside the peers' WebGPU, on the same adapter?

    python -m bench web --gpu [--quick] [--only TEXT] [--json FILE] [--check]

Loom through its JavaScript API, jax-js and TensorFlow.js, in one page of Chromium:
results verified against ours, calls interleaved, every result read back (training: at
the end), medians; the first call (compilation) beside them. The bars: at most jax-js's
time on a software adapter, at most half of the better peer's on a real GPU. Chromium is
$LOOM_CHROMIUM with $LOOM_CHROMIUM_FLAGS; the page is built unless web/dist is there and
LOOM_NO_BUILD is set.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from queue import Empty, Queue

from bench.web_peers import LINES, TOLERANCE, PeersHandler, write_data
from tools.wasm import chromium
from tools.wasm.assemble import DIST, build
from tools.wasm.server import Server

CONTENDERS = ("loom", "jax-js", "tfjs")
SOFTWARE = "--enable-unsafe-webgpu --enable-features=Vulkan"
LONGEST = 420  # seconds without a word from the page


class Reporting(PeersHandler):
    """The peers' files, and a place that rows are posted to."""

    rows: Queue

    def do_POST(self) -> None:
        """Take a row."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.rows.put(json.loads(body))
        self.send_response(204)
        self.end_headers()


def run(options) -> int:
    """Print the table; 1 where --check is set and a bar is missed."""
    program = chromium.found()
    if not (os.environ.get("LOOM_NO_BUILD") and DIST.is_dir()):
        build()
    lines = [line for line in LINES if (options.only or "") in line]
    settings = {"rounds": 5, "least": 20} if options.quick else {"rounds": 15}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_data(folder, models=False)
        text = json.dumps({"least": 50, **settings, "lines": lines})
        (folder / "settings.json").write_text(text)
        rows: Queue = Queue()
        handler = type("", (Reporting,), {"data": folder, "rows": rows})
        with Server(("127.0.0.1", 0), partial(handler, directory=str(DIST))) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}/gpu.html"
            found = _measured(program, address, folder / "profile", rows)
            server.shutdown()
    missed = _table(found, options.quick)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1))
    return int(missed and options.check)


def _measured(program: str, address: str, profile: Path, rows: Queue) -> dict:
    """Open the page and collect what it posts."""
    flags = os.environ.get("LOOM_CHROMIUM_FLAGS", SOFTWARE).split()
    command = [
        program,
        "--headless",
        f"--user-data-dir={profile}",
        *chromium.FLAGS,
        *flags,
    ]
    quiet = subprocess.DEVNULL
    browser = subprocess.Popen([*command, address], stdout=quiet, stderr=quiet)
    found: dict = {}
    try:
        while True:
            row = rows.get(timeout=LONGEST)
            if row.get("done"):
                return found
            if "info" in row:
                print(f"adapter: {json.dumps(row['info'])[:300]}\n", flush=True)
                continue
            found.setdefault(row["line"], {}).update(row["result"])
            print(f"{row['line']} ...", file=sys.stderr, flush=True)
    except Empty:
        print(f"the page said nothing for {LONGEST} s", file=sys.stderr)
        return found
    finally:
        browser.terminate()
        browser.wait(20)


def _table(found: dict, quick: bool) -> bool:
    """Print medians and first calls; whether jax-js is faster on a line."""
    for name, row in found.pop("start", {}).items():
        print(f"{name} did not start: {row['error']}")
    head = "".join(f"{name:>10}" for name in CONTENDERS)
    print(f"{'ms, median':30}{head}{'to best':>9}{'first call':>30}")
    missed = False
    for line, result in found.items():
        cells, first, peers = "", "", []
        for name in CONTENDERS:
            row = result.get(name, {})
            right = row.get("difference", 0) <= TOLERANCE
            good = "ms" in row and right
            cells += f"{row['ms']:10.3f}" if good else f"{'wrong' if row else '-':>10}"
            first += f"{row['firstCall']:10.0f}" if "firstCall" in row else f"{'-':>10}"
            if good and name != "loom":
                peers.append(row["ms"])
            if row and not good:
                problem = row.get("error") or row.get("difference")
                print(f"{line}: {name}: {problem}", file=sys.stderr)
        ours = result.get("loom", {}).get("ms")
        ratio = ours / min(peers) if ours and peers else None
        missed |= ratio is None or ratio > 1
        print(f"{line:30}{cells}{f'{ratio:9.2f}' if ratio else '        -'}{first}")
    return missed
