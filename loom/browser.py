"""The Python end of the JavaScript API (`web/local.mjs`); runs in Pyodide only.

JavaScript holds integer handles; the networks live here. A message is a JSON skeleton
and flat typed arrays (see `loom.wire`); a reply is a JavaScript array of the text and
the typed arrays. The text is a list of results, or {"error", "type"} of a failure: no
exception crosses, since one that does would keep its frames, and their arrays, alive.
"""

import json
import traceback
from collections.abc import Callable
from functools import wraps
from itertools import count
from typing import Any

import numpy as np
from pyodide.ffi import to_js

import loom
from loom import introspection, wire
from loom.errors import InputError, LoomError, WireError
from loom.network import Network

_networks: dict[int, Network] = {}
_handles = count(1)


def _replies(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function's value, or its failure, a reply."""

    @wraps(function)
    def reply(*arguments):
        try:
            text, arrays = wire.encode(_with_handles(function(*arguments)))
            return to_js([text, *map(memoryview, arrays)])
        except LoomError as error:
            row = {"error": str(error), "type": type(error).__name__}
        except Exception as error:
            row = {
                "error": f"{type(error).__name__}: {error}",
                "type": type(error).__name__,
                "traceback": traceback.format_exc(),
            }
        return to_js([json.dumps(row)])

    return reply


def describe() -> str:
    """JSON of the version and the reflected methods and functions."""
    return json.dumps(
        {
            "version": loom.__version__,
            "methods": introspection.get_methods(),
            "functions": introspection.get_functions(),
        }
    )


@_replies
def call(handle: int, name: str, finite: bool, text: str, *buffers) -> list[Any]:
    """Call a network's method, or a function when `handle` is 0.

    `finite` asks for results that JSON can hold; else InputError.
    """
    target = _network(handle) if handle else None
    results = wire.call(target, name, _arguments(text, buffers))
    if finite:
        _check_finite(results, name)
    return results


def free(handle: int) -> None:
    """Forget a network; a handle that is not known is no error."""
    _networks.pop(handle, None)


def _arguments(text: str, buffers: tuple) -> list[Any]:
    return wire.decode(text, [buffer.to_memoryview() for buffer in buffers])


def _network(handle: int) -> Network:
    try:
        return _networks[handle]
    except KeyError:
        raise WireError("this network was freed. Make a new one.") from None


def _with_handles(value: Any) -> Any:
    """Lists and dicts with {"$network": handle} for each network in them."""
    if isinstance(value, Network):
        handle = next(_handles)
        _networks[handle] = value
        return {"$network": handle}
    if isinstance(value, list | tuple):
        return [_with_handles(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_handles(item) for key, item in value.items()}
    return value


def _check_finite(value: Any, name: str) -> None:
    if isinstance(value, np.ndarray | float):
        if not np.isfinite(value).all():
            raise InputError(
                f"{name}: the result has a NaN or an infinity, which JSON cannot hold. "
                "Take it as a typed array, or train with a smaller learning rate."
            )
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            _check_finite(item, name)
