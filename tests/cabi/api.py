"""The library through ctypes, for tests: replies parsed and freed."""

import ctypes
import json
from pathlib import Path

import numpy as np

FLOATS = ctypes.POINTER(ctypes.c_float)
SIZE = ctypes.c_size_t
TEXT = ctypes.c_char_p
INT, HANDLE = ctypes.c_int, ctypes.c_int64

TEXT_FUNCTIONS = {
    "NewNetwork": [INT, INT, INT, INT, ctypes.c_bool],
    "InitDenseLayer": [INT, INT, INT],
    "SetLayer": [HANDLE, INT, INT, INT, TEXT],
    "GetLayer": [HANDLE, INT, INT, INT],
    "Call": [HANDLE, TEXT, TEXT],
    "ListMethods": [HANDLE],
    "GetMethodSignature": [HANDLE, TEXT],
    "GetInfo": [HANDLE],
    "SaveModel": [HANDLE, TEXT],
    "LoadModel": [TEXT, TEXT],
    "EnableGPU": [HANDLE, ctypes.c_bool],
    "GetVersion": [],
}


class Api:
    """`api.text(name, ...)` gives a reply's value, `api.run` an array or a status."""

    def __init__(self, path: Path):
        self.lib = lib = ctypes.CDLL(str(path))
        for name, types in TEXT_FUNCTIONS.items():
            function = getattr(lib, f"Loom_{name}")
            function.argtypes, function.restype = types, ctypes.c_void_p
        lib.Loom_FreeCString.argtypes = [ctypes.c_void_p]
        lib.Loom_FreeCString.restype = None
        lib.Loom_LastError.restype = TEXT
        lib.Loom_Free.argtypes = [HANDLE]
        for name in ("Loom_ForwardF32", "Loom_BackwardF32"):
            types = [HANDLE, FLOATS, SIZE, FLOATS, SIZE, ctypes.POINTER(SIZE)]
            getattr(lib, name).argtypes = types
        lib.Loom_TrainStepF32.argtypes = [
            *[HANDLE, FLOATS, SIZE, FLOATS, SIZE, TEXT, FLOATS]
        ]

    def raw(self, name: str, *arguments) -> bytes:
        """The reply's bytes; never NULL, never empty."""
        pointer = getattr(self.lib, f"Loom_{name}")(*arguments)
        assert pointer
        reply = ctypes.string_at(pointer)
        self.lib.Loom_FreeCString(pointer)
        assert reply
        return reply

    def text(self, name: str, *arguments):
        """The reply's value."""
        return json.loads(self.raw(name, *arguments))

    def call(self, handle: int, method: str, *arguments):
        """Loom_Call's value."""
        return self.text(
            "Call", handle, method.encode(), json.dumps(arguments).encode()
        )

    def error(self) -> str:
        """The thread's last error."""
        return self.lib.Loom_LastError().decode()

    def free(self, handle: int) -> int:
        """Loom_Free's status."""
        return self.lib.Loom_Free(handle)

    def run(self, name: str, handle: int, x, capacity: int) -> np.ndarray | int:
        """Loom_ForwardF32 or Loom_BackwardF32: the result, or a status of failure."""
        x = np.ascontiguousarray(x, np.float32)
        y, written = np.full(capacity, np.nan, np.float32), SIZE()
        status = getattr(self.lib, name)(
            handle, floats(x), x.size, floats(y), capacity, written
        )
        return status or y[: written.value]

    def train(self, handle: int, x, targets, settings: str | None = None) -> float:
        """Loom_TrainStepF32: the loss; -1 for a failure."""
        x = np.ascontiguousarray(x, np.float32)
        t = np.ascontiguousarray(targets, np.float32)
        loss = ctypes.c_float()
        text = settings.encode() if settings is not None else None
        status = self.lib.Loom_TrainStepF32(
            handle, floats(x), x.size, floats(t), t.size, text, loss
        )
        return -1 if status else loss.value

    def network(self, *sizes: int, seed: int = 7) -> int:
        """The handle of a chain of dense layers, all sigmoid."""
        reply = self.call(0, "NewNetwork", sizes[0], 1, 1, len(sizes) - 1, seed)
        handle = reply[0]["handle"]
        for layer in range(len(sizes) - 1):
            config = self.raw("InitDenseLayer", sizes[layer], sizes[layer + 1], 1)
            done = self.text("SetLayer", handle, 0, 0, layer, config)
            assert done == {"status": "layer set"}
        return handle


def floats(array: np.ndarray):
    """A float pointer to an array."""
    return array.ctypes.data_as(FLOATS)
