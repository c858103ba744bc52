"""Files: written atomically, read with a clear error."""

import os
from errno import EISDIR
from pathlib import Path

from loom.errors import FormatError, InputError, LoomError


def write_atomic(path: str | os.PathLike, data: bytes) -> None:
    """Write `data` so that `path` holds all of it or what it held before.

    The bytes go to a neighbour, reach the disk, and take the name at once. Raises
    InputError when the folder is missing or not writable.
    """
    target = _path(path, InputError, "write to")
    neighbour = target.parent / f".{target.name}.{os.getpid()}.tmp"
    try:
        if not target.name:
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        with open(neighbour, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(neighbour, target)
    except OSError as error:
        neighbour.unlink(missing_ok=True)
        raise InputError(
            f"cannot write {str(path)!r}: {error.strerror or error}. "
            "Choose a folder that exists and is writable."
        ) from None


def make_folder(
    folder: Path, where: str = "", advice: str = "Choose one that is writable."
) -> None:
    """Make a folder and those above it. Raises InputError where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{where}cannot make the folder {str(folder)!r}: {error.strerror}. {advice}"
        ) from None


def check_writable(path: str | os.PathLike) -> None:
    """Raise InputError now where `write_atomic` would later, after the work."""
    folder = _path(path, InputError, "write to").parent
    reason = None
    if not folder.is_dir():
        reason = "No such folder"
    elif not os.access(folder, os.W_OK):
        reason = "Permission denied"
    elif Path(path).is_dir():
        reason = "Is a folder"
    if reason:
        raise InputError(
            f"cannot write {str(path)!r}: {reason}. "
            "Choose a folder that exists and is writable."
        )


def read_bytes(path: str | os.PathLike, what: str = "file") -> bytes:
    """The whole file. Raises FormatError when it cannot be read."""
    source = _path(path, FormatError, f"read the {what} from")
    try:
        return source.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FormatError(f"cannot read {what} {str(path)!r}: {reason}.") from None


def _path(path: str | os.PathLike, kind: type[LoomError], purpose: str) -> Path:
    """A path that the system can be asked about, or an error of the kind."""
    try:
        good = "\0" not in os.fspath(path)
    except TypeError:
        good = False
    if not good:
        raise kind(f"expected a path to {purpose}, got {path!r}. Give its name.")
    return Path(path)
