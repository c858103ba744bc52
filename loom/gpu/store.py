"""What every runner of GPU programs has: a network's own buffers, and a lost device."""

from loom.errors import DeviceError
from loom.gpu.program import Buffer


class DeviceLost(DeviceError):
    """The device is gone: what lay on it is lost, a new one can be opened."""


class Store:
    """Persistent buffers of one network by name; they are zero at first."""

    def __init__(self, device):
        self.device = device
        self.buffers: dict[str, object] = {}

    def get(self, row: Buffer):
        """The buffer of that name, made where it is not there yet."""
        if row.name not in self.buffers:
            self.buffers[row.name] = self.device.buffer(row.nbytes, label=row.name)
        return self.buffers[row.name]

    def close(self) -> None:
        """Free them all."""
        for buffer in self.buffers.values():
            self.device.free(buffer)
        self.buffers.clear()
