"""A network on several devices: each trains on a share of the batch.

    g = sum over devices of share * gradient of its rows,  share = its rows / all rows

The host adds up the gradients; every device then clips and updates by the same numbers,
so that their weights stay equal. Passes outside of training run on the first device.
Batch statistics are each device's own, as in PyTorch's DistributedDataParallel.
"""

from collections import Counter
from contextlib import suppress
from itertools import pairwise

import numpy as np

from loom.gpu import native
from loom.gpu.detector import key
from loom.gpu.kernels.optimize import Control
from loom.gpu.session import Session
from loom.gpu.store import DeviceLost
from loom.gpu.training import DeviceEngine

Array = np.ndarray


class Team(Session):
    """A session on the first adapter, with a session of its own for each further one.

    Equal adapters (two GPUs of one make) are told apart by their number.
    """

    def __init__(self, net, adapters: list, precision: str = "f32"):
        self.others: list[Follower] = []
        super().__init__(net, adapters[0], precision)
        seen = Counter([key(adapters[0])])
        for adapter in adapters[1:]:
            name = key(adapter)
            self.others.append(Follower(net, adapter, precision, seen[name]))
            seen[name] += 1

    @property
    def sessions(self) -> list[Session]:
        """All of them, this one first."""
        return [self, *self.others]

    def engine(self, trainer):
        """What runs a Trainer's steps on all devices."""
        return TeamEngine(trainer)

    def info(self) -> dict:
        """As of a session, with the number and the bytes of all devices."""
        total = sum(row.nbytes() for row in self.sessions)
        return super().info() | {"devices": len(self.sessions), "bytes": total}

    def recover(self) -> None:
        """Open lost devices again; all begin with the last values that Python has."""
        self.mirror.resend()  # before the others read them
        for row in self.others:
            row.renew()
        super().recover()

    def follow(self) -> None:
        """The others follow too."""
        super().follow()
        for row in self.others:
            row.follow()

    def _drop(self) -> None:
        super()._drop()
        for row in self.others:
            row._drop()

    def _send(self, index: int, name: str, array: Array) -> None:
        super()._send(index, name, array)
        for row in self.others:
            row._send(index, name, array)

    def write_control(self, control: Control) -> None:
        """To every device."""
        super().write_control(control)
        for row in self.others:
            row.write_control(control)

    def send_slots(self, at: tuple[int, str], slots: dict[str, Array]) -> None:
        """To every device."""
        super().send_slots(at, slots)
        for row in self.others:
            row.send_slots(at, slots)


class Follower(Session):
    """One of the further devices: its team sends it every array."""

    def __init__(self, net, adapter, precision: str, number: int):
        self._number = number
        super().__init__(net, adapter, precision)

    def _open(self):
        return native.opened(self.adapter, self._number)

    def _watch(self, net) -> None:
        self._masters = True

    def follow(self) -> None:
        """Begin anew where layers were replaced."""
        if self.net.plan() is not self._plan:
            self._drop()
            self._begin(self.net)

    def renew(self) -> None:
        """Begin anew, on a new device if this one was lost."""
        with suppress(DeviceLost):  # nobody may have noticed
            self.read_control()
        self._drop()
        if self.device.lost:
            self.device = self._reopen()
        self._begin(self.net)


class TeamEngine(DeviceEngine):
    """Training steps of a team: two submissions a device, and the sums between."""

    def _run(self, x: Array, t: Array, rate: float) -> None:
        team, rows = self.session, len(x)
        sessions = team.sessions
        cuts = [rows * n // len(sessions) for n in range(len(sessions) + 1)]
        options = self._options(t)
        # One without rows only updates.
        shares = [
            (row, slice(a, b), row.program(max(b - a, 1), "share", **options))
            for row, (a, b) in zip(sessions, pairwise(cuts), strict=True)
        ]
        team.mirror.push()
        for _, part, program in shares:
            size = part.stop - part.start
            program.write_step(self._block(rate, part.start, size / rows))
            if size:
                program.write("x", x[part])
                program.write("t", t[part])
                program.run(("forward", "loss", "backward"))
        busy = [row for row in shares if row[1].start < row[1].stop]
        loss = sum(row[2].read("losses").sum(axis=0) for row in busy).reshape(1, 2)
        role = "gradient.half" if team.stored == "f16" else "gradient"
        for number in range(len(team.layout.weight_arenas)):
            parts = [row[0].read_arena(role, number) for row in busy]
            total = parts[0]
            if len(parts) > 1:
                with np.errstate(over="ignore"):  # infinite halves: no step is made
                    total = np.sum(parts, 0, np.float32).astype(total.dtype)
            for row in sessions:
                row.write_arena(role, number, total)
        for _, _, program in shares:
            program.write("loss", loss)
            program.run(("clip", "update"))
        team.mirror.ran()
