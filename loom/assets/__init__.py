"""Texts beside the Python: the shaders, the web page, the C sources, tables.

In a checkout each kind is a folder. The wheel has one file a kind instead, made by
tools/wheel.py: a JSON object, path -> text, compressed; a web page has the shaders'
object as it is, and the tables' folder. All are the same to `texts`.
"""

import json
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).parent
FOLDERS = {
    "shaders": "shaders",
    "page": "web",
    "native": "loom/cabi/native",
    "data": "loom/data/texts",
}
UNWANTED = {"dist", "build", "__pycache__"}  # made of the page, not of it


@lru_cache(maxsize=len(FOLDERS))
def texts(kind: str) -> dict[str, str]:
    """Path inside the kind's folder -> text; "shaders", "page", ...

    Raises ConfigError in a web page, which has neither page nor C sources, and in a
    Python without bz2.
    """
    if (plain := HERE / f"{kind}.json").is_file():
        return json.loads(plain.read_bytes())
    if (packed := HERE / f"{kind}.json.bz2").is_file():
        try:
            import bz2
        except ImportError:
            raise _error(
                f"the {kind} files of this Loom need bz2, which this Python was built "
                "without. Install libbz2-dev (its name in Debian) and build it again."
            ) from None
        return json.loads(bz2.decompress(packed.read_bytes()))
    folder = HERE.parents[1] / FOLDERS[kind]
    if not folder.is_dir():
        raise _error(
            f"this Loom is without its {kind} files: a copy for web pages leaves them "
            "out. Install the wheel."
        )
    return found(folder)


def found(folder: Path) -> dict[str, str]:
    """The same of a folder: every file but hidden ones and what is built."""
    out = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part in UNWANTED for part in parts)
        if path.is_file() and not hidden:
            out["/".join(parts)] = path.read_text(encoding="utf-8")
    return out


def _error(text: str) -> Exception:
    from loom.errors import ConfigError  # tools/wheel.py runs this file alone

    return ConfigError(f"loom.assets: {text}")
