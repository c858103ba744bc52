"""The comprehensive benchmark: each layer forward and backward, CPU and GPU.

A time is the median of calls through Network's own methods: the CPU's without anything
around it, the GPU's with both transfers. The GPU's outputs and input gradients are
compared with the CPU's before anything is timed.
"""

import json
import platform
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import loom
from loom import layers as kinds
from loom.errors import ConfigError, DeviceError
from loom.fabric.chart import bars
from loom.fabric.terminal import duration, first_sentence, say
from loom.files import check_writable, write_atomic
from loom.layers import Layer
from loom.network import Network

Array = np.ndarray
SECONDS, QUICK_SECONDS = 1.0, 0.15  # of calls, for each of a case's four figures
LEAST = 3  # calls
LIMIT = 1e-3  # a greater difference of the GPU is an error, relative to the greatest


@dataclass(frozen=True)
class Case:
    """One line: a network and the shape of its x.

    Attributes:
        name: as the table shows it, beside the shape of x.
        build: quick -> (network, batch).
    """

    name: str
    build: Callable[[bool], tuple[Network, int]]


def _stack(*made: Layer, shape=None) -> Network:
    return Network.stack(*made, input_shape=shape, seed=1)


def _case(name: str, make: Callable[..., Network], full: tuple, quick: tuple) -> Case:
    """A case from sizes: the batch first, then what `make` takes."""

    def build(is_quick: bool) -> tuple[Network, int]:
        batch, *sizes = quick if is_quick else full
        return make(*sizes), batch

    return Case(name, build)


def _chain(size: int) -> Network:
    return Network(size, 4, 4, 5, seed=1)


def _dense(width: int) -> Network:
    return _stack(*[kinds.Dense(width, width) for _ in range(4)])


def _conv2d(side: int) -> Network:
    return _stack(kinds.Conv2D(side, side, 3, kernel_size=3, padding=1, filters=16))


def _attention(length: int, width: int) -> Network:
    return _stack(kinds.MultiHeadAttention(width, 8, length))


def _recurrent(kind: type[Layer]) -> Callable[[int], Network]:
    return lambda length: _stack(kind(64, 128), shape=(length, 64))


def _image(layer: Callable[[], Layer]) -> Callable[[int], Network]:
    return lambda side: _stack(layer(), shape=(16, side, side))


def _rows(layer: Callable[[int], Layer]) -> Callable[[int], Network]:
    return lambda width: _stack(layer(width), shape=(256, width))


_RECURRENT = ((32, 50), (8, 20))
_IMAGE = ((32, 64), (4, 16))
_ROWS = ((32, 512), (4, 64))
CASES = (
    _case("Elementwise, 80 layers", _chain, (64, 4096), (8, 4096)),
    _case("Dense, 4 layers", _dense, (256, 2048), (32, 256)),
    _case("Conv2D 3x3, 16 filters", _conv2d, (32, 64), (4, 32)),
    _case("MultiHeadAttention, 8 heads", _attention, (32, 256, 512), (2, 64, 128)),
    _case("RNN, 128 units", _recurrent(kinds.RNN), *_RECURRENT),
    _case("LSTM, 128 units", _recurrent(kinds.LSTM), *_RECURRENT),
    _case("GRU, 128 units", _recurrent(kinds.GRU), *_RECURRENT),
    _case("QRNN, 128 units", _recurrent(kinds.QRNN), *_RECURRENT),
    _case("SRU, 128 units", _recurrent(kinds.SRU), *_RECURRENT),
    _case(
        "Conv1D, 128 filters",
        lambda length: _stack(kinds.Conv1D(64, 128, 3, padding=1), shape=(length, 64)),
        *_RECURRENT,
    ),
    _case("MaxPool2D", _image(lambda: kinds.MaxPool2D(2)), *_IMAGE),
    _case("AvgPool2D", _image(lambda: kinds.AvgPool2D(2)), *_IMAGE),
    _case("BatchNorm", _image(lambda: kinds.BatchNorm(16)), *_IMAGE),
    _case("LayerNorm", _rows(kinds.LayerNorm), *_ROWS),
    _case("RMSNorm", _rows(kinds.RMSNorm), *_ROWS),
    _case("Softmax", _rows(lambda width: kinds.Softmax()), *_ROWS),
)


@dataclass
class Figures:
    """What was measured of a case; seconds, None where there was no GPU for it."""

    name: str
    shape: tuple[int, ...]
    cpu: tuple[float, float]
    gpu: tuple[float, float] | None = None
    difference: float | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """The figures by name."""

        def part(pair):
            if pair is None:
                return None
            forward, backward = pair
            return {"forward": forward, "backward": backward, "total": sum(pair)}

        return {
            "name": self.name,
            "shape": list(self.shape),
            "cpu": part(self.cpu),
            "gpu": part(self.gpu),
            "speedup": self.speedup(),
            "difference": self.difference,
            "problem": self.problem,
        }

    def speedup(self) -> float | None:
        """The CPU's total time over the GPU's."""
        return sum(self.cpu) / sum(self.gpu) if self.gpu else None


def adapter() -> tuple[dict[str, Any] | None, str]:
    """The GPU's report, or why there is none."""
    probe = Network(4, 1, 1, 1, seed=0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the table names a software GPU as such
            probe.init_gpu()
        report = probe.gpu_info()
        probe.release_gpu()
    except DeviceError as error:
        return None, first_sentence(error)
    return report, ""


def measure(case: Case, quick: bool, gpu: bool) -> Figures:
    """Compare, then time one case."""
    net, batch = case.build(quick)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *net.input_shape)).astype(np.float32)
    y, _ = net.forward_cpu(x)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx, _ = net.backward_cpu(dy)
    cpu = _times(net.forward_cpu, net.backward_cpu, x, dy, quick)
    found = Figures(case.name, x.shape, cpu)
    if not gpu:
        return found
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net.init_gpu()
        try:
            gy, gdx = net.forward_gpu(x)[0], net.backward_gpu(dy)[0]
            found.difference = max(_apart(gy, y), _apart(gdx, dx))
            found.gpu = _times(net.forward_gpu, net.backward_gpu, x, dy, quick)
        finally:
            net.release_gpu()
    except DeviceError as error:
        found.problem = first_sentence(error)
    if found.difference is not None and not found.difference < LIMIT:
        found.problem = f"GPU and CPU differ by {found.difference:.1e}"
    return found


def _times(forward, backward, x: Array, dy: Array, quick: bool) -> tuple[float, float]:
    """Median seconds of a forward and of a backward pass."""
    until = perf_counter() + (QUICK_SECONDS if quick else SECONDS)
    rows: list[tuple[int, int]] = []
    while len(rows) < LEAST or perf_counter() < until:
        rows.append((forward(x)[1], backward(dy)[1]))
    return tuple(float(value) / 1e9 for value in np.median(rows, axis=0))


def _apart(got: Array, expected: Array) -> float:
    scale = max(float(np.abs(expected).max()), 1e-6)
    return float(np.abs(got - expected).max()) / scale


# The report ----------------------------------------------------------------------


def run(
    quick: bool = False,
    only: str | None = None,
    folder: Path | None = Path(),
    quiet: bool = False,
) -> dict[str, Any]:
    """Measure all cases, print the table, and write loom-bench.json and .svg.

    `quick` cuts the shapes and writes loom-bench-quick instead. `folder` None writes
    nothing. Ctrl-C ends it with what is measured. The result is what the JSON holds.
    """
    chosen = [case for case in CASES if (only or "").lower() in case.name.lower()]
    if not chosen:
        names = ", ".join(case.name.partition(",")[0] for case in CASES)
        raise ConfigError(f"no line has {only!r} in its name. Known: {names}.")
    path = folder / f"loom-bench{'-quick' * quick}" if folder is not None else None
    if path is not None:
        check_writable(path.with_suffix(".json"))
    report, why_not = adapter()
    name = report["name"] if report else f"none ({why_not})"
    if not quiet:
        say(f"Loom {loom.__version__}, NumPy {np.__version__}, {platform.machine()}")
        say(f"GPU: {name}")
        if quick:
            say("quick: small shapes and little time, for small machines")
        say()
        head = _HEAD + _GPU_HEAD * (report is not None)
        say(head)
        say("-" * len(head))
    rows: list[Figures] = []
    interrupted = False
    try:
        for case in chosen:
            rows.append(measure(case, quick, report is not None))
            if not quiet:
                say(line(rows[-1]))
    except KeyboardInterrupt:
        interrupted = True
        if not quiet:
            say(f"\nStopped by Ctrl-C after {len(rows)} of {len(chosen)}.")
    result = {
        "loom": loom.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "quick": quick,
        "interrupted": interrupted,
        "gpu": report,
        "gpu_missing": why_not,
        "rows": [row.to_json() for row in rows],
    }
    if path is not None and rows:
        _write(path, result, rows, name, quiet)
    return result


_HEAD = f"{'':<28}{'x':<12}{'CPU forward':>12}{'backward':>9}{'total':>9}"
_GPU_HEAD = f"{'GPU forward':>13}{'backward':>9}{'total':>9}{'speed-up':>9}  difference"


def line(row: Figures) -> str:
    """A case as a line of the table."""
    shape = "x".join(map(str, row.shape))
    text = f"{row.name:<28}{shape:<12}{_three(row.cpu, 12)}"
    if row.gpu is None:
        return f"{text}   {row.problem}".rstrip()
    return (
        f"{text}{_three(row.gpu, 13)}{row.speedup():>8.1f}x  {row.difference:.1e}"
        f"  {row.problem}"
    ).rstrip()


def _three(pair: tuple[float, float], width: int) -> str:
    forward, backward = pair
    return (
        f"{duration(forward):>{width}}{duration(backward):>9}"
        f"{duration(forward + backward):>9}"
    )


def _write(path: Path, result: dict, rows: list[Figures], name: str, quiet) -> None:
    text = json.dumps(result, indent=1, allow_nan=False, default=str)
    write_atomic(path.with_suffix(".json"), text.encode())
    series = {"CPU": [sum(row.cpu) for row in rows]}
    if any(row.gpu for row in rows):
        series[f"GPU: {name}"] = [sum(row.gpu) if row.gpu else None for row in rows]
    chart = bars(
        "Forward and backward, milliseconds (logarithmic)",
        [f"{row.name}, {'x'.join(map(str, row.shape))}" for row in rows],
        {
            label: [None if v is None else v * 1e3 for v in values]
            for label, values in series.items()
        },
    )
    write_atomic(path.with_suffix(".svg"), chart.encode())
    if not quiet:
        say(f"\nwrote {path.with_suffix('.json')} and {path.with_suffix('.svg')}")
