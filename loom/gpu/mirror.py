"""The arrays of a network's layers in two places, Python and a device, as one.

Python's arrays are live: `net.layers[0].parameters["weight"] *= 0.5` is allowed at any
time. So that neither side ever sees old values:

- Reading an array through its layer fetches the device's values first, where those are
  newer. Layers' dicts change their class for it (`Arrays` -> `Watched`): the same
  object, so that whoever holds the dict sees it too.
- An array that was read through its layer, or that anyone holds (its reference count
  says so; a view holds its base), may have been written: it is sent to the device
  before the next run. What nobody can have touched is not sent.
- While the device's values are newer, Python's arrays are read-only: a write through a
  reference kept from before, which would be lost, raises at once.

Counting references is CPython's (Pyodide is CPython); elsewhere all arrays are sent.
"""

import sys
import weakref
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np

from loom.layers.base import Arrays

Array = np.ndarray
_COUNTS = sys.implementation.name == "cpython"
get, getrefcount = dict.__getitem__, sys.getrefcount  # past Watched's own


class Watched(Arrays):
    """Arrays of which a device has a copy: every access tells the mirror."""

    def __reduce_ex__(self, protocol):
        """A copy, or a pickle, is of plain arrays."""
        return Arrays, (dict(self),)

    def _touch(self) -> None:
        mirror = self.mirror()
        if mirror is not None:
            mirror.touched(self)


def _watch(name: str) -> Callable:
    plain = getattr(Arrays, name)

    def method(self, *arguments, **named):
        self._touch()
        return plain(self, *arguments, **named)

    method.__name__ = name
    method.__doc__ = f"As dict.{name}, after the device's values were fetched."
    return method


for _name in (
    *("__getitem__", "__setitem__", "__delitem__", "__iter__", "__or__", "__ror__"),
    *("__ior__", "__eq__", "__ne__", "__repr__", "__reversed__", "get", "values"),
    *("items", "keys", "pop", "popitem", "setdefault", "update", "clear", "copy"),
):
    setattr(Watched, _name, _watch(_name))


class Mirror:
    """Keeps `groups` (lists of (key, Arrays)) and a device's copies the same.

    Attributes:
        newer: the device's values are newer than Python's.

    `send(key, name, array)` writes one array to the device; `fetch()` gives all of them
    as {(key, name): array}. Both are methods, held weakly: their owner owns the mirror.
    `lock` is held wherever the device's values change.
    """

    def __init__(self, send: Callable, fetch: Callable, lock=None):
        self._send, self._fetch = weakref.WeakMethod(send), weakref.WeakMethod(fetch)
        self._groups: dict[int, tuple] = {}  # id of the Arrays -> (key, Arrays)
        self._changed: set[int] = set()
        self._held: set[tuple] = set()
        self._locked: list[Array] = []
        self._guard = lock or nullcontext()
        self.newer = False

    def watch(self, key, arrays: Arrays) -> None:
        """Take arrays into care; they are sent before the next run."""
        arrays.mirror = weakref.ref(self)
        arrays.__class__ = Watched
        self._groups[id(arrays)] = key, arrays
        self._changed.add(id(arrays))

    def watches(self, arrays: Arrays) -> bool:
        """Whether these very arrays are in care."""
        return id(arrays) in self._groups

    def release(self) -> None:
        """Fetch what is newer and leave plain dicts behind."""
        self.pull()
        self.forget()

    def forget(self) -> None:
        """Leave plain dicts behind, as they are."""
        self._unlock()
        for _, arrays in self._groups.values():
            arrays.__class__ = Arrays
        self._groups.clear()
        self._changed.clear()
        self._held.clear()

    def touched(self, arrays: Watched) -> None:
        """Someone reads or writes `arrays`."""
        with self._guard:  # a step between would make old values the newest
            self.pull()
            self._changed.add(id(arrays))

    def push(self) -> bool:
        """Send what Python may have changed; whether there was nothing."""
        held, send, newer, rest = set(), self._send(), self.newer, True
        for at, (key, arrays) in self._groups.items():
            changed = at in self._changed
            for name in dict.keys(arrays):
                found = not newer and _is_held(arrays, name)
                if found:
                    held.add((at, name))
                if changed or found or (not newer and (at, name) in self._held):
                    send(key, name, get(arrays, name))
                    rest = False
        self._changed.clear()
        if not newer:
            self._held = held
        return rest

    def at_rest(self) -> bool:
        """Whether `push` has nothing to send, for nobody can have touched anything."""
        if self._changed or self.newer:
            return not self._changed
        if self._held:
            return False
        for _, arrays in self._groups.values():
            for name in dict.keys(arrays):
                if _is_held(arrays, name):
                    return False
        return True

    def ran(self) -> None:
        """The device has changed its values."""
        if not self.newer:
            self.newer = True
            self._lock()

    def pull(self) -> None:
        """Bring Python's arrays up to date, in place."""
        if not self.newer:
            return
        with self._guard:
            if self.newer:  # no other thread has brought them
                values = self._fetch()()
                self.newer = False
                if values:  # or they were lost with the device
                    self.put(values)

    def put(self, values: dict[tuple, Array]) -> None:
        """Write the device's values, by (key, name), into Python's arrays."""
        self._unlock()
        for key, arrays in self._groups.values():
            for name in dict.keys(arrays):
                array = get(arrays, name)
                if array.flags.writeable:
                    np.copyto(array, values[key, name])
                else:  # from outside and read-only: replaced
                    dict.__setitem__(arrays, name, values[key, name].copy())

    def resend(self) -> None:
        """The device was lost: Python's values are the last there are."""
        self.newer = False
        self._unlock()
        self._changed = set(self._groups)

    def _lock(self) -> None:
        for _, arrays in self._groups.values():
            for name in dict.keys(arrays):
                array = get(arrays, name)
                if array.flags.writeable:
                    array.flags.writeable = False
                    self._locked.append(array)

    def _unlock(self) -> None:
        for array in self._locked:
            array.flags.writeable = True
        self._locked.clear()


def _is_held(arrays: dict, name: str) -> bool:
    """Whether anyone but `arrays` holds the array or what it is a view of."""
    array = get(arrays, name)
    if not _COUNTS or getrefcount(array) > _ALONE:
        return True
    base = array.base
    if base is None:
        return False
    return type(base) is not np.ndarray or getrefcount(base) > _BASE_ALONE


def _references(arrays: dict, name: str) -> int:
    array = get(arrays, name)
    return getrefcount(array)


# How many references there are where nobody else holds the array, counted the same way.
_ALONE = _references({"": np.zeros(1)}, "")


def _base_references() -> int:
    view = np.zeros(2).reshape(2, 1)
    base = view.base
    return getrefcount(base)


_BASE_ALONE = _base_references()
