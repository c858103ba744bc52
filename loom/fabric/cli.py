"""The entry point of `loom`: says what is missing, and turns errors into one line."""

import os
import sys
import tempfile
import warnings
from importlib.util import find_spec

NEEDED = ("typer", "rich", "plotext")
FAILED, STOPPED = 1, 130  # exit codes; 2 is a wrong use of the command


def main() -> None:
    """Run the command; a LoomError becomes a message and exit code 1."""
    for name in NEEDED:
        if find_spec(name) is None:
            sys.exit(
                f"loom: {name} is not installed. The command needs the extra cli: "
                "pip install 'loom-nn[cli]'"
            )
    from loom.errors import LoomError
    from loom.fabric.app import app

    _quiet()
    try:
        app(prog_name="loom")
    except LoomError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(FAILED)


def _quiet() -> None:
    """One line for a warning, and none of a GPU driver's own."""
    # Mesa's drivers print an error of their own where it is not set (in a container).
    if sys.platform == "linux":
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())

    def show(message, *rest):
        print(f"warning: {message}", file=sys.stderr)

    warnings.showwarning = show


if __name__ == "__main__":
    main()
