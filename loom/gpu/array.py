"""An array that stays on a GPU, for passes that take it many times."""

from copy import copy
from math import prod
from typing import Any
from weakref import finalize

import numpy as np

from loom.errors import DeviceError

DTYPES = {"f32": np.float32, "f16": np.float16}


class GPUArray:
    """What `Network.to_gpu` gives, and forward_gpu and backward_gpu take as an array.

    It belongs to the GPU, not to a network: all that run there in the same precision
    take it. The memory is given back by `free`, or once nobody holds the array.

    Attributes:
        shape: of the array that was sent.
        dtype: "f32" or "f16", as the values are stored.
        nbytes: of the values.
        buffer: the device's.
    """

    def __init__(self, device, values: np.ndarray, dtype: str):
        with np.errstate(over="ignore"):  # too large for a half: infinite
            stored = np.ascontiguousarray(values, DTYPES[dtype]).reshape(-1)
        self.shape, self.dtype, self.nbytes = values.shape, dtype, stored.nbytes
        size = max(4, -(-stored.nbytes // 4) * 4)
        if size > device.limits.buffer:
            raise DeviceError(
                f"to_gpu: a buffer of the GPU {device.info['device']!r} holds "
                f"{device.limits.buffer:,} bytes, got {size:,}. Send it in parts."
            )
        self._device, self.buffer = device, device.buffer(size, label="array")
        self._free = finalize(self, device.free, self.buffer)
        self._free.atexit = False  # the device may be gone before
        device.write(self.buffer, 0, stored)

    def free(self) -> None:
        """Give the memory back; who passes the array afterwards gets a DeviceError."""
        self._free()

    @property
    def size(self) -> int:
        """Its values."""
        return prod(self.shape)

    @property
    def ndim(self) -> int:
        """Its axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def reshape(self, *shape: int) -> "GPUArray":
        """The same values, seen in another shape; one axis may be -1."""
        shape = shape if -1 not in shape else self._filled(shape)
        view = copy(self)
        view.shape, view._base = shape, self
        return view

    def buffer_on(self, device, dtype: str, name: str) -> Any:
        """The buffer; DeviceError where the input `name` cannot be this."""
        wrong = ""
        if not self._free.alive:
            wrong = "this GPUArray was freed"
        elif self._device.lost:
            wrong = "this GPUArray was lost with its GPU"
        elif self._device is not device:
            here, there = device.info["device"], self._device.info["device"]
            wrong = (
                f"expected an array on the GPU {here!r}, got a GPUArray on {there!r}"
            )
        elif self.dtype != dtype:
            wrong = f"this network takes {dtype}, got a GPUArray of {self.dtype}"
        if wrong:
            raise DeviceError(
                f"input {name}: {wrong}. Send it again, by the network that takes it."
            )
        return self.buffer

    def __repr__(self) -> str:
        return f"GPUArray(shape={self.shape}, dtype={self.dtype!r})"

    def _filled(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        rest = -prod(shape)
        return tuple(self.size // rest if n == -1 else n for n in shape)
