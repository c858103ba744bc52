"""A network's layers for the page: places, shapes, and weights as pictures."""

from math import isqrt, prod
from typing import Any

import numpy as np

from loom.layers.base import Layer, batch_text
from loom.network import Network

__all__ = ["layer_activity", "layer_rows", "layer_weights"]

Array = np.ndarray
MOST_PICTURES = 96
MOST_SIDE = 256  # rows or columns of one picture
MOST_VALUES = 1024  # of one layer's outputs


def layer_rows(net: Network) -> list[dict[str, Any]]:
    """A row for each layer, in the order of the data."""
    shapes, rows = net.shapes(), []
    for index, layer in enumerate(net.layers):
        f = layer.config.get("activation")
        rows.append(
            {
                "place": list(net.position(index)),
                "kind": type(layer).__name__,
                "activation": f.name if f else None,
                "takes": batch_text(shapes[index]),
                "gives": batch_text(layer.output_shape(shapes[index])),
                "outputs": prod(layer.output_shape(shapes[index])),
                "parameters": layer.parameter_count(),
            }
        )
    return rows


def layer_activity(net: Network, inputs: Array) -> list[dict[str, Any]]:
    """Each layer's output for one sample, as a picture: {values, width, height, bound}.

    Of (C, H, W) the first channels stand side by side; anything else is folded into a
    square, row by row.
    """
    rows = []
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = net.layer_outputs(inputs)
    for values in outputs:
        first = values[0]
        if first.ndim == 3:
            flat = _side_by_side(first[: max(1, MOST_VALUES // max(1, first[0].size))])
            width = flat.shape[1]
        else:
            flat = first
            width = isqrt(max(1, min(first.size, MOST_VALUES) - 1)) + 1
        # A network that has diverged is shown all the same.
        most = MOST_VALUES if first.ndim != 3 else flat.size
        flat = np.nan_to_num(flat.reshape(-1)[:most], nan=0.0)
        height = -(-flat.size // width)
        padded = np.zeros(height * width, np.float32)
        padded[: flat.size] = flat
        bound = float(np.abs(flat).max(initial=0))
        row = {"values": padded, "width": width, "height": height, "bound": bound}
        rows.append(row)
    return rows


def layer_weights(
    net: Network, index: int, image: list[int] | None = None
) -> dict[str, Any]:
    """The weights of a layer as pictures: {note, whole, bound, pictures}.

    A unit of a layer that looks at an image (H, W) is one picture, and so is a kernel
    of a convolution; any other array is one whole. Values lie in -bound to bound. Each
    picture is {label, values (H, W)}.
    """
    layer = net.layers[index]
    arrays = {
        name: array
        for name, array in layer.parameters.items()
        if name not in layer.bias_names()
    }
    if not arrays:
        return {"note": _empty(layer), "whole": True, "bound": 0.0, "pictures": []}
    bound = max(float(np.abs(array).max(initial=0)) for array in arrays.values())
    units = _units(net, index, arrays, image)
    if units is not None:
        shown = units[:MOST_PICTURES]
        pictures = [
            {"label": f"unit {number}", "values": np.ascontiguousarray(unit)}
            for number, unit in enumerate(shown)
        ]
        note = f"What each of the {len(units)} units looks for in the input."
        if len(shown) < len(units):
            note += f" The first {len(shown)} are shown."
    else:
        pictures = [
            {"label": f"{name} {' x '.join(map(str, a.shape))}", "values": _whole(a)}
            for name, a in arrays.items()
        ]
        note = "Rows are what comes in, columns what goes out."
        if any(a.size > MOST_SIDE**2 for a in arrays.values()):
            note += f" At most {MOST_SIDE} rows and columns are shown."
    whole = units is None
    return {"note": note, "whole": whole, "bound": bound, "pictures": pictures}


def _units(net, index: int, arrays: dict[str, Array], image) -> Array | None:
    """(N, H, W): one picture a unit or kernel, where that says something."""
    weight = arrays.get("weight", arrays.get("kernel"))
    if weight is None or len(arrays) > 1:
        return None
    if weight.ndim == 4:
        return weight.reshape(-1, *weight.shape[2:])
    if weight.ndim != 2:
        return None
    if index == 0 and image and prod(image) == weight.shape[0]:
        return weight.T.reshape(-1, *image)
    side = isqrt(weight.shape[0])
    if index == 0 and side > 4 and side * side == weight.shape[0]:
        return weight.T.reshape(-1, side, side)
    return None


def _side_by_side(channels: Array) -> Array:
    """(C, H, W) as one picture, near to a square."""
    count, height, width = channels.shape
    across = isqrt(count - 1) + 1
    down = -(-count // across)
    tiles = np.zeros((down * across, height, width), channels.dtype)
    tiles[:count] = channels
    rows = tiles.reshape(down, across, height, width).swapaxes(1, 2)
    return rows.reshape(down * height, across * width)


def _whole(array: Array) -> Array:
    flat = array.reshape(len(array), -1) if array.ndim > 1 else array[None]
    return np.ascontiguousarray(flat[:MOST_SIDE, :MOST_SIDE])


def _empty(layer: Layer) -> str:
    return f"{type(layer).__name__} has no weights: it is the same before and after."
