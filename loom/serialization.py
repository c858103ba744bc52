"""Model bundles: JSON that holds networks with every parameter, bit for bit.

    {"type": "modelhost/bundle", "version": 1,
     "models": [{"id", "cfg", "weights": {"fmt": "jsonModelB64", "data"}}]}

`data` is base64 of {"type": "float32", "layers": [{name: [numbers]}]}. Numbers have
nine significant digits, which name every float32 uniquely. Reading takes the text as
hostile: everything is checked before anything is allocated, and all problems are listed
together.
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from loom.errors import (
    ConfigError,
    FormatError,
    InputError,
    LoomError,
    ShapeError,
    known,
)
from loom.files import read_bytes, write_atomic
from loom.grid import MAX_SEED
from loom.layers import layer_from_bundle
from loom.network import Network

BUNDLE_TYPE = "modelhost/bundle"
VERSION = 1
WEIGHTS_FORMAT = "jsonModelB64"
MAX_METADATA = 65_536  # characters of JSON
_MAX_PROBLEMS = 20


# Writing -------------------------------------------------------------------------


def serialize_model(net: Network, model_id: str = "model") -> dict:
    """One entry of a bundle's `models`: {id, cfg, weights}.

    Raises ShapeError for layers that do not fit each other: nobody could read them.
    """
    net.output_size()
    layers = []
    for index, layer in enumerate(net.layers):
        arrays = layer_arrays(layer)
        texts = []
        for name, array in arrays.items():
            where = f"layer {net.position(index)} {type(layer).__name__}: {name}"
            texts.append(f"{json.dumps(name)}:{_numbers(array, where)}")
        layers.append(f"{{{','.join(texts)}}}")
    text = f'{{"type":"float32","layers":[{",".join(layers)}]}}'
    data = base64.b64encode(text.encode()).decode()
    return {
        "id": model_id,
        "cfg": model_config(net, model_id),
        "weights": {"fmt": WEIGHTS_FORMAT, "data": data},
    }


def model_config(net: Network, model_id: str = "model") -> dict:
    """A bundle entry's `cfg`: all of a network but its arrays."""
    _check_id(model_id)
    cfg = {
        "id": model_id,
        "batch_size": net.batch_size,
        "grid_rows": net.grid_rows,
        "grid_cols": net.grid_cols,
        "layers_per_cell": net.layers_per_cell,
        "input_shape": list(net.input_shape),
        "seed": net.seed,
        "layers": [layer.bundle_config() for layer in net.layers],
    }
    if net.metadata:
        cfg["metadata"] = _metadata(net.metadata)
    return cfg


def save_bundle_to_string(models: dict[str, Network]) -> str:
    """Several networks, by id, as one bundle. Raises InputError for none."""
    if not isinstance(models, Mapping) or not models:
        got = "none" if models == {} else type(models).__name__
        raise InputError(
            f"save_bundle: expected networks by id, e.g. {{'digits': net}}, got {got}."
        )
    entries = [serialize_model(net, model_id) for model_id, net in models.items()]
    return json.dumps({"type": BUNDLE_TYPE, "version": VERSION, "models": entries})


def save_bundle(models: dict[str, Network], path: str | os.PathLike) -> None:
    """Write several networks, by id, to one file, atomically."""
    write_atomic(path, save_bundle_to_string(models).encode())


def save_model_to_string(net: Network, model_id: str = "model") -> str:
    """A bundle of one network."""
    return save_bundle_to_string({model_id: net})


def save_model(net: Network, path: str | os.PathLike, model_id: str = "model") -> None:
    """Write a bundle of one network to a file, atomically."""
    save_bundle({model_id: net}, path)


def layer_arrays(layer) -> dict[str, np.ndarray]:
    """Parameters under their bundle names, then the saved state under its own."""
    named = layer.export_weights()
    arrays = {row.bundle: named[row.name] for row in layer.weights if row.name in named}
    return arrays | layer.state


def _numbers(array: np.ndarray, where: str) -> str:
    """A JSON array of float32 values, exact in nine significant digits."""
    flat = array.ravel()
    if not np.isfinite(flat).all():
        raise InputError(
            f"{where}: has a NaN or an infinity; a bundle cannot hold it. "
            "Train with a smaller learning rate, or load an earlier checkpoint."
        )
    text = "[" + ",".join(["%.9g"] * flat.size) % tuple(flat.tolist()) + "]"
    # JSON reads "-0" as the integer zero, which has no sign.
    return re.sub(r"(?<=[\[,])-0(?=[,\]])", "-0.0", text)


# Reading -------------------------------------------------------------------------


def load_bundle_from_string(text: str | bytes | dict) -> dict[str, Network]:
    """Every network of a bundle by its id. Raises FormatError listing all problems."""
    bundle = text if isinstance(text, dict) else _parse(text, "bundle")
    problems: list[str] = []
    if not isinstance(bundle, dict) or bundle.get("type") != BUNDLE_TYPE:
        got = bundle.get("type") if isinstance(bundle, dict) else type(bundle).__name__
        raise FormatError(f"bundle: expected type {BUNDLE_TYPE!r}, got {got!r}.")
    if bundle.get("version") != VERSION:
        problems.append(f"version: expected {VERSION}, got {bundle.get('version')!r}")
    models = bundle.get("models")
    if not isinstance(models, list) or not models:
        problems.append("models: expected a list with at least one model")
        models = []
    out: dict[str, Network] = {}
    for number, entry in enumerate(models):
        where = f"models[{number}]"
        model_id = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(model_id, str) or not model_id:
            problems.append(f"{where}: expected an id, got {model_id!r}")
            continue
        if model_id in out:
            problems.append(f"{where}: id {model_id!r} is there twice")
            continue
        net = _read_model(entry, f"{where} {model_id!r}", problems)
        if net is not None:
            out[model_id] = net
    refuse(problems, "bundle")
    return out


def refuse(problems: list[str], where: str) -> None:
    """FormatError that lists the problems, if there are any."""
    if not problems:
        return
    shown = problems[:_MAX_PROBLEMS]
    more = len(problems) - len(shown)
    tail = f"\n  and {more} more" if more else ""
    raise FormatError(
        f"{where}: {len(problems)} problem{'s' * (len(problems) != 1)}:\n  "
        + "\n  ".join(shown)
        + tail
    )


def load_bundle(path: str | os.PathLike) -> dict[str, Network]:
    """Every network of a bundle file by its id."""
    data = read_bytes(path, "model")
    try:
        return load_bundle_from_string(data)
    except FormatError as error:
        raise FormatError(f"{os.fspath(path)}: {error}") from None


def load_model_from_string(
    text: str | bytes | dict, model_id: str | None = None
) -> Network:
    """One network of a bundle; without an id the first."""
    return _choose(load_bundle_from_string(text), model_id)


def load_model(path: str | os.PathLike, model_id: str | None = None) -> Network:
    """One network of a bundle file; without an id the first."""
    return _choose(load_bundle(path), model_id)


def _choose(models: dict[str, Network], model_id: str | None) -> Network:
    if model_id is None:
        return next(iter(models.values()))
    if model_id not in models:
        raise FormatError(f"bundle: {known(model_id, models, 'model id')}")
    return models[model_id]


def _parse(text: str | bytes, where: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except TypeError:
        raise FormatError(
            f"{where}: expected JSON text, got {type(text).__name__}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: not valid JSON: {error}.") from None


def _no_constant(name: str):
    raise ValueError(f"{name} is not a number")


def _check_id(model_id: Any) -> None:
    if not isinstance(model_id, str) or not model_id:
        raise InputError(f"model_id: expected a name, got {model_id!r}.")


def _read_model(entry: dict, where: str, problems: list[str]) -> Network | None:
    """A network, or None with what is wrong added to `problems`."""

    def weights(count: int) -> list[dict]:
        return _read_weights(entry.get("weights"), count, where, problems)

    return network_of(entry.get("cfg"), weights, where, problems)


def network_of(
    cfg: Any,
    weights_of: Callable[[int], list[dict]],
    where: str,
    problems: list[str],
) -> Network | None:
    """The network of a `cfg` and of its arrays, layer by layer under bundle names.

    `weights_of(layers)` gives them once their number is known to be right. None, with
    what is wrong added to `problems`, when they make no network.
    """
    before = len(problems)
    if not isinstance(cfg, dict):
        problems.append(f"{where}: expected cfg as an object, got {cfg!r:.40}")
        return None
    counts = {}
    for name in ("grid_rows", "grid_cols", "layers_per_cell"):
        counts[name] = _count(cfg, name, where, problems)
    batch_size = _count(cfg, "batch_size", where, problems, default=1)
    seed = _count(cfg, "seed", where, problems, default=0, low=0, high=MAX_SEED)
    rows = cfg.get("layers")
    if not isinstance(rows, list):
        problems.append(f"{where}: expected layers as a list, got {rows!r:.40}")
        return None
    total = prod(counts.values())
    if len(rows) != total:
        problems.append(
            f"{where}: expected {total} layers as the grid has, got {len(rows)}"
        )
    weights = weights_of(len(rows))
    if len(problems) > before:
        return None
    layers = []
    for index, (row, arrays) in enumerate(zip(rows, weights, strict=True)):
        place = f"{where} layers[{index}]"
        try:
            layer = layer_from_bundle(row)
        except LoomError as error:
            problems.append(f"{place}: {error}")
            continue
        _fill(layer, arrays, place, problems)
        layers.append(layer)
    if len(problems) > before:
        return None
    try:
        return _assemble(cfg, counts, layers, batch_size, seed)
    except LoomError as error:
        problems.append(f"{where}: {error}")
        return None


def _assemble(cfg, counts, layers, batch_size, seed) -> Network:
    shape = cfg.get("input_shape")
    if shape is None:
        shape = layers[0].declared_input_shape()
        if shape is None:
            raise ConfigError(
                f"expected input_shape, since {type(layers[0]).__name__}, the first "
                "layer, takes any shape. Add cfg.input_shape."
            )
    if not isinstance(shape, list | tuple) or not all(
        type(n) is int and 0 < n < 2**31 for n in shape
    ):
        raise ConfigError(f"expected input_shape as a list of sizes, got {shape!r:.60}")
    net = Network.from_layers(layers, tuple(shape), seed=seed, **counts)
    net.batch_size = batch_size
    net.metadata = _metadata(cfg.get("metadata", {}))
    return net


def _metadata(value: Any) -> dict:
    """A network's metadata, or InputError: an object of JSON, not large."""
    try:
        size = len(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"metadata: expected values that JSON holds: {error}."
        ) from None
    if not isinstance(value, dict) or size > MAX_METADATA:
        raise InputError(
            f"metadata: expected an object of at most {MAX_METADATA:,} characters, got "
            f"{type(value).__name__} of {size:,}."
        )
    return value


def _count(cfg, name, where, problems, default=None, low=1, high=2**31 - 1) -> int:
    value = cfg.get(name, default)
    if type(value) is int and low <= value <= high:
        return value
    problems.append(f"{where}: expected {name} from {low} to {high}, got {value!r:.40}")
    return low


def _read_weights(weights: Any, count: int, where: str, problems: list) -> list[dict]:
    fmt = weights.get("fmt") if isinstance(weights, dict) else None
    if fmt != WEIGHTS_FORMAT:
        problems.append(
            f"{where}: expected weights.fmt {WEIGHTS_FORMAT!r}, got {fmt!r}"
        )
        return []
    try:
        text = base64.b64decode(weights.get("data", ""), validate=True)
        data = _parse(text, f"{where} weights.data")
    except (binascii.Error, TypeError, ValueError) as error:
        problems.append(f"{where}: weights.data: {error}")
        return []
    kind = data.get("type") if isinstance(data, dict) else None
    if kind != "float32":
        problems.append(f"{where}: expected weights of type 'float32', got {kind!r}")
        return []
    layers = data.get("layers")
    if not isinstance(layers, list) or not all(isinstance(x, dict) for x in layers):
        problems.append(f"{where}: expected weights.layers as a list of objects")
        return []
    if len(layers) != count:
        problems.append(
            f"{where}: expected weights of {count} layers, got {len(layers)}"
        )
        return []
    return layers


def _fill(layer, arrays: dict, place: str, problems: list[str]) -> None:
    """Put a layer's arrays in place; missing and unknown ones are problems."""
    names = {row.bundle: row.name for row in layer.weight_rows()}
    expected = [*names, *layer.state] if layer.weight_shapes() else list(layer.state)
    missing = [name for name in expected if _is_empty(arrays.get(name))]
    place = f"{place} {type(layer).__name__}"
    for name in missing:
        problems.append(
            f"{place}: {name} is missing. The file was written without it (early "
            "versions of the original framework drop dense weights); train again, or "
            "save with a version that keeps them."
        )
    given = {}
    for name, value in arrays.items():
        if value is None or name in missing:
            continue
        if name in layer.state:
            try:
                layer.set_state(name, value)
            except LoomError as error:
                problems.append(f"{place}: {error}")
        elif name in names:
            given[names[name]] = value
        else:
            problems.append(f"{place}: {known(name, expected, 'array')}")
    if missing:
        return
    try:
        layer.import_weights(given)
    except (InputError, ShapeError, ConfigError) as error:
        problems.append(f"{place}: {error}")


def _is_empty(value: Any) -> bool:
    return value is None or not (value.size if isinstance(value, np.ndarray) else value)
