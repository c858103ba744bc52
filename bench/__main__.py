"""python -m bench cpu|web|gpu|cabi [--quick] [--only TEXT] [--threads N] [--json F]

A question is a module of this package with `run(options)`; it is imported when asked
for, after the number of threads is set.
"""

import argparse
import os
import sys
from importlib import import_module

QUESTIONS = {
    "cpu": "layers and a small network beside hand-written NumPy and PyTorch",
    "web": "the JavaScript API in Chromium beside the same NumPy lines in Pyodide",
    "gpu": "the GPU beside the CPU and the peers installed",
    "cabi": "calls through the C ABI",
}
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: list[str] | None = None) -> int:
    """Run a question; 1 where --check finds a bar missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "question",
        choices=QUESTIONS,
        help="; ".join(f"{name}: {text}" for name, text in QUESTIONS.items()),
    )
    parser.add_argument("--quick", action="store_true", help="shorter, less exact")
    parser.add_argument("--only", metavar="TEXT", help="lines whose name has TEXT")
    parser.add_argument("--threads", type=int, default=1, help="of the BLAS (1)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--memory", action="store_true", help="peak memory, not time")
    parser.add_argument("--peers", action="store_true", help="web: beside the peers")
    parser.add_argument("--gpu", action="store_true", help="web: WebGPU, with peers")
    parser.add_argument(
        "--patience",
        type=float,
        default=150,
        metavar="SECONDS",
        help="web --gpu: how long a contender may say nothing (150)",
    )
    parser.add_argument("--check", action="store_true", help="fail on a bar missed")
    options = parser.parse_args(arguments)
    for name in _THREADS:
        os.environ[name] = str(options.threads)
    kind = "_gpu" if options.gpu else "_peers" if options.peers else ""
    module = f"bench.{options.question}{kind}"
    try:
        question = import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        parser.error(f"{module} is not in this checkout.")
    from loom.errors import LoomError  # NumPy with it: after the threads are set

    try:
        return question.run(options) or 0
    except LoomError as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    sys.exit(main())
