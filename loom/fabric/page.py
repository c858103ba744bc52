"""`loom page`: the demo page of this installation, served on this computer."""

import os
import signal
import sys
import tempfile
import webbrowser
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from loom.errors import InputError
from loom.fabric import server, site, vendor

PORT = 8321


def page(
    port: Annotated[
        int | None, typer.Option(help=f"Default: {PORT}, or another that is free.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open it in the browser.")] = True,
) -> None:
    """Serve the demo page on this computer: train in the browser, draw digits, ..."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as by Ctrl-C
    say = partial(print, file=sys.stderr, flush=True)
    kept = vendor.cache()
    if not kept.is_dir():
        say(
            "The first start downloads Pyodide, NumPy and uPlot (17 MB), the next none."
        )
    with tempfile.TemporaryDirectory(prefix="loom-page-") as scratch:
        folder = Path(scratch)
        site.write(folder, kept, say)
        try:
            local = server.bound(folder, PORT if port is None else port)
        except InputError:
            if port is not None:
                raise
            local = server.bound(folder, 0)
        server.serve(local, webbrowser.open if browser and _has_screen() else None)


def _has_screen() -> bool:
    """Whether a browser would come up in a window, not in this terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
