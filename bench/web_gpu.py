"""How fast is Loom on WebGPU, beside the peers' WebGPU, on the same adapter?

    python -m bench web --gpu [--quick] [--only TEXT] [--json FILE] [--check]
                              [--patience SECONDS]

Loom through its JavaScript API, jax-js and TensorFlow.js: each line in a Chromium of
its own, results verified against ours, calls interleaved, medians; the first call
(compilation) beside them. What is timed moves

    in    nothing: inputs lie on the GPU (Loom's by ToGPU), as weights do; but Loom's
          training step sends its batch, which lies on the GPU for the peers
    out   y and dL/dx to JavaScript (Loom's into the array of the call before); the
          peers' dL/dw too, Loom's to a mapped buffer, from where they are taken when
          asked for; of training the last bias at the end

A contender that says nothing for `--patience` is reported as stalled and the line
begins again without it; FILE is written after each line. The bars: at most jax-js's
time on a software adapter, at most half of the better peer's on a real GPU. There, our
matrix products in the page stand beside the same programs run by wgpu: at least 85%.

Chromium is $LOOM_CHROMIUM with $LOOM_CHROMIUM_FLAGS; the page is built unless web/dist
is there and LOOM_NO_BUILD is set.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from urllib.parse import urlencode

import numpy as np

from bench.web_peers import LINES, TOLERANCE, PeersHandler, write_data
from loom.fabric.server import Server
from tools.wasm import chromium
from tools.wasm.assemble import DIST, build

CONTENDERS = ("loom", "jax-js", "tfjs")
PRODUCTS = "matrix products"
SOFTWARE = "--enable-unsafe-webgpu --enable-features=Vulkan"
BARS = {"software": 1.0, "GPU": 0.5}  # ours over the better peer's time
NATIVE_SHARE = 0.85  # the page's matrix products: least share of wgpu's speed


class Reporting(PeersHandler):
    """The peers' files, and a place that rows are posted to."""

    rows: Queue

    def do_POST(self) -> None:
        """Take a row."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.rows.put(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def translate_path(self, path: str) -> str:
        """The products, which are Python's, are beside this file."""
        if path == "/gpu_products.py":
            return str(Path(__file__).with_name("gpu_products.py"))
        return super().translate_path(path)


@dataclass
class Pages:
    """Opens the page for one line at a time.

    Attributes:
        address: of the page.
        rows: what it posts.
        patience: seconds that it may say nothing.
        found: what is written as JSON: adapter, round trip, lines.
    """

    address: str
    rows: Queue
    patience: float
    found: dict = field(default_factory=lambda: {"adapter": {}, "lines": {}})

    def line(self, name: str) -> dict:
        """{contender: figures or an error}; who stalls is left out of the next try."""
        contenders, stalled = list(CONTENDERS), {}
        while True:
            result, last = self._once(name, contenders)
            if result is not None:
                return result | stalled
            who, stage = last
            stalled[who] = {"error": f"nothing for {self.patience:g} s in {stage}"}
            print(f"{name}: {who}: {stalled[who]['error']}", file=sys.stderr)
            if who not in contenders or who == "loom":
                return stalled  # nothing to compare with
            contenders.remove(who)

    def _once(self, name: str, contenders: list[str]) -> tuple[dict | None, tuple]:
        """The line's result, or None and who was at work in which stage."""
        last = ("Chromium", "start")
        query = urlencode({"line": name, "contenders": ",".join(contenders)})
        while not self.rows.empty():
            self.rows.get()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            browser = _opened(profile, f"{self.address}?{query}")
            try:
                while True:
                    row = self.rows.get(timeout=self.patience)
                    if "result" in row:
                        return row["result"], last
                    if "adapter" in row:
                        self._introduce(row)
                    else:
                        last = row["contender"], row["stage"]
                        text = f"{name}: {last[0]}: {last[1]}"
                        print(text, file=sys.stderr, flush=True)
            except Empty:
                return None, last
            finally:
                browser.kill()
                browser.wait()

    def _introduce(self, row: dict) -> None:
        """Tell once what the page runs on."""
        if not self.found["adapter"]:
            self.found |= row
            print(f"adapter: {json.dumps(row['adapter'])}")
            print(f"empty submission, mapped: {row['roundTrip']:.3f} ms\n", flush=True)


def run(options) -> int:
    """Print the tables; 1 where --check is set and a bar is missed."""
    if not (os.environ.get("LOOM_NO_BUILD") and DIST.is_dir()):
        build()
    lines = [line for line in (*LINES, PRODUCTS) if (options.only or "") in line]
    if not lines:
        sys.exit(f"no line has {options.only!r} in its name.")
    print(_version(), flush=True)
    settings = {"rounds": 5, "least": 20} if options.quick else {"rounds": 15}
    missed, headed = False, False
    with tempfile.TemporaryDirectory() as scratch:
        folder, rows = Path(scratch), Queue()
        write_data(folder, models=False)
        (folder / "settings.json").write_text(json.dumps({"least": 50, **settings}))
        handler = type("", (Reporting,), {"data": folder, "rows": rows})
        with Server(("127.0.0.1", 0), partial(handler, directory=str(DIST))) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}/gpu.html"
            pages = Pages(address, rows, options.patience)
            for line in lines:
                result = pages.found["lines"][line] = pages.line(line)
                if line == PRODUCTS:
                    missed |= _products(result, pages.found["adapter"], options)
                else:
                    if not headed:
                        print(_heading(), flush=True)
                        headed = True
                    missed |= _row(line, result, pages.found["adapter"])
                if options.json:
                    text = json.dumps(pages.found, indent=1)
                    Path(options.json).write_text(text)
            server.shutdown()
    return int(missed and options.check)


def _version() -> str:
    done = subprocess.run(
        [chromium.found(), "--version"], capture_output=True, text=True
    )
    return done.stdout.strip()


def _opened(profile: str, address: str) -> subprocess.Popen:
    """A headless Chromium before the page, and nothing of an earlier one."""
    flags = os.environ.get("LOOM_CHROMIUM_FLAGS", SOFTWARE).split()
    command = [
        chromium.found(),
        "--headless",
        f"--user-data-dir={profile}",
        *chromium.FLAGS,
        *flags,
        address,
    ]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=quiet, stderr=quiet)


def _heading() -> str:
    head = "".join(f"{name:>10}" for name in CONTENDERS)
    return f"{'ms, median':30}{head}{'to best':>9}{'first call':>30}"


def _row(line: str, result: dict, adapter: dict) -> bool:
    """Print medians, the ratio and first calls; whether the bar is missed."""
    cells, first, peers = "", "", []
    for name in CONTENDERS:
        row = result.get(name, {})
        wrong = row.get("difference", 0) > TOLERANCE
        good = "ms" in row and not wrong
        word = "wrong" if wrong else "fails" if row else "-"
        cells += f"{row['ms']:10.3f}" if good else f"{word:>10}"
        first += f"{row['firstCall']:10.0f}" if "firstCall" in row else f"{'-':>10}"
        if good and name != "loom":
            peers.append(row["ms"])
        if row and not good:
            problem = row.get("error") or row.get("difference")
            print(f"{line}: {name}: {problem}", file=sys.stderr)
    ours = result.get("loom", {}).get("ms")
    ratio = ours / min(peers) if ours and peers else None
    shown = f"{ratio:9.2f}" if ratio else f"{'-':>9}"
    print(f"{line:30}{cells}{shown}{first}", flush=True)
    bar = BARS["software" if adapter.get("type") == "software" else "GPU"]
    return ratio is None or ratio > bar


def _products(result: dict, adapter: dict, options) -> bool:
    """Print TFLOP/s in the page, and natively on a real GPU; whether it is missed."""
    ours = result.get("loom", {})
    if "products" not in ours:
        print(f"{PRODUCTS}: {ours.get('error')}", file=sys.stderr)
        return True
    native = {}
    if adapter.get("type") != "software":
        native = _native(options)
    print(f"\n{'device time, TFLOP/s':30}{'page':>10}{'native':>10}{'share':>9}")
    missed = False
    for row in ours["products"]:
        rate = row["flop"] / row["microseconds"] / 1e6
        cells = f"{rate:10.3g}"
        if row["line"] in native:
            row["native"] = native[row["line"]]
            share = row["native"] / row["microseconds"]
            cells += f"{row['flop'] / row['native'] / 1e6:10.3g}{share:9.2f}"
            missed |= share < NATIVE_SHARE
        print(f"{row['line']:30}{cells}", flush=True)
    return missed


def _native(options) -> dict[str, float]:
    """Microseconds of the same products by wgpu on this machine's GPU."""
    from bench import gpu, gpu_products
    from loom.gpu import detector, native

    adapter = detector.choose()
    device = native.opened(adapter)
    rounds = gpu.QUICK_ROUNDS if options.quick else gpu.ROUNDS
    bench = gpu.Bench(adapter, device, None, rounds)
    rows = [line.measure(bench) for line in gpu_products.page_lines(device.limits)]
    return {row.name: float(np.median(row.rounds["loom"])) for row in rows}
