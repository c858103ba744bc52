"""The wire: JSON and flat typed arrays to Python values and back.

A call is (method's wire name, list of arguments); the reply is a list of results.
Beside plain JSON there is the skeleton form: JSON in which a numeric array is
`{"$array": i, "shape": [...]}`, and array i travels as a typed array with no text.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from typing import Any

import numpy as np

from loom import introspection
from loom.errors import InputError, LoomError, ShapeError, WireError, known
from loom.gpu.array import GPUArray
from loom.layers import Layer
from loom.network import Network

FUNCTIONS: dict[str, Callable] = introspection.functions()
_NOT_FINITE = (
    "the result has a NaN or an infinity, which JSON cannot hold. "
    "The weights may have diverged: train with a smaller learning rate."
)
_PYTHON_TYPES = {"int": int, "float": float, "bool": bool, "string": str}


def call(target: Any, method: str, arguments: Sequence[Any]) -> list[Any]:
    """Call a method of a Network (or, with target None, a function) by wire name.

    Arguments are JSON values or arrays, converted by the type hints; results come as
    JSON values, arrays and networks. Raises LoomError with the method's name.
    """
    function, values = prepare(target, method, arguments)
    return results_of(function(*values))


def prepare(
    target: Any, method: str, arguments: Sequence[Any]
) -> tuple[Callable, list[Any]]:
    """The function that `call` calls, and its arguments in Python's types."""
    found = introspection.methods() if isinstance(target, Network) else FUNCTIONS
    if method not in found:
        raise WireError(known(method, found, "method"))
    converters, required = _signature(method, found[method])
    if not isinstance(arguments, list | tuple):
        raise WireError(
            f"{method}: expected the arguments as a list, got {_kind(arguments)}."
        )
    if not required <= len(arguments) <= len(converters):
        names = ", ".join(name for name, _, _ in converters) or "none"
        most = len(converters)
        count = most if required == most else f"{required} to {most}"
        raise WireError(
            f"{method}: expected {count} argument{'s' * (most != 1)} ({names}), "
            f"got {len(arguments)}."
        )
    values = [
        None
        if value is None and optional
        else convert(value, word, f"{method}: {name}")
        for value, (name, word, optional) in zip(arguments, converters, strict=False)
    ]
    first = () if target is None else (target,)
    return found[method], [*first, *values]


def results_of(result: Any) -> list[Any]:
    """What a function returned, as the list of results that goes over the wire."""
    if result is None:
        return []
    parts = result if isinstance(result, tuple) else (result,)
    return [to_wire(part) for part in parts]


def call_json(target: Any, method: str, text: str) -> str:
    """`call` with the arguments as a JSON array and the reply as one."""
    arguments = parse(text, method) if text else []
    return dump(call(target, method, arguments))


def error_json(error: BaseException) -> str:
    """A failure as `{"error": text}`."""
    return json.dumps({"error": str(error) or type(error).__name__})


def parse(text: str, where: str) -> Any:
    """JSON, in which NaN and infinities are errors."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, TypeError, RecursionError) as error:
        raise WireError(
            f"{where}: expected the arguments as JSON, e.g. [1, 2]; {error}."
        ) from None


def dump(values: list[Any]) -> str:
    """Results as JSON: an array result is flat; arrays inside objects keep their shape.

    Raises InputError when a number is not finite, since JSON has no word for it.
    """
    flat = [v.reshape(-1) if isinstance(v, np.ndarray) else v for v in values]
    try:
        return json.dumps(
            flat, allow_nan=False, default=_array_as_list, separators=(",", ":")
        )
    except ValueError:
        raise InputError(_NOT_FINITE) from None


def decode(text: str, buffers: Sequence[Any]) -> Any:
    """Values of a skeleton and its typed arrays. The arrays own their memory."""
    return json.loads(text, object_hook=lambda row: _fill(row, buffers))


def encode(value: Any) -> tuple[str, list[np.ndarray]]:
    """Skeleton and flat arrays of a value."""
    arrays: list[np.ndarray] = []

    def place(part: Any) -> Any:
        if isinstance(part, np.ndarray):
            arrays.append(np.ascontiguousarray(part).reshape(-1))
            return {"$array": len(arrays) - 1, "shape": list(part.shape)}
        return _plain(part)

    try:
        return json.dumps(value, default=place, allow_nan=False), arrays
    except ValueError:
        raise InputError(_NOT_FINITE) from None


def convert(value: Any, word: str, where: str) -> Any:
    """A JSON value or array as what the wire's type word asks for."""
    options = word.split("|")
    if word in _PYTHON_TYPES or len(options) > 1:
        for option in options:
            done = _scalar(value, option)
            if done is not None:
                return done
        raise WireError(f"{where}: expected {word}, got {_kind(value)} {value!r:.60}.")
    if word in ("object", "LayerConfig") and not isinstance(value, dict | str | Layer):
        raise WireError(f"{where}: expected an object, got {_kind(value)}.")
    kinds = list | tuple | np.ndarray | dict | GPUArray
    if word.endswith("[]") and not isinstance(value, kinds):
        raise WireError(f"{where}: expected {word}, got {_kind(value)}.")
    if word == "string[]" and not all(isinstance(item, str) for item in value):
        raise WireError(f"{where}: expected {word}, got {value!r:.60}.")
    return value


def to_wire(value: Any) -> Any:
    """A result as JSON values, arrays and networks."""
    if isinstance(value, Layer):
        return value.wire_config()
    if hasattr(value, "to_wire"):
        return value.to_wire()
    return value


@cache
def _signature(name: str, function: Callable) -> tuple[list[tuple], int]:
    """(name, type word, may be null) of each parameter, and how many are required."""
    parameters = introspection.describe(name, function)["parameters"]
    required = sum("default" not in row for row in parameters)
    rows = [(p["name"], p["type"], p.get("default", 0) is None) for p in parameters]
    return rows, required


def _scalar(value: Any, word: str) -> Any:
    if word == "object" and isinstance(value, dict):
        return value
    kind = _PYTHON_TYPES.get(word)
    if isinstance(value, bool) != (kind is bool):
        return None
    if kind is float and isinstance(value, int):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value if kind and isinstance(value, kind) else None


def _fill(row: dict, buffers: Sequence[Any]) -> Any:
    if "$array" not in row:
        return row
    index, shape = row["$array"], row.get("shape")
    if type(index) is not int or not 0 <= index < len(buffers):
        raise WireError(f"array {index!r} of the call did not come along.")
    source = buffers[index]
    if isinstance(source, GPUArray):
        return source
    array = np.array(source if isinstance(source, np.ndarray) else memoryview(source))
    if array.dtype.kind not in "iuf":
        raise WireError(f"array {index}: expected numbers, got {array.dtype}.")
    if shape is not None:
        if prod(shape) != array.size:
            raise ShapeError(
                f"array {index}: expected {prod(shape)} values for {shape}, "
                f"got {array.size}."
            )
        array = array.reshape(shape)
    return array


def _plain(part: Any) -> Any:
    if isinstance(part, np.generic):
        return part.item()
    if hasattr(part, "to_wire"):
        return part.to_wire()
    raise TypeError(f"{type(part).__name__} cannot be sent")


def _array_as_list(part: Any) -> Any:
    return part.tolist() if isinstance(part, np.ndarray) else _plain(part)


def _no_constant(name: str):
    raise ValueError(f"{name} is not a number that JSON knows")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "text", type(None): "null"}
    return names.get(type(value), type(value).__name__)


__all__ = [
    "FUNCTIONS",
    "LoomError",
    "call",
    "call_json",
    "convert",
    "decode",
    "dump",
    "encode",
    "error_json",
    "parse",
    "to_wire",
]
