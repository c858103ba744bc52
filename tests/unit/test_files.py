"""Files: all or nothing, and clear when it cannot be."""

import os
import stat

import pytest

from loom import FormatError, InputError
from loom.files import check_writable, read_bytes, write_atomic


def test_a_file_is_replaced_whole_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "model"
    write_atomic(path, b"one")
    write_atomic(str(path), b"two")
    assert read_bytes(path) == b"two"
    assert os.listdir(tmp_path) == ["model"]


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "model"
    write_atomic(path, b"one")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot write .*model': No space left"):
        write_atomic(path, b"two")
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["model"]


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("fsync"))
    replace = os.replace
    monkeypatch.setattr(
        os, "replace", lambda a, b: calls.append("replace") or replace(a, b)
    )
    write_atomic(tmp_path / "model", b"one")
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize("write", [check_writable, lambda p: write_atomic(p, b"")])
def test_what_cannot_be_written_is_told(tmp_path, write):
    for path in (tmp_path / "no" / "model", tmp_path):
        with pytest.raises(InputError, match="Choose a folder that exists"):
            write(path)


def test_check_writable_is_silent_and_writes_nothing(tmp_path):
    check_writable(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(FormatError, match=r"cannot read model '.*no': No such file"):
        read_bytes(tmp_path / "no", "model")
    with pytest.raises(FormatError, match="Is a directory"):
        read_bytes(tmp_path)
    with pytest.raises(FormatError, match="expected a path to read the file from"):
        read_bytes("a\0b")


def test_the_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "model", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o640
