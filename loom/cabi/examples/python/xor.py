"""Learn XOR through ctypes, from any Python.   python xor.py compiled/<platform>

Replies are taken as c_void_p, so that they can be freed: with c_char_p ctypes keeps
a copy and the reply itself is lost.
"""

import ctypes
import json
import sys
from pathlib import Path

FLOATS = ctypes.POINTER(ctypes.c_float)
SIZE = ctypes.c_size_t


def load(folder: Path) -> ctypes.CDLL:
    """The library, with the types of the functions used here."""
    name = {"darwin": "libloom.dylib", "win32": "libloom.dll"}
    loom = ctypes.CDLL(str(folder / name.get(sys.platform, "libloom.so")))
    text, handle, number = ctypes.c_char_p, ctypes.c_int64, ctypes.c_int
    for function, types in {
        "Loom_Call": [handle, text, text],
        "Loom_InitDenseLayer": [number, number, number],
        "Loom_SetLayer": [handle, number, number, number, text],
    }.items():
        getattr(loom, function).argtypes = types
        getattr(loom, function).restype = ctypes.c_void_p
    loom.Loom_FreeCString.argtypes = [ctypes.c_void_p]
    loom.Loom_FreeCString.restype = None
    loom.Loom_LastError.restype = text
    loom.Loom_Free.argtypes = [handle]
    loom.Loom_TrainStepF32.argtypes = [handle, FLOATS, SIZE, FLOATS, SIZE, text, FLOATS]
    loom.Loom_ForwardF32.argtypes = [
        handle,
        FLOATS,
        SIZE,
        FLOATS,
        SIZE,
        ctypes.POINTER(SIZE),
    ]
    return loom


def main() -> None:
    """Train, predict, free."""
    loom = load(Path(sys.argv[1]))

    def reply(pointer: int):
        value = json.loads(ctypes.string_at(pointer))
        loom.Loom_FreeCString(pointer)
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(value["error"])
        return value

    def check(status: int) -> None:
        if status:
            raise RuntimeError(loom.Loom_LastError().decode())

    net = reply(loom.Loom_Call(0, b"NewNetwork", b"[2, 1, 1, 2, 7]"))[0]["handle"]
    for layer, sizes in enumerate([(2, 8, 2), (8, 1, 1)]):
        config = json.dumps(reply(loom.Loom_InitDenseLayer(*sizes))).encode()
        reply(loom.Loom_SetLayer(net, 0, 0, layer, config))

    x = (ctypes.c_float * 8)(0, 0, 0, 1, 1, 0, 1, 1)
    targets = (ctypes.c_float * 4)(0, 1, 1, 0)
    loss = ctypes.c_float()
    settings = b'{"Optimizer": "adam", "LearningRate": 0.05}'
    for _ in range(300):
        check(loom.Loom_TrainStepF32(net, x, 8, targets, 4, settings, loss))
    print(f"loss {loss.value:.3f}")
    y, written = (ctypes.c_float * 4)(), SIZE()
    check(loom.Loom_ForwardF32(net, x, 8, y, 4, written))
    for i in range(written.value):
        print(f"{x[2 * i]:.0f} xor {x[2 * i + 1]:.0f} = {y[i]:.0f}")
    check(loom.Loom_Free(net))


if __name__ == "__main__":
    main()
