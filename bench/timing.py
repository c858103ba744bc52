"""Timing: verify, warm up, interleave ours and the peers, and print one table.

All contenders of a line run in one process, by turns: a round gives each as many calls
as take about a millisecond, in an order that rotates. A time is the median of the
rounds, its spread half the range of the middle half of them. A ratio is the median of
the rounds' own ratios, so that what slows a whole round down does not count.
"""

import gc
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

OURS = "loom"
_ROUND = 1e-3  # seconds that a contender's turn takes at least
_SECONDS, _QUICK_SECONDS = 1.5, 0.3  # for each contender of a line
_LEAST, _MOST = 7, 600  # rounds


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        name: what is computed, with its shapes.
        build: () -> contenders by name, "loom" first; each a call without arguments
            that returns the arrays to verify. First calls are compared, so each
            begins from the same state; later ones may train on.
        bars: peer -> the greatest ratio loom / peer that is good enough.
        overhead: peer -> the most microseconds that loom may take beyond the peer.
        memory: the greatest ratio of peak memory to PyTorch's; 0 for no bar.
        tolerance: greatest difference in the first call, relative to the greatest
            value of an array.
    """

    name: str
    build: Callable[[], dict[str, Callable[[], Any]]]
    bars: dict[str, float] = field(default_factory=dict)
    overhead: dict[str, float] = field(default_factory=dict)
    memory: float = 0.0
    tolerance: float = 1e-5


@dataclass
class Row:
    """What was measured of a line: seconds by contender, one value a round."""

    line: Line
    rounds: dict[str, np.ndarray]

    def median(self, name: str) -> float:
        """Seconds of a call."""
        return float(np.median(self.rounds[name]))

    def spread(self, name: str) -> float:
        """Half of the middle half's range, relative to the median."""
        low, high = np.percentile(self.rounds[name], (25, 75))
        return float(high - low) / 2 / self.median(name)

    def ratio(self, peer: str) -> float:
        """Ours over the peer's: the median of the rounds."""
        return float(np.median(self.rounds[OURS] / self.rounds[peer]))

    def peers(self) -> list[str]:
        """All but ours."""
        return [name for name in self.rounds if name != OURS]

    def missed(self) -> list[str]:
        """A line of text for each bar that was missed."""
        out = []
        for peer, bar in self.line.bars.items():
            if peer in self.rounds and self.ratio(peer) > bar:
                out.append(f"{self.ratio(peer):.2f} of {peer}, at most {bar:g}")
        for peer, most in self.line.overhead.items():
            if peer in self.rounds:
                extra = (self.median(OURS) - self.median(peer)) * 1e6
                if extra > most:
                    out.append(f"{extra:.1f} us over {peer}, at most {most:g}")
        return out

    def to_json(self) -> dict[str, Any]:
        """The figures: medians in seconds, spreads, ratios, bars."""
        return {
            "line": self.line.name,
            "seconds": {name: self.median(name) for name in self.rounds},
            "spread": {name: self.spread(name) for name in self.rounds},
            "ratio": {peer: self.ratio(peer) for peer in self.peers()},
            "bars": self.line.bars,
            "missed": self.missed(),
        }


def measure(line: Line, quick: bool = False) -> Row:
    """Verify and time a line. Raises SystemExit when contenders disagree."""
    contenders = line.build()
    verify(line, contenders)
    names = list(contenders)
    calls = {name: _calls(contenders[name]) for name in names}
    seconds = (_QUICK_SECONDS if quick else _SECONDS) * len(names)
    rounds: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        until, turn = perf_counter() + seconds, 0
        while turn < _LEAST or (turn < _MOST and perf_counter() < until):
            for place in range(len(names)):
                name = names[(turn + place) % len(names)]
                run, count = contenders[name], calls[name]
                start = perf_counter()
                for _ in range(count):
                    run()
                rounds[name].append((perf_counter() - start) / count)
            turn += 1
    finally:
        gc.enable()
    return Row(line, {name: np.array(values) for name, values in rounds.items()})


def verify(line: Line, contenders: dict[str, Callable]) -> None:
    """Compare every contender's first call with ours."""
    wanted = _arrays(contenders[OURS]())
    for name, run in contenders.items():
        if name == OURS:
            continue
        got = _arrays(run())
        if [a.shape for a in got] != [a.shape for a in wanted]:
            sys.exit(
                f"{line.name}: {name} returns {[a.shape for a in got]}, "
                f"loom {[a.shape for a in wanted]}."
            )
        for number, (a, b) in enumerate(zip(wanted, got, strict=True)):
            scale = float(np.abs(b).max()) or 1.0
            apart = float(np.abs(a - b).max()) / scale
            if not apart <= line.tolerance:
                sys.exit(
                    f"{line.name}: result {number} of loom and {name} differ by "
                    f"{apart:.2g} of its greatest value, at most {line.tolerance:g}."
                )


def _calls(run: Callable) -> int:
    """How many calls take a round's time; warms up meanwhile."""
    count = 1
    while True:
        start = perf_counter()
        for _ in range(count):
            run()
        taken = perf_counter() - start
        if taken >= _ROUND or count >= 4096:
            return count
        count *= 2


def _arrays(value: Any) -> list[np.ndarray]:
    """Copies as float64 of all arrays or tensors of a result, in order."""
    if value is None:
        return []
    if isinstance(value, tuple | list):
        return [array for item in value for array in _arrays(item)]
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    return [np.array(value, np.float64)]


# Reports -------------------------------------------------------------------------


def versions(threads: int) -> dict[str, Any]:
    """What the figures depend on."""
    import loom

    found = {
        "loom": loom.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "threads": threads,
    }
    torch = torch_or_none()
    if torch is not None:
        torch.set_num_threads(threads)
        found["torch"] = torch.__version__
    return found


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def torch_or_none():
    """PyTorch, where the extra `bench` is installed."""
    try:
        import torch
    except ImportError:
        return None
    return torch


def heading(found: dict[str, Any]) -> str:
    """The versions as a line of text."""
    threads = found.get("threads", 1)
    known = " ".join(
        f"{name} {found[name]}" for name in ("loom", "numpy", "torch") if name in found
    )
    return (
        f"{known} python {found['python']} | {found['system']}, {found['processor']}, "
        f"{threads} thread{'s' * (threads != 1)}"
    )


def table(rows: Iterable[Row]) -> str:
    """Times with spreads, ratios, and what missed its bar."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row.rounds))
    peers = [name for name in names if name != OURS]
    head = ["line", *names, *(f"{OURS}/{peer}" for peer in peers), ""]
    cells = []
    for row in rows:
        times = [
            f"{duration(row.median(name))} ±{row.spread(name):.0%}"
            if name in row.rounds
            else "-"
            for name in names
        ]
        ratios = [
            f"{row.ratio(peer):.2f}" if peer in row.rounds else "-" for peer in peers
        ]
        cells.append([row.line.name, *times, *ratios, "; ".join(row.missed())])
    return columns([head, *cells])


def columns(cells: list[list[str]]) -> str:
    """Rows of text in columns: the first and the last to the left, others right."""
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    last = len(widths) - 1
    lines = []
    for row in cells:
        parts = [
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds in a unit that fits: 23.6 us, 5.61 ms, 1.20 s."""
    for unit, scale in (("us", 1e6), ("ms", 1e3)):
        if seconds * scale < 1000:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:.3g} s"
