"""The Python end of the C ABI; runs inside `libloom` only.

A text function gets its name and its values and gives JSON; a pass over float32 arrays
gives a status. No exception crosses: a failure is a text.
"""

from typing import Any

import numpy as np

from loom import wire
from loom.cabi.functions import ask
from loom.cabi.handles import free, network
from loom.errors import LoomError, ShapeError, WireError
from loom.layers.base import LIMIT
from loom.network import Network

OK, ERROR, TOO_SMALL = 0, 1, 2  # Loom_Status in loom.h


def attach(ffi, lib) -> None:
    """Give a library its Python functions; start.c calls this."""

    def numbers(text: str) -> np.ndarray | None:
        """The array of `[[1, 2, ...]]`; None for any other text."""
        data = text.encode()
        array = np.empty(data.count(b",") + 1)
        count = lib.loom_numbers(data, ffi.from_buffer("double[]", array), array.size)
        return None if count < 0 else array[:count]

    def text_of(pointer, name: str) -> str | None:
        if not pointer:
            return None
        try:
            return ffi.string(pointer).decode()
        except UnicodeDecodeError as error:
            raise WireError(f"{name}: expected text in UTF-8: {error}.") from None

    def value_of(value, name: str) -> Any:
        kind = value.kind
        if kind == b"i":
            return value.whole
        if kind == b"b":
            return bool(value.whole)
        if kind == b"d":
            return value.real
        text = text_of(value.text, name)
        return wire.parse(text, name) if kind == b"j" and text else text

    def floats(pointer, n: int, name: str) -> np.ndarray:
        """A copy: the network keeps it for the backward pass."""
        if not pointer:
            raise WireError(f"{name}: expected {n} values, got NULL.")
        if not 0 < n <= LIMIT:
            raise ShapeError(f"{name}: expected 1 to {LIMIT:,} values, got {n}.")
        values = np.empty(n, np.float32)
        ffi.memmove(values, pointer, values.nbytes)
        return values

    def forward(net: Network, source, n: int, capacity: int) -> np.ndarray | int:
        """The outputs, or their number when there is no room for them."""
        rows = _rows(net, floats(source, n, "Loom_ForwardF32"), "Loom_ForwardF32")
        size = len(rows) * net.output_size()
        if capacity < size:
            return size
        if net.on_gpu:
            return net.forward_gpu(rows)[0]
        if not lib.loom_finite(source, n):
            return net.forward_cpu(rows)[0]  # it says which value it is
        return net.forward(rows.reshape(-1, *net.input_shape))

    def backward(net: Network, source, n: int, capacity: int) -> np.ndarray:
        run = net.backward_gpu if net.on_gpu else net.backward_cpu
        return run(floats(source, n, "Loom_BackwardF32"))[0]

    def failed(error: BaseException) -> int:
        lib.loom_set_error(_message(error))
        return ERROR

    @ffi.def_extern(error=ffi.NULL)
    def loom_python_text(function, values, count):
        try:
            name = ffi.string(function).decode()
            given = [value_of(values[i], name) for i in range(count)]
            reply = ask(name, given, numbers).encode()
            return lib.loom_text(reply, len(reply))
        except BaseException as error:
            return lib.loom_error_reply(_message(error))

    @ffi.def_extern(error=ERROR)
    def loom_python_free(handle):
        try:
            free(handle)
            return OK
        except BaseException as error:
            return failed(error)

    @ffi.def_extern(error=ERROR)
    def loom_python_pass(is_backward, handle, source, n, target, capacity, written):
        try:
            with network(handle) as entry:
                run = backward if is_backward else forward
                result = run(entry.net, source, n, capacity)
                size = result if isinstance(result, int) else result.size
                if written:
                    written[0] = size
                if capacity < size:
                    lib.loom_set_error(
                        f"the result has {size} values, the buffer room for "
                        f"{capacity}.".encode()
                    )
                    return TOO_SMALL
                if not target:
                    raise WireError("expected a buffer for the result, got NULL.")
                result = np.ascontiguousarray(result, np.float32)
                ffi.memmove(target, result, result.nbytes)
            return OK
        except BaseException as error:
            return failed(error)

    @ffi.def_extern(error=ERROR)
    def loom_python_train(handle, x, n, targets, m, settings, loss):
        where = "Loom_TrainStepF32"
        try:
            with network(handle) as entry:
                rows = _rows(entry.net, floats(x, n, f"{where}: x"), where)
                t = floats(targets, m, f"{where}: targets")
                value = entry.step(rows, t, text_of(settings, where) or "")
            if loss:
                loss[0] = value
            return OK
        except BaseException as error:
            return failed(error)


def _message(error: BaseException) -> bytes:
    """The failure as text that C can hold: UTF-8 without a zero byte."""
    text = str(error).replace("\0", "\\0")
    if not (isinstance(error, LoomError) and text):
        text = f"{type(error).__name__}: {text}"
    return text.encode(errors="backslashreplace")


def _rows(net: Network, values: np.ndarray, where: str) -> np.ndarray:
    """Flat values as (B, input_size)."""
    if values.size % net.input_size:
        raise ShapeError(
            f"{where}: expected a multiple of input_size = {net.input_size} values, "
            f"got {values.size}."
        )
    return values.reshape(-1, net.input_size)
