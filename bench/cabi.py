"""What does a call through the C ABI cost, beside the original's library and our core?

In one process through ctypes, by turns: an MLP 784-392-10, batch 1, whose weights are
those that the original drew. Then `simple_bench`, the C program, in processes of its
own, also by turns.
"""

import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import timing
from bench.peers import load_original
from loom.cabi.build import build

SIZES = (784, 392, 10)
START_BAR = 600  # ms
JSON_BAR = 0.6  # of the original's time
OVERHEAD_BAR = 15  # us over the NumPy core
_FLOATS = ctypes.POINTER(ctypes.c_float)


class Library:
    """Ours or the original's, with a network in it."""

    def __init__(self, library: ctypes.CDLL):
        self.library = library
        text, handle, number = ctypes.c_char_p, ctypes.c_int64, ctypes.c_int
        for name, types in {
            "Loom_NewNetwork": [number, number, number, number, ctypes.c_bool],
            "Loom_InitDenseLayer": [number, number, number],
            "Loom_SetLayer": [handle, number, number, number, text],
            "Loom_Call": [handle, text, text],
        }.items():
            getattr(library, name).argtypes = types
            getattr(library, name).restype = ctypes.c_void_p
        library.Loom_FreeCString.argtypes = [ctypes.c_void_p]
        library.Loom_FreeCString.restype = None
        self.handle = self.reply("NewNetwork", SIZES[0], 2, 1, 1, False)["handle"]

    def reply(self, name: str, *arguments) -> Any:
        """A reply's value."""
        pointer = getattr(self.library, f"Loom_{name}")(*arguments)
        value = json.loads(ctypes.string_at(pointer))
        self.library.Loom_FreeCString(pointer)
        if isinstance(value, dict) and "error" in value:
            sys.exit(f"Loom_{name}: {value['error']}")
        return value

    def layers(self) -> list[dict]:
        """Configurations, with weights where the library draws them here."""
        return [
            self.reply("InitDenseLayer", SIZES[i], SIZES[i + 1], 1 - i)
            for i in range(2)
        ]

    def set_layers(self, layers: list[dict]) -> None:
        """Place the two layers."""
        for row, layer in enumerate(layers):
            text = json.dumps(layer).encode()
            self.reply("SetLayer", self.handle, row, 0, 0, text)

    def json_call(self, arguments: bytes):
        """A contender: ForwardCPU through JSON; it returns its first call's values."""
        call, free = self.library.Loom_Call, self.library.Loom_FreeCString
        handle = self.handle
        first = []

        def run():
            pointer = call(handle, b"ForwardCPU", arguments)
            if not first:
                first.append(np.array(json.loads(ctypes.string_at(pointer))[0]))
            free(pointer)
            return first[0]

        return run

    def array_call(self, name: str, x: np.ndarray, size: int):
        """A contender: Loom_ForwardF32 or Loom_BackwardF32."""
        y, written = np.empty(size, np.float32), ctypes.c_size_t()
        function, handle = getattr(self.library, name), ctypes.c_int64(self.handle)
        arguments = (
            *(handle, x.ctypes.data_as(_FLOATS), ctypes.c_size_t(x.size)),
            *(y.ctypes.data_as(_FLOATS), ctypes.c_size_t(size), ctypes.byref(written)),
        )

        def run():
            if function(*arguments):
                sys.exit(f"{name} failed")
            return y

        return run


def lines(ours: Library, original: Library | None) -> list[timing.Line]:
    """The calls to time; the weights are the original's where it is there."""
    from loom.cabi.handles import network

    layers = (original or ours).layers()
    for library in filter(None, (ours, original)):
        library.set_layers(layers)
    with network(ours.handle) as entry:
        net = entry.net
    x = np.random.default_rng(0).random(SIZES[0]).astype(np.float32)
    dy = np.ones(SIZES[-1], np.float32)

    def through_json(values: list[float]):
        text = json.dumps([values]).encode()

        def build_line():
            peers = {"original": original.json_call(text)} if original else {}
            return {timing.OURS: ours.json_call(text)} | peers

        return build_line

    def forward():
        rows = x.reshape(1, -1)
        return {
            timing.OURS: ours.array_call("Loom_ForwardF32", x, SIZES[-1]),
            "core": lambda: net.forward(rows).reshape(-1),
        }

    def backward():
        rows = dy.reshape(1, -1)
        return {
            timing.OURS: ours.array_call("Loom_BackwardF32", dy, SIZES[0]),
            "core": lambda: net.backward(rows).reshape(-1),
        }

    json_bar, overhead = {"original": JSON_BAR}, {"core": OVERHEAD_BAR}
    short = [round(float(v), 6) for v in x]
    return [
        timing.Line(
            "ForwardCPU, JSON of 784 zeros", through_json([0.0] * 784), json_bar
        ),
        timing.Line("ForwardCPU, JSON of 6 digits", through_json(short), json_bar),
        timing.Line(
            "ForwardCPU, JSON of 17 digits", through_json(x.tolist()), json_bar
        ),
        timing.Line("Loom_ForwardF32", forward, overhead=overhead),
        timing.Line("Loom_BackwardF32", backward),
    ]


def programs(folder: Path, original: Path | None, rounds: int) -> dict[str, dict]:
    """`simple_bench` with each library by turns: library -> name -> medians."""
    libraries = {timing.OURS: next(folder.glob("libloom.*")), "original": original}
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for name, library in libraries.items():
            if library is None:
                continue
            done = subprocess.run(
                [folder / "simple_bench", library, "300"],
                capture_output=True,
                text=True,
                check=True,
            )
            for line in done.stdout.splitlines():
                key, value = line.split()
                found.setdefault(name, {}).setdefault(key, []).append(float(value))
    return {
        name: {key: median(values) for key, values in rows.items()}
        for name, rows in found.items()
    }


def run(options) -> int:
    """Print both tables; 1 where --check is set and a bar is missed."""
    found = timing.versions(options.threads)
    peer, path, note = load_original()
    print(f"{timing.heading(found)}\noriginal: {note}", end="\n\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as out:
        folder = build(Path(out))
        ours = Library(ctypes.CDLL(str(next(folder.glob("libloom.*")))))
        original = Library(peer) if peer else None
        rows = [
            timing.measure(line, options.quick)
            for line in lines(ours, original)
            if (options.only or "") in line.name
        ]
        medians = programs(folder, path, 3 if options.quick else 9)
    print(timing.table(rows), end="\n\n")
    keys = list(medians[timing.OURS])
    cells = [["from C, own process (us; ms where named)", *medians, ""]]
    start = medians[timing.OURS]["first_network_ms"]
    late = f"at most {START_BAR}" if start > START_BAR else ""
    for key in keys:
        figures = [f"{row[key]:.1f}" if key in row else "-" for row in medians.values()]
        cells.append([key, *figures, late if key == "first_network_ms" else ""])
    print(timing.columns(cells))
    if options.json:
        with open(options.json, "w") as file:
            report = {"rows": [row.to_json() for row in rows], "programs": medians}
            json.dump({"versions": found, "original": note} | report, file, indent=1)
    return int(options.check and (bool(late) or any(row.missed() for row in rows)))
