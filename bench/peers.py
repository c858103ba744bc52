"""The C library of the framework we follow: PyPI `welvet`, its first release.

It was linked where the C library is 2.38; of that it needs fmod and fmodf alone, which
every libm has under the version GLIBC_2.2.5. Where the C library is older, a copy whose
table of needs says so is loaded instead: two fields of one entry differ.
"""

import ctypes
import platform
import struct
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

_OLD, _NEW = b"GLIBC_2.2.5", b"GLIBC_2.38"


def original_library() -> Path | None:
    """The library for this machine; None where the package or the build is missing."""
    spec = find_spec("welvet")
    if spec is None or sys.platform != "linux":
        return None
    folder = Path(spec.submodule_search_locations[0])
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    path = folder / f"linux_{machine}" / "libloom.so"
    return path if path.exists() else None


def load_original() -> tuple[ctypes.CDLL | None, Path | None, str]:
    """The library, its file, and a line on what was loaded or why nothing was."""
    path = original_library()
    if path is None:
        return None, None, "the original is not installed (extra `bench`, Linux)"
    try:
        return ctypes.CDLL(str(path)), path, "welvet 0.0.3"
    except OSError as error:
        if "GLIBC_2.38" not in str(error):
            return None, None, f"the original does not load: {error}"
    copy = Path(tempfile.mkdtemp(prefix="loom-bench-")) / "libloom.so"
    copy.write_bytes(with_older_needs(path.read_bytes()))
    return ctypes.CDLL(str(copy)), copy, "welvet 0.0.3, its fmod that of GLIBC 2.2.5"


def with_older_needs(elf: bytes) -> bytes:
    """A 64-bit ELF file whose need of GLIBC_2.38 in libm is one of GLIBC_2.2.5."""
    data = bytearray(elf)
    sections = _sections(data)
    strings = sections[".dynstr"]
    at, _ = sections[".gnu.version_r"]
    names = bytes(data[strings[0] : sum(strings)])
    while True:
        _, count, _, first, following = struct.unpack_from("<HHIII", data, at)
        need = at + first
        for _ in range(count):
            digest, _, _, _, step = struct.unpack_from("<IHHII", data, need)
            if digest == _hash(_NEW):
                older = names.index(b"\0" + _OLD + b"\0") + 1
                struct.pack_into("<I", data, need, _hash(_OLD))
                struct.pack_into("<I", data, need + 8, older)
            need += step
        if not following:
            return bytes(data)
        at += following


def _sections(data: bytearray) -> dict[str, tuple[int, int]]:
    """Name -> (offset, size) of each section."""
    table = struct.unpack_from("<Q", data, 0x28)[0]
    size, count, names_at = struct.unpack_from("<HHH", data, 0x3A)
    rows = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    names = rows[names_at][4]
    out = {}
    for name, _, _, _, offset, length in rows:
        start = names + name
        text = data[start : data.index(0, start)].decode()
        out[text] = (offset, length)
    return out


def _hash(name: bytes) -> int:
    """The ELF specification's hash of a version's name."""
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high & 0xFFFFFFFF
    return value
