"""The Python end of the JavaScript API (`web/local.mjs`); runs in Pyodide only.

JavaScript holds integer handles; the networks live here. A message is a JSON skeleton
and flat typed arrays (see `loom.wire`); a reply is a JavaScript array of the text and
the typed arrays. The text is a list of results, or {"error", "type"} of a failure: no
exception crosses, since one that does would keep its frames, and their arrays, alive.
"""

import json
import traceback
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import count
from time import perf_counter
from typing import Any

import numpy as np
from pyodide.ffi import to_js

import loom
from loom import introspection, wire
from loom.errors import InputError, LoomError, WireError
from loom.network import Network
from loom.training import Trainer, TrainingEvent

PAGE = "page."
_networks: dict[int, Network] = {}
_runs: dict[int, tuple[Trainer, Iterator[TrainingEvent]]] = {}
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

    `finite` asks for results that JSON can hold; else InputError. A name that begins
    with "page." is a function of `loom.page`, which the page's own code calls.
    """
    target, arguments = _network(handle) if handle else None, _arguments(text, buffers)
    if name.startswith(PAGE):
        from loom import page

        results = page.call(target, name.removeprefix(PAGE), arguments)
    else:
        results = wire.call(target, name, arguments)
    if finite:
        _check_finite(results, name)
    return results


def free(handle: int) -> None:
    """Forget a network and its training; a handle that is not known is no error."""
    _networks.pop(handle, None)
    _runs.pop(handle, None)


# Training in slices, so that JavaScript's event loop has its turns ------------------


@_replies
def train_start(handle: int, text: str, *buffers) -> list[Any]:
    """Prepare Train with these arguments; train_step runs it."""
    arguments = _arguments(text, buffers)
    if not 1 <= len(arguments) <= 2:
        raise WireError(
            f"Train: expected 1 to 2 arguments (batches, config), got {len(arguments)}."
        )
    if handle in _runs:
        raise WireError("Train: this network is being trained. Wait, or call stop().")
    trainer = Trainer(_network(handle), *arguments)
    _runs[handle] = trainer, trainer.run()
    return []


@_replies
def train_step(handle: int, milliseconds: float) -> dict[str, Any]:
    """Run batches for so long, one at least: {done, events}.

    Of the batches' events only the latest is told, of all others every one.
    """
    _network(handle)
    _, run = _runs[handle]
    until = perf_counter() + milliseconds / 1000
    events: list[Any] = []
    for event in run:
        if events and events[-1].kind == "batch":
            events.pop()
        events.append(event)
        if perf_counter() >= until:
            return {"done": False, "events": events}
    return {"done": True, "events": events}


@_replies
def train_result(handle: int) -> list[Any]:
    """The TrainingResult of a run."""
    return [_runs[handle][0].result]


def train_stop(handle: int) -> None:
    """End a run before its next batch; without a run, nothing."""
    if handle in _runs:
        _runs[handle][0].stop()


def is_training(handle: int) -> bool:
    """Whether a network has a run."""
    return handle in _runs


def train_end(handle: int) -> None:
    """Forget a run."""
    _runs.pop(handle, None)


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
