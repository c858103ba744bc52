"""safetensors: a network as named arrays that every framework reads.

An array is `layers.INDEX.NAME`, as PyTorch names those of a Sequential: the layer's
place in the order of the data, and the array's name in Python. The metadata `loom`
holds the configuration, so that one file is the whole network; files of another origin
have none and fill a network that exists.
"""

import json
import os
import re

import numpy as np

from loom import tensorfile
from loom.errors import FormatError, LoomError, known
from loom.files import read_bytes, write_atomic
from loom.layers import layer_from_bundle
from loom.network import Network
from loom.serialization import layer_arrays, model_config, network_of, refuse

Array = np.ndarray
_KEY = re.compile(r"(?:layers\.)?(\d{1,7})\.(\w+)")


def save_safetensors(net: Network, path: str | os.PathLike) -> None:
    """Write every parameter and saved statistic, bit for bit, atomically."""
    arrays = {}
    for index, layer in enumerate(net.layers):
        names = _names(layer)
        for bundle, array in layer_arrays(layer).items():
            arrays[f"layers.{index}.{names[bundle]}"] = array
    metadata = {"format": "loom", "loom": json.dumps(model_config(net))}
    write_atomic(path, tensorfile.encode(arrays, metadata))


def load_safetensors(path: str | os.PathLike, net: Network | None = None) -> Network:
    """The network of a file; or `net`, filled with the file's arrays, if it is given.

    A given network needs no configuration in the file, and takes the arrays by name
    (`layers.0.weight` or `0.weight`), all of them or none. Raises FormatError that
    lists every missing, unknown, wrong-shaped or non-finite array.
    """
    where = f"safetensors file {str(path)!r}"
    arrays, metadata = tensorfile.decode(read_bytes(path, "safetensors file"), where)
    if net is None:
        if "loom" not in metadata:
            raise FormatError(
                f"{where}: it holds arrays but no network, since Loom did not write "
                "it. Build the network, then load_safetensors(path, net)."
            )
        try:
            cfg = json.loads(metadata["loom"])
        except (ValueError, RecursionError):
            raise FormatError(f"{where}: its configuration is no JSON.") from None
    else:
        cfg = model_config(net)
    problems: list[str] = []
    found = network_of(cfg, lambda n: _by_layer(arrays, n, cfg, problems), "", problems)
    refuse([problem.lstrip() for problem in problems], where)
    if net is None:
        return found
    for old, new in zip(net.layers, found.layers, strict=True):
        old.parameters.update(new.parameters)
        old.state.update(new.state)
    return net


def _by_layer(arrays: dict[str, Array], count: int, cfg, problems) -> list[dict]:
    """For each layer, its arrays under bundle names."""
    try:
        layers = [layer_from_bundle(row) for row in cfg["layers"]]
    except LoomError:
        return [{}] * count  # the layer's own problem is told by network_of
    out: list[dict] = [{} for _ in range(count)]
    for key, array in arrays.items():
        match = _KEY.fullmatch(key)
        index = int(match[1]) if match else count
        if index >= count:
            problems.append(
                f"{key}: expected layers.INDEX.NAME with INDEX from 0 to {count - 1}"
            )
            continue
        bundles = {name: bundle for bundle, name in _names(layers[index]).items()}
        if match[2] not in bundles:
            problems.append(f"{key}: {known(match[2], bundles, 'array')}")
        elif array.dtype.kind != "f":
            problems.append(f"{key}: expected floats, got {array.dtype}")
        else:
            out[index][bundles[match[2]]] = array.astype(np.float32)
    return out


def _names(layer) -> dict[str, str]:
    """A layer's arrays: bundle name -> name in Python."""
    rows = {row.bundle: row.name for row in layer.weight_rows()}
    return rows | {name: name for name in layer.state}
