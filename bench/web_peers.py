"""How fast is Loom in the browser without a GPU, beside its WebAssembly peers?

    python -m bench web --peers [--quick] [--only TEXT] [--json FILE] [--check]

Loom in Pyodide with its SIMD kernels, jax-js, TensorFlow.js and ONNX Runtime Web, each
with one thread, in one page of Chromium: results verified against ours, calls
interleaved, medians. The bar: at most the time of the best peer on every line.
LOOM_KERNELS=off (or _simd, _relaxed) in the environment chooses ours.
"""

import json
import os
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

import numpy as np

from loom.fabric.server import Handler, Server
from tools.wasm import chromium
from tools.wasm.assemble import DIST, build
from tools.wasm.sources import PEERS, npm_package

HERE = Path(__file__).with_name("peers")
LINES = (
    "matmul 512",
    "MLP forward, batch 1",
    "MLP forward, batch 64",
    "MLP training step, batch 64",
    "Conv2D forward",
    "Conv2D forward + backward",
    "attention forward",
    "attention forward + backward",
    "LSTM forward",
    "LSTM forward + backward",
)
CONTENDERS = ("loom", "jax-js", "tfjs", "ort")
TOLERANCE = 1e-4  # of the greatest value: float32 through a whole pass and back


def arrays() -> dict[str, np.ndarray]:
    """The inputs and weights that all contenders share."""
    rng = np.random.default_rng(0)

    def normal(*shape, fan=1.0):
        return (rng.standard_normal(shape) / fan**0.5).astype(np.float32)

    return {
        **{"ma": normal(512, 512), "mb": normal(512, 512)},
        **{"x1": normal(1, 784), "x64": normal(64, 784), "t64": normal(64, 10)},
        **{"w1": normal(784, 392, fan=784), "b1": normal(392)},
        **{"w2": normal(392, 10, fan=392), "b2": normal(10)},
        **{"cx": normal(32, 3, 64, 64), "cg": normal(32, 16, 64, 64)},
        **{"cw": normal(16, 3, 3, 3, fan=27), "cb": normal(16)},
        **{"ax": normal(4, 256, 512), "ag": normal(4, 256, 512)},
        **{name: normal(512, 512, fan=512) for name in ("aq", "ak", "av", "ao")},
        **{"abqkv": normal(1536), "abo": normal(512)},
        **{"lx": normal(32, 50, 64), "lg": normal(32, 50, 128)},
        **{"lw": normal(512, 64, fan=128), "lu": normal(512, 128, fan=128)},
        **{"lb": normal(512)},
    }


def write_data(folder: Path, models: bool = True) -> None:
    """The arrays as one file with a manifest, and the ONNX models."""
    named, rows, offset = arrays(), [], 0
    with (folder / "arrays.bin").open("wb") as file:
        for name, array in named.items():
            file.write(array.tobytes())
            row = {"name": name, "shape": array.shape, "length": array.size}
            rows.append({**row, "offset": offset})
            offset += array.nbytes
    (folder / "manifest.json").write_text(json.dumps(rows))
    if models:
        from bench.web_peers_models import write

        write(folder, named)


class PeersHandler(Handler):
    """web/dist, and beside it the peers, the data and this page."""

    data: Path

    def translate_path(self, path: str) -> str:
        """The first of these places that has the file."""
        path = path.partition("?")[0]
        for prefix, folder in (("/peers/", None), ("/data/", self.data), ("/", HERE)):
            rest = path.removeprefix(prefix)
            if folder is None and rest != path:
                name, _, file = rest.partition("/")
                return str(npm_package(PEERS[name]) / file)
            if rest != path and (folder / rest).is_file():
                return str(folder / rest)
        return super().translate_path(path)

    def end_headers(self) -> None:
        """No policy of ours."""
        # The peers build code and styles at run time, which our own policy forbids.
        super(Handler, self).end_headers()


def run(options) -> int:
    """Print the table; 1 where --check is set and the bar is missed."""
    from playwright.sync_api import sync_playwright

    chosen = [line for line in LINES if (options.only or "") in line]
    program = chromium.found()
    build()
    settings = (
        {"rounds": 7, "least": 20} if options.quick else {"rounds": 21, "least": 50}
    )
    rows = {}
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        write_data(Path(scratch))
        handler = type("", (PeersHandler,), {"data": Path(scratch)})
        with Server(("127.0.0.1", 0), partial(handler, directory=str(DIST))) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            browser = driver.chromium.launch(
                executable_path=program, args=["--no-sandbox"]
            )
            page = browser.new_page()
            page.set_default_timeout(300_000)
            page.on("console", lambda m: print(f"[page] {m.text}", file=sys.stderr))
            address = f"http://127.0.0.1:{server.server_port}/index.html"
            page.goto(address + f"?kernels={os.environ.get('LOOM_KERNELS', '')}")
            page.wait_for_function("window.ready")
            print(f"Chromium {browser.version}, one thread each; {_versions()}\n")
            for line in chosen:
                print(f"{line} ...", file=sys.stderr, flush=True)
                found = page.evaluate(
                    "([line, s]) => measure(line, s)", [line, settings]
                )
                rows[line] = found
            browser.close()
            server.shutdown()
    missed = _report(rows)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1))
    return int(missed and options.check)


def _versions() -> str:
    from tools.wasm.sources import NPM

    return ", ".join(f"{name} {NPM[name][0]}" for name in PEERS.values())


def _report(rows: dict) -> bool:
    """The table; whether a bar is missed.

    The last column is the ratio of the fastest rounds, which other work on the machine
    disturbs least.
    """
    names = "".join(f"{name:>10}" for name in CONTENDERS)
    print(f"{'ms, median':30}{names}   ratio   of the fastest")
    missed = False
    for line, found in rows.items():
        cells, peers = "", []
        for name in CONTENDERS:
            row = found.get(name, {})
            wrong = row.get("difference", 0) > TOLERANCE
            if "ms" in row and not wrong:
                cells += f"{row['ms']:10.3f}"
                peers += [row] if name != "loom" else []
            else:
                cells += f"{'wrong' if wrong else 'fails' if row else '-':>10}"
                if row:
                    problem = row.get("error") or row.get("difference")
                    print(f"{line}: {name}: {problem}", file=sys.stderr)
        ratios = ""
        if peers:
            ratio, of_fastest = (
                found["loom"][key] / min(row[key] for row in peers)
                for key in ("ms", "fastest")
            )
            missed |= ratio > 1
            ratios = f"{ratio:8.2f}{of_fastest:17.2f}"
        print(f"{line:30}{cells}{ratios}")
    return missed
