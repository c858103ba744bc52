"""`python -m loom.cabi build [--out DIR]`."""

import argparse
import sys
from pathlib import Path

from loom.cabi.build import BuildError, build
from loom.errors import LoomError


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loom.cabi", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "build", help="build libloom, loom.h and the benchmark for this platform"
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path("compiled"),
        metavar="DIR",
        help="what gets the folder <platform>_<arch> (default: compiled)",
    )
    options = parser.parse_args(argv)
    try:
        print(build(options.out))
    except (BuildError, LoomError) as error:
        print(f"loom.cabi: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
