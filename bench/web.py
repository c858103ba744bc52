"""What does the JavaScript API cost, beside the same NumPy lines in Pyodide?

In Chromium, on the page's own thread, with typed arrays: the lines of
bench/cases/mlp.py through web/loom.mjs, and beside them, in the same Pyodide, their
hand-written NumPy and the same Loom called from Python. A call may take at most 0.15 ms
beyond NumPy's lines; what it takes beyond Python's own call is the bridge. Then how
long a start takes (bench/web_start.py).
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import timing, web_start
from tools.wasm import chromium
from tools.wasm.chromium import evaluate

ROOT = Path(__file__).resolve().parents[1]
MOST = 0.15  # ms that a call may take beyond NumPy's lines
CARRIED = (
    "bench/__init__.py",
    "bench/timing.py",
    "bench/cases/__init__.py",
    "bench/cases/mlp.py",
)
GPU = "GPU call, Dense 16-16"
GPU_PLACES = (GPU, f"{GPU}, in a worker")
MOST_GPU = 0.5  # ms that a GPU call may take beyond an empty submission
PEER = """
import sys
sys.path.insert(0, "/peer")
from time import perf_counter
from bench.cases import mlp

cases = {"forward": mlp.forward, "training": mlp.training}
peers, data = {}, {}

def prepare(kind, batch):
    data[batch] = mlp.data(batch)
    found = cases[kind](batch)
    for name in ("numpy", "loom"):
        peers[kind, batch, name] = found[name]

def first(kind, batch):
    result = peers[kind, batch, "numpy"]()
    arrays = result if isinstance(result, tuple) else [result]
    return [a.ravel().tolist() for a in arrays]

def seconds(kind, batch, name, count):
    run = peers[kind, batch, name]
    start = perf_counter()
    for _ in range(count):
        run()
    return perf_counter() - start
"""
SETUP = """
    const { loadLoom } = await import("/loom.mjs");
    const loom = await loadLoom();
    const { pyodide } = loom;
    for (const [path, text] of Object.entries(argument.files)) {
      const full = "/peer/" + path;
      pyodide.FS.mkdirTree(full.slice(0, full.lastIndexOf("/")));
      pyodide.FS.writeFile(full, text);
    }
    const peer = pyodide.toPy({});
    pyodide.runPython(argument.peer, { globals: peer });
    const call = (name, ...values) => peer.get(name)(...values);
    window.bench = { loom, peer, call, lines: {} };
"""
PREPARE = """
    const { loom, peer, call, lines } = bench;
    const { kind, batch } = argument;
    call("prepare", kind, batch);
    const [x, t] = peer.get("data").get(batch).toJs().map((rows) => {
      const flat = Float32Array.from(rows.flatMap((row) => [...row]));
      flat.shape = [rows.length, rows[0].length];
      return flat;
    });
    const network = loom.NewNetwork(784, 1, 1, 2, 1);
    network.SetLayer(0, 0, 0, loom.InitDenseLayer(784, 392, "scaled_relu"));
    network.SetLayer(0, 0, 1, loom.InitDenseLayer(392, 10, "sigmoid"));
    const config = { Epochs: 1, BatchSize: batch, LearningRate: 0.01, Shuffle: false };
    const ours = {
      forward: () => network.ForwardCPU(x)[0],
      training: () => network.Train([x, t], config),
    }[kind];
    lines[`${kind} ${batch}`] = ours;
    let first = ours();
    if (kind === "training") {
      first = network.call("Parameters").flatMap((row) => Object.values(row));
    } else first = [first];
    const theirs = call("first", kind, batch).toJs();
    return [first.map((a) => [...a]), theirs];
"""
ROUND = """
    const { call, lines } = bench;
    const { kind, batch, milliseconds } = argument;
    const ours = lines[`${kind} ${batch}`];
    const spent = (count) => {
      const start = performance.now();
      for (let i = 0; i < count; i++) ours();
      return performance.now() - start;
    };
    // performance.now() ticks in 0.1 ms: a turn is many calls.
    let count = 1;
    while (spent(count) < milliseconds) count *= 2;
    const rounds = [];
    for (let i = 0; i < argument.rounds; i++) {
      const row = [];
      for (let j = 0; j < 3; j++) {
        const which = (i + j) % 3;
        const time = which
          ? 1000 * call("seconds", kind, batch, ["numpy", "loom"][which - 1], count)
          : spent(count);
        row[which] = time / count;
      }
      rounds.push(row);
      await new Promise((resolve) => setTimeout(resolve));
    }
    return rounds;
"""
# A small network's forward pass on the GPU by turns with an empty submission that is
# read back: the difference is what a call adds.
GPU_CALL = """
    const { loadLoom } = await import("/loom.mjs");
    const loom = await loadLoom({ worker: argument.worker });
    const network = await loom.NewNetwork(16, 1, 1, 1, 7);
    await network.SetLayer(0, 0, 0, await loom.InitDenseLayer(16, 16, "linear"));
    const x = new Float32Array(16).fill(1);
    const start = performance.now();
    await network.ForwardGPU(x);
    const first = performance.now() - start;
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter.requestDevice();
    const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
    const source = device.createBuffer({ size: 64, usage: STORAGE | COPY_SRC });
    const target = device.createBuffer({ size: 64, usage: MAP_READ | COPY_DST });
    const empty = async () => {
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, 0, target, 0, 64);
      device.queue.submit([encoder.finish()]);
      await target.mapAsync(GPUMapMode.READ);
      target.unmap();
    };
    const time = async (work) => {
      const begun = performance.now();
      for (let i = 0; i < 10; i++) await work();
      return (performance.now() - begun) / 10;
    };
    // Until the engines have compiled what is called again and again.
    for (const until = performance.now() + 1000; performance.now() < until; ) {
      await network.ForwardGPU(x);
      await empty();
    }
    const rounds = [];
    for (let i = 0; i < argument.rounds; i++) {
      rounds.push([await time(() => network.ForwardGPU(x)), await time(empty)]);
    }
    return { rounds, first, name: adapter.info.architecture || adapter.info.vendor };
"""


@dataclass(frozen=True)
class Line:
    """One row: a pass of the MLP 784-392-10, and how many samples."""

    name: str
    kind: str
    batch: int


LINES = (
    Line("MLP 784-392-10 forward, batch 1", "forward", 1),
    Line("MLP 784-392-10 forward, batch 64", "forward", 64),
    Line("MLP 784-392-10 training step, batch 64", "training", 64),
)


def run(options) -> int:
    """Print the tables; 1 where --check is set and a bar is missed."""
    chosen = [line for line in LINES if (options.only or "") in line.name]
    rows, starts = [], []
    flags = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
    with chromium.served() as site, chromium.launched(*flags) as browser:
        found = timing.versions(1) | {"chromium": browser.version}
        del found["numpy"]
        print(f"{timing.heading(found)} | Chromium {browser.version}\n", flush=True)
        if chosen:
            page = chromium.blank(browser, site)
            files = {name: (ROOT / name).read_text() for name in CARRIED}
            evaluate(page, SETUP, {"files": files, "peer": PEER})
            rows = [measure(page, line, options.quick) for line in chosen]
            page.context.close()
            print(table(rows), end="\n\n", flush=True)
        places = [name for name in GPU_PLACES if (options.only or "") in name]
        gpu = [gpu_call(browser, site, name, options.quick) for name in places]
        starts = web_start.measure(browser, site, options)
    if options.json:
        figures = {"versions": found, "rows": rows, "gpu": gpu, "start": starts}
        Path(options.json).write_text(json.dumps(figures, indent=1))
    missed = any(row["missed"] for row in (*rows, *starts, *gpu))
    return int(options.check and missed)


def measure(page, line: Line, quick: bool) -> dict:
    """Verify a line, then time it by turns with NumPy's."""
    print(f"{line.name} ...", file=sys.stderr, flush=True)
    where = {"kind": line.kind, "batch": line.batch}
    ours, theirs = evaluate(page, PREPARE, where)
    for a, b in zip(ours, theirs, strict=True):
        apart = np.abs(np.subtract(a, b)).max() / np.abs(b).max()
        if not apart <= 1e-5:
            sys.exit(
                f"{line.name}: loom and numpy differ by {apart:.2g}, at most 1e-5."
            )
    given = {"milliseconds": 8 if quick else 30, "rounds": 9 if quick else 31}
    rounds = np.array(evaluate(page, ROUND, where | given))
    over = rounds[:, 0] - rounds[:, 1]
    low, middle, high = np.percentile(over, (25, 50, 75))
    loom, numpy, python = np.median(rounds, axis=0)
    return {
        "line": line.name,
        "loom_ms": float(loom),
        "numpy_ms": float(numpy),
        "python_ms": float(python),
        "bridge_ms": float(np.median(rounds[:, 0] - rounds[:, 2])),
        "ratio": float(np.median(rounds[:, 0] / rounds[:, 1])),
        "over_ms": float(middle),
        "spread_ms": float(high - low) / 2,
        "missed": bool(middle > MOST),
    }


def gpu_call(browser, site, name: str, quick: bool) -> dict:
    """What a call on the GPU adds to an empty submission that is read back."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    page = chromium.blank(browser, site)
    given = {"rounds": 9 if quick else 31, "worker": name != GPU}
    found = evaluate(page, GPU_CALL, given)
    page.context.close()
    rounds = np.array(found["rounds"])
    call, empty = np.median(rounds, axis=0)
    over = float(np.median(rounds[:, 0] - rounds[:, 1]))
    least = float(rounds[:, 0].min() - rounds[:, 1].min())
    missed = over > MOST_GPU
    print(
        f"{name} on {found['name']}: {call:.2f} ms, an empty submission {empty:.2f} "
        f"ms, beyond it {over:.2f} ms (fastest rounds {least:.2f}"
        f"{f'; at most {MOST_GPU}' if missed else ''}); "
        f"first call {timing.duration(found['first'] / 1e3)}\n",
        flush=True,
    )
    figures = {"call_ms": float(call), "empty_ms": float(empty), "over_ms": over}
    figures["least_ms"] = least
    return figures | {"line": name, "first_ms": found["first"], "missed": missed}


def table(rows: list[dict]) -> str:
    """Milliseconds of a call, and what is beyond NumPy."""
    cells = [["line", "loom.mjs", "numpy", "ratio", "beyond numpy", "bridge", ""]]
    for row in rows:
        cells.append(
            [
                row["line"],
                timing.duration(row["loom_ms"] / 1e3),
                timing.duration(row["numpy_ms"] / 1e3),
                f"{row['ratio']:.2f}",
                f"{row['over_ms']:.3f} ±{row['spread_ms']:.3f} ms",
                f"{row['bridge_ms']:.3f} ms",
                f"at most {MOST} ms" if row["missed"] else "",
            ]
        )
    return timing.columns(cells)
