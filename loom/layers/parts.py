"""Parameters that hold several arrays of the files side by side."""

import numpy as np

from loom.errors import ConfigError, known
from loom.layers.base import Array, Layer, Weight, as_parameter


class Parted(Layer):
    """The base of layers whose gates or heads share one product.

    Rows of `weights` with the same `of` are the equal parts of that parameter, in
    order along `parts_axis`; files and the wire name each part.
    """

    parts_axis = 0

    def _groups(self) -> dict[str, list[Weight]]:
        """Parameter -> the rows of `weights` that are its parts, in order."""
        groups: dict[str, list[Weight]] = {}
        for row in self.weight_rows():
            groups.setdefault(row.of or row.name, []).append(row)
        return groups

    def export_weights(self) -> dict[str, Array]:
        """Each part's array under its own name."""
        out = {}
        for name, rows in self._groups().items():
            if name in self.parameters:
                whole = self.parameters[name]
                parts = np.split(whole, len(rows), axis=self.parts_axis % whole.ndim)
                out |= {row.name: part for row, part in zip(rows, parts, strict=True)}
        return out

    def import_weights(self, arrays: dict) -> None:
        """Join the parts again; a parameter's come all together or not at all."""
        where = type(self).__name__
        names = [row.name for row in self.weight_rows()]
        for name in arrays:
            if name not in names:
                raise ConfigError(f"{where}: {known(name, names, 'array')}")
        shapes = self.weight_shapes()
        for name, rows in self._groups().items():
            missing = [row.name for row in rows if row.name not in arrays]
            if len(missing) == len(rows):
                continue
            if missing:
                raise ConfigError(
                    f"{where}: expected every part of {name}, got none for "
                    f"{', '.join(missing)}. Give all of "
                    f"{', '.join(row.name for row in rows)}, or none to draw them."
                )
            shape = list(shapes[name][0])
            axis = self.parts_axis % len(shape)
            shape[axis] //= len(rows)
            parts = [
                as_parameter(arrays[row.name], tuple(shape), f"{where}: {row.name}")
                for row in rows
            ]
            self.parameters[name] = np.concatenate(parts, axis=axis)
