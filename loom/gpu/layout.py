"""Where a network's parameters and saved statistics lie: views into a few buffers.

All parameters stand one after the other in `weight.0`, `weight.1`, ... (a new one where
the device allows no larger buffer), their gradients and the optimizer's slots at the
same places of buffers of their own. Clipping and updates then are one kernel over one
array, whatever the number of layers.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod

from loom.gpu.packed import TYPES
from loom.gpu.program import BLOCK, ITEM, Buffer, Limits, Shape, too_large

ALIGN = 128  # elements: 256 bytes also where they are stored as halves


def dtype_of(role: str) -> str:
    """The type of the values in arenas of a role."""
    return TYPES.get(role, "f32")


@dataclass(frozen=True)
class Place:
    """Where one array lies: arena number, first element and shape."""

    arena: int
    offset: int
    shape: Shape


class Layout:
    """Places of the parameters and of the state of `layers`, by (layer index, name).

    `where(index)` names a layer in errors. Raises DeviceError when one array alone is
    more than the device can bind.
    """

    def __init__(
        self,
        layers: Iterable,
        limits: Limits,
        where: Callable[[int], str] = "layer {}".format,
    ):
        self.limit = min(limits.buffer, limits.binding) // 512 * 512
        self.weights: dict[tuple[int, str], Place] = {}
        self.states: dict[tuple[int, str], Place] = {}
        self.weight_arenas: list[int] = []  # elements of each
        self.state_arenas: list[int] = []
        for index, layer in enumerate(layers):
            for name, (shape, _) in layer.weight_shapes().items():
                place = self._add(self.weight_arenas, shape, where, index, name)
                self.weights[index, name] = place
            for name, value in layer.state.items():
                place = self._add(self.state_arenas, value.shape, where, index, name)
                self.states[index, name] = place

    def sizes(self, role: str) -> list[int]:
        """Elements of each arena of a role ("weight", "state", "slot.first", ...)."""
        return self.state_arenas if role == "state" else self.weight_arenas

    def buffer(self, role: str, number: int) -> Buffer:
        """An arena; its values are float32 or as packed.TYPES says."""
        nbytes = self.sizes(role)[number] * ITEM[dtype_of(role)]
        nbytes = -(-nbytes // BLOCK) * BLOCK
        return Buffer(f"{role}.{number}", nbytes, role.partition(".")[0])

    def _add(self, arenas: list[int], shape: Shape, where, index, name) -> Place:
        size = -(-max(prod(shape), 1) // ALIGN) * ALIGN
        if size * ITEM["f32"] > self.limit:
            text = f"{where(index)}: {name}"
            raise too_large(text, size * ITEM["f32"], self.limit, "binding")
        if not arenas or (arenas[-1] + size) * ITEM["f32"] > self.limit:
            arenas.append(0)
        offset = arenas[-1]
        arenas[-1] += size
        return Place(len(arenas) - 1, offset, shape)
