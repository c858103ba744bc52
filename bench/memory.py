"""Peak memory of a line: each contender in a process of its own.

    python -m bench.memory LINE CONTENDER THREADS

The figure is the process's greatest resident size in three calls, less what was
resident before the first: what a call needs beyond its inputs and weights.
"""

import json
import subprocess
import sys

from bench import timing


def run(lines: list[timing.Line], threads: int) -> list[dict]:
    """Peak bytes by contender for each line."""
    rows = []
    for line in lines:
        peaks = {name: _child(line, name, threads) for name in line.build()}
        ours, torch = peaks[timing.OURS], peaks.get("torch")
        missed = []
        if line.memory and torch and ours > line.memory * torch:
            missed.append(f"{ours / torch:.2f} of torch, at most {line.memory:g}")
        rows.append({"line": line.name, "bytes": peaks, "missed": missed})
    return rows


def table(rows: list[dict]) -> str:
    """Peak MB by contender."""
    names = list(dict.fromkeys(name for row in rows for name in row["bytes"]))
    cells = [["line", *(f"{name} MB" for name in names), ""]]
    for row in rows:
        sizes = [
            f"{row['bytes'][name] / 1e6:.1f}" if name in row["bytes"] else "-"
            for name in names
        ]
        cells.append([row["line"], *sizes, "; ".join(row["missed"])])
    return timing.columns(cells)


def _child(line: timing.Line, contender: str, threads: int) -> int:
    command = [sys.executable, "-m", __name__, line.name, contender, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{line.name}: {contender}:\n{done.stderr}")
    return json.loads(done.stdout)


def _peak(line_name: str, contender: str, threads: int) -> int:
    """Bytes, in this process."""
    from bench.cpu import lines

    timing.versions(threads)
    line = next(line for line in lines() if line.name == line_name)
    call = line.build()[contender]
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # sets the high-water mark back to what is resident
    before = _status("VmRSS")
    for _ in range(3):
        call()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(_peak(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
