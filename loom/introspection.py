"""Reflection: what every bridge, menu and document knows of Network's methods.

A type hint is one word on the wire (`WIRE_TYPES`); a method's wire name is made from
its Python name by `wire_name`. JavaScript, C, TypeScript declarations, the page's
method explorer and the README's table are all made from `get_methods` and
`get_functions`.
"""

import inspect
import re
import typing
from collections.abc import Callable
from functools import cache

from loom import api
from loom.errors import WireError, known
from loom.grid import Grid
from loom.network import Network

_WHOLE = ("cpu", "gpu", "json", "id", "mha", "rnn", "lstm", "gru", "qrnn", "sru", "rms")
_CAPITALS = {word: word.upper() for word in _WHOLE}
_CAPITALS |= {f"{word}{n}d": f"{word.capitalize()}{n}D"
              for word in ("conv", "pool") for n in (1, 2)}  # fmt: skip

# Type hint (as it is written) -> word on the wire. None: not on the wire.
WIRE_TYPES = {
    "int": "int",
    "float": "float",
    "bool": "bool",
    "str": "string",
    "int | None": "int",
    "str | None": "string",
    "int | str": "int|string",
    "dict": "object",
    "str | dict": "string|object",
    "list[dict]": "object[]",
    "list[str]": "string[]",
    "list[int]": "int[]",
    "Array": "float32[]",
    "Array | GPUArray": "float32[]",
    "list[Array]": "float32[][]",
    "dict[str, Array]": "object",
    "list[dict[str, Array]]": "object[]",
    "Layer": "LayerConfig",
    "Layer | dict | str": "LayerConfig",
    "Network": "Network",
    "dict[str, Network]": "object",
    "Iterable | Array": "Batch[]",
    "TrainingConfig | dict | None": "TrainingConfig",
    "TrainingResult": "TrainingResult",
    "DeviationMetrics": "DeviationMetrics",
    "Callable | None": None,
}


def wire_name(name: str) -> str:
    """`forward_cpu` -> ForwardCPU."""
    return "".join(_CAPITALS.get(word, word.capitalize()) for word in name.split("_"))


@cache
def methods() -> dict[str, Callable]:
    """Wire name -> method of Network, those of the grid first."""
    members = vars(Grid) | vars(Network)
    return {
        wire_name(name): member
        for name, member in members.items()
        if inspect.isfunction(member)
        and not name.startswith("_")
        and not getattr(member, "python_only", False)
    }


@cache
def functions() -> dict[str, Callable]:
    """Wire name -> module-level function: constructors and layer initialisers."""
    return {wire_name(name): getattr(api, name) for name in api.__all__}


@cache
def describe(name: str, function: Callable) -> dict:
    """One function as an object: method_name, parameters, returns, doc."""
    signature = inspect.signature(function)
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        word = wire_type(parameter.annotation, f"{name}({parameter.name})")
        if word is None:
            continue
        row = {"name": parameter.name, "type": word}
        if parameter.default is not inspect.Parameter.empty:
            row["default"] = parameter.default
        parameters.append(row)
    doc = inspect.getdoc(function) or ""
    return {
        "method_name": name,
        "parameters": parameters,
        "returns": _returns(signature.return_annotation, name),
        "doc": doc.split("\n\n")[0].replace("\n", " "),
    }


def get_methods() -> list[dict]:
    """Network's methods, described."""
    return [describe(name, method) for name, method in methods().items()]


def get_functions() -> list[dict]:
    """The module-level functions, described."""
    return [describe(name, function) for name, function in functions().items()]


def get_method_signature(method_name: str) -> str:
    """A method's signature as text. Raises WireError for an unknown one."""
    if method_name not in methods():
        raise WireError(known(method_name, methods(), "method"))
    row = describe(method_name, methods()[method_name])
    parameters = ", ".join(
        f"{p['name']}: {p['type']}" + (f" = {p['default']!r}" if "default" in p else "")
        for p in row["parameters"]
    )
    returns = row["returns"]
    text = returns[0] if len(returns) == 1 else f"({', '.join(returns)})"
    return f"{method_name}({parameters})" + (f" -> {text}" if returns else "")


def wire_type(annotation, where: str) -> str | None:
    """The wire's word for a type hint; every hint of a reflected method has one."""
    text = annotation_text(annotation)
    if text not in WIRE_TYPES:
        raise TypeError(f"{where}: no wire type for the hint {text!r}.")
    return WIRE_TYPES[text]


def annotation_text(annotation) -> str:
    """A type hint as its source has it, without module names."""
    if isinstance(annotation, str):
        return annotation
    if annotation is None:
        return "None"
    text = inspect.formatannotation(annotation)
    text = re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)
    return text.replace("ndarray", "Array")


def _returns(annotation, where: str) -> list[str]:
    if annotation is None or annotation == "None":
        return []
    if typing.get_origin(annotation) is tuple:
        return [wire_type(part, where) for part in typing.get_args(annotation)]
    return [wire_type(annotation, where)]
