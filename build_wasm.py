"""Build the browser version of Loom into web/dist, and serve it if asked.

    python build_wasm.py                     build
    python build_wasm.py --serve --port 8080 build and serve, until Ctrl-C
    python build_wasm.py --best              build for publishing: smallest .br files

Needs the extra `web` (pip install -e '.[web]') and npm. What it downloads is verified
and kept in .cache/, so the next build takes seconds and needs no network.
"""

import argparse
import sys
import time

from loom.errors import LoomError
from loom.fabric.server import bound, serve
from tools.wasm.assemble import DIST, build
from tools.wasm.sources import ROOT


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help="serve web/dist")
    parser.add_argument("--no-build", action="store_true", help="serve what is there")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: any free port")
    parser.add_argument("--best", action="store_true", help="Brotli 11 (slow), not 9")
    options = parser.parse_args(argv)
    try:
        if not options.no_build:
            start = time.perf_counter()
            build(quality=11 if options.best else 9)
            seconds = time.perf_counter() - start
            size = sum(f.stat().st_size for f in DIST.rglob("*") if f.suffix != ".br")
            print(
                f"Built {DIST.relative_to(ROOT)}: {size / 1e6:.1f} MB, {seconds:.1f} s"
            )
        if options.serve:
            serve(bound(DIST, options.port, options.host))
    except LoomError as error:
        print(f"build_wasm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
