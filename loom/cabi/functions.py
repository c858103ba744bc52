"""The C functions whose replies are JSON: values from C -> text, or a value to dump."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np

from loom import introspection, wire
from loom.cabi.handles import add, gpu_lock, network, set_gpu
from loom.errors import WireError, known
from loom.network import Network

Numbers = Callable[[str], np.ndarray | None]


def ask(name: str, values: list, numbers: Numbers) -> str:
    """The reply of a function of loom.h, as JSON.

    `numbers` reads `[[1, 2, ...]]` quickly, and gives None for any other text.
    """
    if name == "Loom_Call":
        result = _call(*values, numbers)
    elif name in _FUNCTIONS:
        result = _FUNCTIONS[name](*values)
    else:
        rows = introspection.describe(name, wire.FUNCTIONS[name])["parameters"]
        given = [
            row.get("default") if value is None else value
            for row, value in zip(rows, values, strict=True)
        ]
        result = wire.call(None, name, given)[0]
    return result if isinstance(result, str) else wire.dump([result])[1:-1]


def _new_network(size, rows, cols, layers, use_gpu):
    return add(Network(size, rows, cols, layers), use_gpu)


def _set_layer(handle, row, col, layer, config):
    with network(handle) as entry:
        wire.call(entry.net, "SetLayer", [row, col, layer, _text(config, "config")])
    return {"status": "layer set"}


def _get_layer(handle, row, col, layer):
    with network(handle) as entry:
        return wire.call(entry.net, "GetLayer", [row, col, layer])[0]


def _call(handle, method, arguments, numbers: Numbers):
    method = _text(method, "method")
    array = numbers(arguments) if arguments and method in _flat_methods() else None
    if array is not None:
        values = [array]
    else:
        values = wire.parse(arguments, method) if arguments else []
    if handle == 0:
        with _lock_for(method, values):
            results = wire.call(None, method, values)
        return wire.dump([add(v) if isinstance(v, Network) else v for v in results])
    with network(handle) as entry, _lock_for(method, values):
        return wire.dump(wire.call(entry.net, method, values))


def _lock_for(method: str, values: Any):
    """The GPU's lock for a call that may open it; a network there holds it anyway."""
    given = values if isinstance(values, list) else []
    config = given[1] if method == "Train" and len(given) > 1 else None
    opens = "GPU" in method or (isinstance(config, dict) and config.get("UseGPU"))
    return gpu_lock if opens else nullcontext()


@cache
def _flat_methods() -> set[str]:
    """The methods whose one argument is an array of numbers."""
    return {
        row["method_name"]
        for row in introspection.get_methods()
        if [p["type"] for p in row["parameters"]] == ["float32[]"]
    }


def _list_methods(handle):
    with network(handle):
        rows = [_row(row) for row in introspection.get_methods()]
    return {"methods": rows, "count": len(rows)}


def _method_signature(handle, method):
    with network(handle):
        name = _text(method, "method")
        rows = {row["method_name"]: row for row in introspection.get_methods()}
    if name not in rows:
        raise WireError(known(name, rows, "method"))
    return _row(rows[name])


def _row(row: dict) -> dict:
    name = row["method_name"]
    return {
        "name": name,
        "parameters": [parameter["type"] for parameter in row["parameters"]],
        "returns": row["returns"],
        "signature": introspection.get_method_signature(name),
        "doc": row["doc"],
    }


def _get_info(handle):
    with network(handle) as entry:
        net = entry.net
        return {
            "type": "Network",
            "kind": "object",
            "methods": len(introspection.methods()),
            "handle": handle,
            "gpu_enabled": net.on_gpu,
            "grid_rows": net.grid_rows,
            "grid_cols": net.grid_cols,
            "layers_per_cell": net.layers_per_cell,
            "input_size": net.input_size,
            "batch_size": net.batch_size,
            "total_layers": net.total_layers(),
        }


def _save_model(handle, model_id):
    with network(handle) as entry:
        return entry.net.save_model_to_string(model_id or "model")


def _load_model(text, model_id):
    arguments = [_text(text, "json"), model_id or None]
    return add(wire.call(None, "LoadModelFromString", arguments)[0])


def _enable_gpu(handle, on):
    with network(handle) as entry:
        milliseconds = set_gpu(entry.net, on)
    word = "enabled" if on else "disabled"
    return {"status": f"gpu {word}", "gpu": on, "gpu_init_ms": milliseconds}


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Loom_NewNetwork": _new_network,
    "Loom_SetLayer": _set_layer,
    "Loom_GetLayer": _get_layer,
    "Loom_ListMethods": _list_methods,
    "Loom_GetMethodSignature": _method_signature,
    "Loom_GetInfo": _get_info,
    "Loom_SaveModel": _save_model,
    "Loom_LoadModel": _load_model,
    "Loom_EnableGPU": _enable_gpu,
}


def _text(value: str | None, name: str) -> str:
    if value is None:
        raise WireError(f"{name}: expected text, got NULL.")
    return value
