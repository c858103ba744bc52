"""Handles: integers that C holds for networks that live here.

Each network has a lock, so that threads may call as they like. Freeing forgets the
handle at once: a call that is running holds the network until it ends, and one that
waits for the lock then finds it freed. Networks on the GPU share its device and queue,
which one thread at a time may use: whoever touches the GPU also holds `gpu_lock`.
"""

import threading
from itertools import count
from time import perf_counter
from typing import Any

from loom.cabi.step import Step
from loom.errors import WireError
from loom.network import Network

gpu_lock = threading.RLock()  # taken after a network's own lock, never before


class Entry:
    """A network behind a handle; `with` holds its lock, or raises when it is freed."""

    def __init__(self, net: Network, handle: int):
        self.net = net
        self.handle = handle
        self.lock = threading.Lock()
        self.freed = False
        self.step = Step(net)
        self._holds_gpu = False

    def __enter__(self) -> "Entry":
        self.lock.acquire()
        if self.freed:
            self.lock.release()
            raise _no_network(self.handle)
        self._holds_gpu = self.net.on_gpu
        if self._holds_gpu:
            gpu_lock.acquire()
        return self

    def __exit__(self, *_) -> None:
        if self._holds_gpu:
            gpu_lock.release()
        self.lock.release()
        if self.freed:
            self.close()

    def close(self) -> None:
        """Leave the GPU, unless a call is running: then its end does it."""
        if self.net.on_gpu and self.lock.acquire(blocking=False):
            try:
                with gpu_lock:
                    self.net.release_gpu()
            finally:
                self.lock.release()


_entries: dict[int, Entry] = {}
_handles = count(1)


def network(handle: int) -> Entry:
    """The entry of a handle, to be used by `with`; WireError when there is none."""
    entry = _entries.get(handle)
    if entry is None:
        raise _no_network(handle)
    return entry


def _no_network(handle: int) -> WireError:
    return WireError(
        f"handle {handle}: no network has it. It was freed, or never given: use the "
        "handle in Loom_NewNetwork's reply."
    )


def add(net: Network, use_gpu: bool = False) -> dict[str, Any]:
    """Give a network a handle; the reply of Loom_NewNetwork."""
    milliseconds = set_gpu(net, True) if use_gpu else 0
    handle = next(_handles)
    _entries[handle] = Entry(net, handle)
    return {
        "handle": handle,
        "type": "Network",
        "input_size": net.input_size,
        "grid_rows": net.grid_rows,
        "grid_cols": net.grid_cols,
        "layers_cell": net.layers_per_cell,
        "total_layers": net.total_layers(),
        "gpu": net.on_gpu,
        "gpu_init_ms": milliseconds,
    }


def free(handle: int) -> None:
    """Forget a network; its memory goes when no call uses it any more."""
    entry = _entries.pop(handle, None)
    if entry is None:
        raise _no_network(handle)
    entry.freed = True
    entry.close()


def set_gpu(net: Network, on: bool) -> int:
    """Move a network to the GPU or back; milliseconds that it took."""
    start = perf_counter()
    with gpu_lock:
        if on:
            net.init_gpu()
        else:
            net.release_gpu()
    return round((perf_counter() - start) * 1000)
