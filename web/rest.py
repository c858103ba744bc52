"""The standard library and NumPy come in two parts: what a start needs, and the rest.

`install(fetch)` adds a finder to the end of `sys.meta_path`. It is asked only for what
was not found, and knows every module of the rest by name; the first import from a pack
fetches that pack and writes its files where they belong, and the import goes on as if
they had always been there. In the browser this file is `_loom_rest`.
"""

import importlib
import json
import os
import sys
from importlib.machinery import PathFinder

LIBRARY = "/lib/python3.14"
SITE = f"{LIBRARY}/site-packages"
ZIP = "/lib/python314.zip"
PLACES = {"stdlib": LIBRARY, "numpy": SITE, "random": SITE, "loom": SITE}


class Rest:
    """A meta path finder over packs that are fetched when they are needed."""

    def __init__(self, fetch, there=()):
        with open(f"{SITE}/_loom_rest.json") as file:
            self._packs = json.load(file)
        self._fetch = fetch
        self._there = set(there)

    def find_spec(self, name, path=None, target=None):
        """The spec of a module of the rest, whose pack is fetched if need be."""
        pack = self._packs.get(name)
        if pack is None:
            return None
        if pack not in self._there:
            try:
                data = self._fetch(pack)
            except Exception as error:
                raise ImportError(
                    f"{name} could not be fetched (rest-{pack}.pack): {error}",
                    name=name,
                ) from None
            unpack(data, PLACES[pack])
            self._there.add(pack)
            importlib.invalidate_caches()
        if path is None:
            places = [PLACES[pack]]
        else:
            # A package whose other half is in the zip: the same folder beside it.
            places = [str(place).replace(ZIP, LIBRARY, 1) for place in path]
        return PathFinder.find_spec(name, places, target)


def unpack(data, folder):
    """Write a pack's files; its form is told in tools/wasm/trim/inside.py."""
    view = memoryview(data)
    start = 4 + int.from_bytes(view[:4], "little")
    made = set()
    for name, size in json.loads(bytes(view[4:start])):
        path = f"{folder}/{name}"
        parent = path.rpartition("/")[0]
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        with open(path, "wb") as file:
            file.write(view[start : start + size])
        start += size


def install(fetch, *there):
    """Fetch packs by `fetch(name) -> bytes` from now on, but for those in `there`."""
    sys.meta_path.append(Rest(lambda name: fetch(name).to_bytes(), there))
