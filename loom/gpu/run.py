"""What a program on a device is run by: shared memory, and recordings made ahead.

What makes a small run fast, beside its kernels:

- What is submitted was recorded while the device computed the run before.
- Where shaders can use memory that the host maps, a small input is written where it is
  read, and a small output read where it was written: nothing is copied. The input has
  two such buffers, by turns: while the device reads one, the host gets the other back.
"""

from collections.abc import Callable

import numpy as np
from wgpu import GPUError

from loom.gpu import calls


class Inlet:
    """A program's only input, in two buffers that host and device share by turns."""

    def __init__(self, sides: list[calls.Mapped]):
        self.sides, self.now, self.new = sides, 0, False

    def write(self, values: np.ndarray) -> None:
        """Set it; of its shape."""
        if not self.sides[self.now].asked:  # the device may still read it
            self.now = 1 - self.now
        self.sides[self.now].arrays(spin=True)[0][...] = values
        self.new = True

    def turn(self) -> int:
        """The side that the next run has, if it is as this one; on its way to the host.

        A run whose input was written is followed by one whose input will be.
        """
        if not self.new:
            return self.now
        self.new = False
        other = self.sides[1 - self.now]
        if not other.asked:
            other.ask()
        return 1 - self.now


class Outlet:
    """Outputs that are read together, in a buffer that the host maps.

    Attributes:
        mapped: the buffer; an array in it for each output.
        copies: what brings them there after a run.
    """

    def __init__(self, mapped: calls.Mapped, copies: list[tuple]):
        self.mapped, self.copies = mapped, copies


class Run:
    """Parts of a program in one submission, and the outputs that are read after it.

    `commands` are the parts' rows (calls.record) for each side of the inlet; one list
    where there is none.
    """

    def __init__(
        self,
        device,
        commands: list[list[tuple]],
        inlet: Inlet | None,
        outlet: Outlet | None,
    ):
        self._device, self._commands = device, commands
        self._inlet, self._outlet = inlet, outlet
        self._copies = outlet.copies if outlet is not None else ()
        self._idle = not self._copies and not commands[0]
        self._recorded: list = [None] * len(commands)
        self._again = False

    def __call__(
        self, checked: calls.Checked, meanwhile: Callable | None = None
    ) -> list[np.ndarray]:
        """Submit, and read the outputs as new arrays."""
        outlet = self._outlet
        side = hand_over(self._device, self._inlet, checked)
        if outlet is None:
            self._submit(side, checked)
            self._prepare(checked)
            return []
        mapped = outlet.mapped
        mapped.leave()  # where a run was interrupted
        if not self._idle:
            self._submit(side, checked)
        try:
            mapped.ask()
            self._prepare(checked)
            if meanwhile is not None:
                meanwhile()
            arrays = self._device.fetch(mapped)
            return [as_result(array) for array in arrays]
        finally:
            mapped.leave()

    def again(self, x: np.ndarray, unchanged: Callable) -> np.ndarray | None:
        """The output for the input x, float32 and of its shape; both in shared memory.

        None where `unchanged(x)`, called while the device computes, says no, and where
        anything goes wrong. The device was not destroyed: x is written unasked.
        """
        inlet, mapped = self._inlet, self._outlet.mapped
        try:
            with calls.Checked("run") as checked:
                inlet.write(x)
                side = inlet.sides[inlet.now]
                side.leave()
                checked.so_far()
                self._submit(inlet.now, checked)
                try:
                    mapped.ask()
                    self._prepare(checked)
                    if unchanged(x):
                        return self._device.fetch(mapped)[0].copy()
                finally:
                    mapped.leave()
        except GPUError:
            pass
        return None

    def _submit(self, side: int, checked: calls.Checked) -> None:
        recorded, self._recorded[side] = self._recorded[side], None
        self._device.submit(recorded or self._record(side, checked))

    def _record(self, side: int, checked: calls.Checked):
        raw, rows = self._device.raw, self._commands[side]
        return calls.record(raw, rows, self._copies, checked)

    def _prepare(self, checked: calls.Checked) -> None:
        """Make the next such run ready while the device computes this one."""
        inlet = self._inlet
        side = 0 if inlet is None else inlet.turn()
        if not self._again:
            self._again = True  # it may have been the only one
        elif self._recorded[side] is None:
            self._recorded[side] = self._record(side, checked)
        if inlet is not None and side != inlet.now:
            inlet.sides[side].look()


def hand_over(device, inlet: Inlet | None, checked: calls.Checked) -> int:
    """Let the device have the input; which side of it. Raises for a lost one."""
    if inlet is None:
        device.ask(checked)
        return 0
    side = inlet.sides[inlet.now]
    if side.asked:
        side.leave()
        checked.so_far()
    else:
        device.ask(checked)
    return inlet.now


def as_result(array: np.ndarray) -> np.ndarray:
    """The caller's own copy; halves become float32."""
    return array.astype(np.float32) if array.dtype == np.float16 else array.copy()
