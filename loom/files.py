"""Files: written atomically, read with a clear error."""

import os
from pathlib import Path

from loom.errors import FormatError, InputError


def write_atomic(path: str | os.PathLike, data: bytes) -> None:
    """Write `data` so that `path` holds all of it or what it held before.

    The bytes go to a neighbour, reach the disk, and take the name at once. Raises
    InputError when the folder is missing or not writable.
    """
    target = Path(path)
    neighbour = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
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


def check_writable(path: str | os.PathLike) -> None:
    """Raise InputError now where `write_atomic` would later, after the work."""
    folder = Path(path).parent
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
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FormatError(f"cannot read {what} {str(path)!r}: {reason}.") from None
