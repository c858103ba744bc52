"""How long does the GPU take, beside PyTorch CUDA (TF32 off) and our own CPU?

Three tables: matrix products and whole networks by the device's own clock (timestamp
queries here, CUDA events there), and small batches by the wall clock. Everything is
verified before it is timed: products against float64, networks against the CPU core.
PyTorch is a peer where it finds a CUDA device. Contenders take turns; a time is the
median of the rounds, a ratio the median of the rounds' own.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from bench import gpu_lines, gpu_products, timing
from loom.gpu import detector, native

ROUNDS, QUICK_ROUNDS = 15, 5


@dataclass
class Measured:
    """Microseconds of a line by contender, one value a round, and its bars.

    bars: contender -> the greatest ratio loom / contender that is good enough.
    """

    name: str
    rounds: dict[str, np.ndarray]
    bars: dict[str, float] = field(default_factory=dict)
    note: str = ""

    def ratio(self, peer: str) -> float:
        """Ours over the peer's."""
        return float(np.median(self.rounds["loom"] / self.rounds[peer]))

    def missed(self) -> list[str]:
        """Text for each bar that was missed."""
        return [
            f"{self.ratio(peer):.2f} of {peer}, at most {bar:.3g}"
            for peer, bar in self.bars.items()
            if peer in self.rounds and self.ratio(peer) > bar
        ]

    def cells(self, names: list[str]) -> list[str]:
        """The row of a table."""
        times = [
            f"{np.median(self.rounds[n]):,.1f}" if n in self.rounds else "-"
            for n in names
        ]
        ratios = [
            f"{self.ratio(n):.2f}" if n in self.rounds else "-"
            for n in names
            if n != "loom"
        ]
        return [self.name, *times, *ratios, self.note, "; ".join(self.missed())]

    def to_json(self) -> dict[str, Any]:
        """Medians in microseconds, ratios, what was missed."""
        return {
            "line": self.name,
            "microseconds": {n: float(np.median(v)) for n, v in self.rounds.items()},
            "ratio": {n: self.ratio(n) for n in self.rounds if n != "loom"},
            "missed": self.missed(),
        }


@dataclass(frozen=True)
class Bench:
    """What a line needs: the device, PyTorch with CUDA or None, how many rounds."""

    adapter: Any
    device: Any
    torch: Any
    rounds: int

    def turns(
        self,
        contenders: dict[str, Callable[[], float]],
        before: Callable[[], None] = lambda: None,
    ) -> dict:
        """Microseconds of each contender (a call that gives them), by turns.

        `before()` is called before each of them.
        """
        names = list(contenders)
        for name in names:
            contenders[name]()
        rounds: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(self.rounds):
            for place in range(len(names)):
                name = names[(turn + place) % len(names)]
                before()
                rounds[name].append(contenders[name]())
        return {name: np.array(values) for name, values in rounds.items()}

    def events(self, run: Callable[[], Any], count: int = 1) -> Callable[[], float]:
        """A call that gives the device's microseconds of `run`, of `count` in a row."""
        cuda = self.torch.cuda

        def measured() -> float:
            start, end = (cuda.Event(enable_timing=True) for _ in range(2))
            cuda.synchronize()
            start.record()
            for _ in range(count):
                run()
            end.record()
            cuda.synchronize()
            return start.elapsed_time(end) * 1e3 / count

        return measured


def wall(run: Callable[[], Any], count: int = 1, first: int = 0) -> Callable[[], float]:
    """A call that gives the wall clock's microseconds of `run`.

    The mean of `count` calls in a row, after `first` that are not counted.
    """

    def measured() -> float:
        for _ in range(first):
            run()
        start = perf_counter()
        for _ in range(count):
            run()
        return (perf_counter() - start) * 1e6 / count

    return measured


def cuda_torch():
    """PyTorch with TF32 off, where it finds a CUDA device."""
    torch = timing.torch_or_none()
    if torch is None or not torch.cuda.is_available():
        return None
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch


def run(options) -> int:
    """Print the tables; 1 where --check is set and a bar is missed."""
    adapter = detector.choose()
    device = native.opened(adapter)
    torch = cuda_torch()
    bench = Bench(adapter, device, torch, QUICK_ROUNDS if options.quick else ROUNDS)
    found = timing.versions(options.threads)
    found["gpu"] = device.info["device"]
    if torch is not None:
        found["cuda"] = torch.cuda.get_device_name()
        warm_up(torch)
    print(timing.heading(found))
    print(f"{found['gpu']} ({device.info['backend_type']}), microseconds\n")
    rows: list[Measured] = []
    for title, lines in (
        ("matrix products, device time", gpu_products.lines(device.limits)),
        ("networks, device time", gpu_lines.device_lines(device.limits)),
        ("small batches, wall time", gpu_lines.wall_lines()),
    ):
        chosen = [line for line in lines if (options.only or "") in line.name]
        if not chosen:
            continue
        measured = []
        for line in chosen:
            print(f"{line.name} ...", file=sys.stderr, flush=True)
            measured.append(line.measure(bench))
        print(f"{title}\n{table(measured)}\n", flush=True)
        rows += measured
    if not rows:
        sys.exit(f"no line has {options.only!r} in its name.")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(
                {"versions": found, "rows": [row.to_json() for row in rows]},
                file,
                indent=1,
            )
    return int(options.check and any(row.missed() for row in rows))


def warm_up(torch) -> None:
    """Bring the clocks up: an idle GPU runs at a fifth of its speed."""
    x = torch.randn(4096, 4096, device="cuda")
    for _ in range(40):
        x @ x
    torch.cuda.synchronize()


def table(rows: list[Measured]) -> str:
    """Times, ratios, notes, and what missed its bar."""
    names = list(dict.fromkeys(n for row in rows for n in row.rounds))
    ratios = [f"loom/{n}" for n in names if n != "loom"]
    head = ["line", *names, *ratios, "", ""]
    return timing.columns([head, *(row.cells(names) for row in rows)])
