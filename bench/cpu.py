"""How long do layers and networks take on the CPU, beside NumPy by hand and PyTorch?

The lines stand in `bench/cases`, one module a family, each with LINES. PyTorch is a
peer where the extra `bench` is installed.
"""

import json
import pkgutil
import sys
from importlib import import_module

from bench import cases, memory, timing


def lines() -> list[timing.Line]:
    """Every line of every module in bench/cases."""
    found = []
    for module in sorted(pkgutil.iter_modules(cases.__path__), key=lambda m: m.name):
        found += import_module(f"bench.cases.{module.name}").LINES
    return found


def run(options) -> int:
    """Print the table; 1 where --check is set and a bar is missed."""
    chosen = [line for line in lines() if (options.only or "") in line.name]
    if not chosen:
        names = "\n  ".join(line.name for line in lines())
        sys.exit(f"no line has {options.only!r} in its name:\n  {names}")
    found = timing.versions(options.threads)
    print(timing.heading(found), end="\n\n", flush=True)
    if options.memory:
        rows = memory.run(chosen, options.threads)
        missed = any(row["missed"] for row in rows)
        print(memory.table(rows))
    else:
        measured = []
        for line in chosen:
            print(f"{line.name} ...", file=sys.stderr, flush=True)
            measured.append(timing.measure(line, options.quick))
        rows = [row.to_json() for row in measured]
        missed = any(row["missed"] for row in rows)
        print(timing.table(measured))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"versions": found, "rows": rows}, file, indent=1)
    return int(missed and options.check)
