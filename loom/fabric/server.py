"""A small static server for the page, as a careful host would serve it.

Correct MIME types, a strict Content-Security-Policy, Brotli where the browser takes it
(build_wasm.py writes FILE.br beside FILE), and revalidation, so that a rebuild is seen.
"""

import sys
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from loom.errors import InputError

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


class Handler(SimpleHTTPRequestHandler):
    """Serves one folder; silent but for errors."""

    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012  (the base class has it so)
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".js": "text/javascript",
        ".mts": "text/plain",
        ".wasm": "application/wasm",
        ".whl": "application/zip",
        ".json": "application/json",
        ".svg": "image/svg+xml",
        ".pack": "application/octet-stream",
        ".webmanifest": "application/manifest+json",
    }

    def send_head(self):
        """The file, or its Brotli twin when the browser accepts one."""
        path = Path(self.translate_path(self.path))
        if path.is_dir() and self.path.split("?")[0].endswith("/"):
            path = path / "index.html"
        twin = path.with_name(path.name + ".br")
        accepted = self.headers.get("Accept-Encoding", "")
        if "br" not in accepted or "Range" in self.headers or not twin.is_file():
            return super().send_head()
        status = twin.stat()
        modified = formatdate(status.st_mtime, usegmt=True)
        if self.headers.get("If-Modified-Since") == modified:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.end_headers()
            return None
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "br")
        self.send_header("Content-Length", str(status.st_size))
        self.send_header("Last-Modified", modified)
        self.end_headers()
        return twin.open("rb")

    def end_headers(self):
        """The headers of every reply."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code="-", size="-"):
        """Nothing: a line a file would hide what matters."""


class Server(ThreadingHTTPServer):
    """Knows that a browser closing a page in mid-download is no error."""

    def handle_error(self, request, client_address):
        """Report anything but a closed connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def bound(folder: Path, port: int, host: str = "127.0.0.1") -> Server:
    """A server of `folder`; port 0 takes any free one. InputError when it is taken."""
    try:
        return Server((host, port), partial(Handler, directory=str(folder)))
    except OSError as error:
        raise InputError(
            f"cannot serve on {host}:{port}: {error.strerror}. If another program has "
            f"the port, choose another: --port {port + 1}, or "
            f"`make demo PORT={port + 1}`."
        ) from None


def serve(server: Server, started: Callable[[str], object] | None = None) -> None:
    """Serve until interrupted; `started` is told the address."""
    with server:
        host, port = server.server_address
        address = f"http://{host}:{port}/"
        print(f"Loom is at {address} (Ctrl-C ends it)", flush=True)
        try:
            if started:
                started(address)
            server.serve_forever()
        except KeyboardInterrupt:
            print()
