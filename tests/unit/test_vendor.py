"""What others made for the page: kept, verified, fetched; and what `loom page` says."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.error import URLError

import pytest

from loom import InputError
from loom.fabric import page, server, site, vendor

ROOT = Path(__file__).parents[2]
FILE = vendor.File("a.txt", "npm/a@1/dist/", vendor.digest(b"content"))
COPY = vendor.File("n.whl", "pyodide/v1/full/", vendor.digest(b"wheel"))


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """What is said; no network, no npm, no pip, until a test has one."""
    vendor._npm.cache_clear()
    vendor._donor.cache_clear()
    monkeypatch.setattr(vendor.urllib.request, "urlopen", unreachable)
    monkeypatch.setattr(vendor.shutil, "which", lambda name: None)
    return []


def unreachable(address, timeout):
    raise URLError(f"no route to {address}")


def test_what_is_kept_is_not_fetched_but_verified(said, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"content")
    assert vendor.fetch(FILE, tmp_path, said.append) == tmp_path / "a.txt"
    assert said == []
    (tmp_path / "a.txt").write_bytes(b"another")
    with pytest.raises(InputError, match=r"a\.txt is not in "):
        vendor.fetch(FILE, tmp_path, said.append)


def test_from_the_cdn(said, tmp_path, monkeypatch):
    asked = []

    def answer(address, timeout):
        asked.append(address)
        return io.BytesIO(b"content")

    monkeypatch.setattr(vendor.urllib.request, "urlopen", answer)
    for _ in range(2):
        path = vendor.fetch(FILE, tmp_path / "new" / "folder", said.append)
        assert path.read_bytes() == b"content"
    assert asked == [f"{vendor.CDN}npm/a@1/dist/a.txt"]
    assert said == ["Downloading a.txt"]


def test_changed_on_the_way_is_refused(said, tmp_path, monkeypatch):
    monkeypatch.setattr(
        vendor.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"login here")
    )
    expected = f"expected SHA-256 {FILE.sha256}, got {vendor.digest(b'login here')}"
    with pytest.raises(InputError, match=expected):
        vendor.fetch(FILE, tmp_path, said.append)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_it_says_what_to_do(said, tmp_path):
    with pytest.raises(InputError) as caught:
        vendor.fetch(FILE, tmp_path, said.append)
    assert str(caught.value) == (
        f"a.txt is not in {tmp_path}, and could not be downloaded: <urlopen error no "
        f"route to {vendor.CDN}npm/a@1/dist/a.txt>; npm is not installed. Is there no "
        "internet? The first start needs it, later ones do not. Or put "
        f"{vendor.CDN}npm/a@1/dist/a.txt into that folder."
    )


def test_from_npm_where_the_cdn_gives_nothing(said, tmp_path, monkeypatch):
    def npm(*command, folder):
        assert command[0] == "npm"
        assert command[-1] == "a@1"
        with tarfile.open(f"{folder}/a-1.tgz", "w:gz") as archive:
            row = tarfile.TarInfo("package/dist/a.txt")
            row.size = 7
            archive.addfile(row, io.BytesIO(b"content"))

    monkeypatch.setattr(vendor.shutil, "which", lambda name: name)
    monkeypatch.setattr(vendor, "_run", npm)
    assert vendor.fetch(FILE, tmp_path, said.append).read_bytes() == b"content"
    assert said == [
        "Downloading a.txt",
        "The CDN gave nothing: asking npm for a@1",
    ]


def test_from_pip_where_the_cdn_gives_nothing(said, tmp_path, monkeypatch):
    def pip(*command, folder):
        assert command[1:4] == ("-m", "pip", "download")
        with vendor.zipfile.ZipFile(f"{folder}/donor.whl", "w") as archive:
            archive.writestr(f"{vendor.DONOR_FOLDER}numpy-1.whl", b"wheel")

    monkeypatch.setattr(vendor, "_run", pip)
    file = COPY._replace(name="numpy-1.whl")
    assert vendor.fetch(file, tmp_path, said.append).read_bytes() == b"wheel"
    assert vendor.DONOR in said[1]
    with pytest.raises(InputError, match=r"n\.whl is not in"):
        vendor.fetch(COPY, tmp_path, said.append)


def test_a_command_that_fails_is_told_in_a_line(tmp_path):
    words = "import sys; sys.exit('first\\nlast')"
    with pytest.raises(OSError, match=r"-c import sys.*`: last$"):
        vendor._run(sys.executable, "-c", words, folder=str(tmp_path))


def test_the_cache_is_where_the_system_has_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("LOOM_CACHE", str(tmp_path))
    assert vendor.cache() == tmp_path / "vendor"
    monkeypatch.delenv("LOOM_CACHE")
    for platform, name, end in (
        ("linux", "XDG_CACHE_HOME", "loom/vendor"),
        ("win32", "LOCALAPPDATA", "loom/vendor"),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv(name, str(tmp_path))
        assert vendor.cache() == tmp_path / end
    monkeypatch.setattr(sys, "platform", "darwin")
    assert vendor.cache() == Path.home() / "Library" / "Caches" / "loom" / "vendor"


def test_a_pack_is_its_index_and_its_files():
    data = site.pack({"b": b"22", "a/c": b"1"})
    length = int.from_bytes(data[:4], "little")
    assert data[4 : 4 + length] == b'[["a/c", 1], ["b", 2]]'
    assert data[4 + length :] == b"122"


def test_the_page_gets_loom_without_what_no_page_runs():
    files = site.our_files()
    assert {
        "loom/__init__.py",
        "loom/data/digits.z",
        "loom/data/texts/iris.csv",
    } < files.keys()
    assert {"loom/page/__init__.py", "loom/kernels/_simd.wasm"} < files.keys()
    assert b"matmul.wgsl" in files["loom/assets/shaders.json"]
    assert not [name for name in files if re.search(r"cabi/|fabric/|\.bz2|\.c$", name)]


@pytest.fixture
def started(tmp_path, monkeypatch):
    """`loom page` as a process; its site is a file, so that nothing is fetched."""
    program = (
        "from loom.fabric import site\n"
        "site.write = lambda folder, *_: (folder / 'index.html').write_text('page')\n"
        "from loom.fabric.cli import main\n"
        "main()\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    env["LOOM_CACHE"] = str(tmp_path / "empty")

    def start(*words) -> tuple[subprocess.Popen, str]:
        command = [sys.executable, "-c", program, "page", "--no-browser", *words]
        process = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = process.stdout.readline()
        found = re.fullmatch(r"Loom is at (http://\S+/) \(Ctrl-C ends it\)\n", line)
        return process, found and found[1]

    return start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly(started, tmp_path, number):
    process, address = started("--port", "0")
    with vendor.urllib.request.urlopen(address) as reply:
        assert reply.read() == b"page"
        assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
    assert list(tmp_path.glob("loom-page-*"))
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out.strip()) == (0, "")
    assert err.startswith("The first start downloads ")
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("loom-page-*"))


def test_a_port_that_is_taken(started):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        process, address = started("--port", str(taken))
        assert address is None
        _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"error: cannot serve on 127.0.0.1:{taken}: " in error
    assert f"--port {taken + 1}" in error


def test_the_usual_port_taken_another_is_found(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(page.site, "write", lambda *_: None)
    monkeypatch.setattr(page.server, "serve", lambda *given: seen.append(given))
    monkeypatch.setattr(page.signal, "signal", lambda *_: None)
    monkeypatch.setattr(page, "_has_screen", lambda: True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(page, "PORT", other.getsockname()[1])
        page.page(port=None, browser=True)
        with pytest.raises(InputError, match="cannot serve on"):
            page.page(port=page.PORT, browser=True)
    ((local, opened),) = seen
    with local:
        assert local.server_port != page.PORT
    assert opened is page.webbrowser.open


def test_the_browser_is_opened_with_the_address(tmp_path, capsys):
    local, told = server.bound(tmp_path, 0), []

    def stop(address):
        told.append(address)
        raise KeyboardInterrupt

    server.serve(local, stop)
    assert told == [f"http://127.0.0.1:{local.server_port}/"]
    assert told[0] in capsys.readouterr().out


def test_a_browser_in_the_terminal_is_none(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not page._has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert page._has_screen()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert page._has_screen()
