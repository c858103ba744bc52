"""The Python end of the JavaScript API (`web/local.mjs`); runs in Pyodide only.

JavaScript holds integer handles; the networks live here. A message is a JSON skeleton
and flat typed arrays (see `loom.wire`); a reply is a JavaScript array of the text and
the typed arrays. The text is a list of results, or {"error", "type"} of a failure: no
exception crosses, since one that does would keep its frames, and their arrays, alive.
"""

import gc
import json
import traceback
from asyncio import Future, ensure_future
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from importlib import import_module
from itertools import count
from time import perf_counter
from typing import Any

import numpy as np
from pyodide.ffi import to_js

import loom
from loom import asynchronous, introspection, wire
from loom.asynchronous import events
from loom.errors import InputError, LoomError, WireError
from loom.gpu.array import GPUArray
from loom.network import Network
from loom.training import Trainer, TrainingEvent

PAGE = "page."
_networks: dict[int, Network] = {}
_arrays: dict[int, GPUArray] = {}
_runs: dict[int, "_Run"] = {}
_waiting: dict[int, Coroutine] = {}
_closing: set[Future] = set()
_handles = count(1)


def _replies(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function's value, or its failure, a reply."""

    @wraps(function)
    def reply(*arguments):
        try:
            text, arrays = wire.encode(_with_handles(function(*arguments)))
            return to_js([text, *map(memoryview, arrays)])
        except Exception as error:
            return _failed(error)

    return reply


def _awaited(function: Callable[..., Any]) -> Callable[..., Any]:
    """As _replies, for a coroutine, which JavaScript drives: see `_step`."""

    async def run(*arguments):
        try:
            value = await function(*arguments)
        except Exception as error:
            return _failed(error)
        return _replies(lambda: value)()

    @wraps(function)
    def begin(*arguments):
        number = next(_handles)
        _waiting[number] = run(*arguments)
        return _step(number, _waiting[number].send, None)

    return begin


def resume(number: int, value: Any):
    """Go on with the value of the promise that a coroutine waited for."""
    return _step(number, _waiting[number].send, value)


def resume_failed(number: int, error: Any):
    """Go on with a promise's failure."""
    return _step(number, _waiting[number].throw, error)


def _step(number: int, go: Callable[[Any], Any], value: Any):
    """A coroutine's reply, or [number, the promise that it waits for].

    JavaScript awaits; asyncio's loop in a page would take a millisecond for each call.
    """
    asynchronous.bridged = True
    try:
        return to_js([number, go(value)])
    except StopIteration as done:
        del _waiting[number]
        return done.value
    finally:
        asynchronous.bridged = False


def _failed(error: Exception):
    row = {"error": str(error), "type": type(error).__name__}
    if not isinstance(error, LoomError):
        row["error"] = f"{type(error).__name__}: {error}"
        row["traceback"] = traceback.format_exc()
    return to_js([json.dumps(row)])


def describe() -> str:
    """JSON of the version and the reflected methods and functions.

    JavaScript asks when Python has started. What is there by then stays: Python's
    collector need not look through it (15 ms, in the midst of a first call).
    """
    text = json.dumps(
        {
            "version": loom.__version__,
            "methods": introspection.get_methods(),
            "functions": introspection.get_functions(),
        }
    )
    gc.freeze()
    return text


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


@_awaited
async def call_async(handle: int, name: str, finite: bool, text: str, *buffers):
    """As call, of a method that must be awaited in a page: those on the GPU."""
    if name == "ToGPU":  # what it gives is JavaScript's and Python's alone
        values = (*_arguments(text, buffers), None)[0]
        return [await _network(handle).to_gpu_async(values)]
    method, (net, *arguments) = wire.prepare(
        _network(handle), name, _arguments(text, buffers)
    )
    twin = getattr(net, f"{method.__name__}_async")
    results = wire.results_of(await twin(*arguments))
    if finite:
        _check_finite(results, name)
    return results


def pass_find(handle: int, rows: int):
    """What web/repeat.mjs needs to make a forward pass of `rows` (0: flat), or None.

    [device, executable, values of x and y, y in the reply's skeleton]
    """
    net = _networks.get(handle)
    if net is None or not net.has_gpu():
        return None
    found = net.session().repeatable(rows or net.batch_size)
    if found is None:
        return None
    x, y = found.program.inputs["x"], found.program.outputs["y"]
    output = json.dumps({"$array": 0, "shape": y.shape if rows else [y.size]})
    return to_js([found.device.raw, found.handle, x.size, y.size, output])


def pass_stands(handle: int, executable: int, rows: int, finite: bool) -> bool:
    """Whether the pass of `executable` is the one that Python would have made."""
    net = _networks.get(handle)
    if net is None or not net.has_gpu():
        return False
    return net.session().stands(executable, rows, finite)


def back_find(handle: int):
    """What web/back.mjs needs: [device, executable, values of dy and dx, gradients].

    gradients are the handles of their buffers.
    """
    found = _back(handle)
    if found is None:
        return None
    last, buffers = found
    dy, dx = last.program.inputs["dy"], last.program.outputs["dx"]
    numbers = [buffer.number for buffer in buffers]
    return to_js([last.device.raw, last.handle, dy.size, dx.size, numbers])


def back_stands(handle: int, executable: int) -> bool:
    """Whether a backward pass of `executable` is the one that Python would make."""
    found = _back(handle)
    return found is not None and found[0].handle == executable


def back_made(handle: int, executable: int, kept) -> bool:
    """Take the gradients of a pass that JavaScript made; False where it is over."""
    net = _networks.get(handle)
    if net is None or not net.has_gpu():
        return False
    net._gradients = None
    return net.session().made_back(executable, kept)


def _back(handle: int):
    net = _networks.get(handle)
    return net.session().repeatable_back() if net and net.has_gpu() else None


def rehearse() -> None:
    """Do what a page does first, so that a start that is kept has it behind it."""
    from loom import page

    import_module("loom.gpu.asynchronous")  # as InitGPU does
    describe()
    (examples,) = page.call(None, "Catalog", [])
    name = examples[0]["name"]
    (samples,) = page.call(None, "Samples", [name, 1])
    (net,) = page.call(None, "NewNetwork", [name, 1])
    one = samples["held_out"]["input"][:1]
    net.forward_cpu(one)
    for function, *arguments in (
        ("LayerRows",),
        ("LayerActivity", one),
        ("LayerWeights", 0, samples["picture"]),
        ("Predict", one),
    ):
        page.call(net, function, arguments)
    page.call(None, "PlaneSets", [])
    page.call(None, "PlanePoints", ["spiral", 240, 1])
    (plane,) = page.call(None, "PlaneNetwork", [8, 2, 2, "tanh", 1])
    page.call(plane, "PlaneMap", [72])
    gc.collect()


def free(handle: int) -> None:
    """Forget a network and its training, or an array on the GPU.

    A handle that is not known is no error.
    """
    _networks.pop(handle, None)
    _arrays.pop(handle, None)
    _runs.pop(handle, None)


# Training in slices, so that JavaScript's event loop has its turns ------------------


class _Run:
    """A network's training: a Trainer and its events, once its GPU is open."""

    def __init__(self, net: Network, arguments: list[Any]):
        self.net, self._arguments, self.stopped = net, arguments, False
        self.trainer: Trainer | None = None
        self.events: Iterator[TrainingEvent] | AsyncIterator[TrainingEvent] = iter(())

    def opens(self) -> bool:
        """Whether the GPU must be opened first."""
        config = self._arguments[1] if len(self._arguments) > 1 else None
        wanted = isinstance(config, dict) and config.get("UseGPU") is True
        return wanted and not self.net.has_gpu()

    def begin(self) -> bool:
        """Check the arguments; whether the events are awaited."""
        self.trainer = Trainer(self.net, *self._arguments)
        awaited = self.trainer.engine is not None
        self.events = events(self.trainer) if awaited else self.trainer.run()
        if self.stopped:
            self.trainer.stop()
        return awaited

    def stop(self) -> None:
        """End before the next batch."""
        self.stopped = True
        if self.trainer:
            self.trainer.stop()


@_replies
def train_start(handle: int, text: str, *buffers) -> dict[str, Any]:
    """Prepare Train with these arguments; train_step runs it.

    {awaited}: train_step_async runs it instead.
    """
    arguments = _arguments(text, buffers)
    if not 1 <= len(arguments) <= 2:
        raise WireError(
            f"Train: expected 1 to 2 arguments (batches, config), got {len(arguments)}."
        )
    if handle in _runs:
        raise WireError("Train: this network is being trained. Wait, or call stop().")
    run = _Run(_network(handle), arguments)
    awaited = run.opens() or run.begin()
    _runs[handle] = run
    return {"awaited": awaited}


@_replies
def train_step(handle: int, milliseconds: float) -> dict[str, Any]:
    """Run batches for so long, one at least: {done, events}.

    Of the batches' events only the latest is told, of all others every one.
    """
    _network(handle)
    until = perf_counter() + milliseconds / 1000
    found: list[Any] = []
    for event in _runs[handle].events:
        if found and found[-1].kind == "batch":
            found.pop()
        found.append(event)
        if perf_counter() >= until:
            return {"done": False, "events": found}
    return {"done": True, "events": found}


@_awaited
async def train_step_async(handle: int, milliseconds: float) -> dict[str, Any]:
    """As train_step, on the GPU; `notice` is what the user should know."""
    net, run = _network(handle), _runs[handle]
    if run.trainer is None:
        await net.init_gpu_async()
        run.begin()
    until = perf_counter() + milliseconds / 1000
    found: list[Any] = []
    done = True
    async for event in run.events:
        if found and found[-1].kind == "batch":
            found.pop()
        found.append(event)
        if perf_counter() >= until:
            done = False
            break
    notice, net.session().notice = net.session().notice, ""
    return {"done": done, "events": found, "notice": notice}


@_replies
def train_result(handle: int) -> list[Any]:
    """The TrainingResult of a run."""
    return [_runs[handle].trainer.result]


def train_stop(handle: int) -> None:
    """End a run before its next batch; without a run, nothing."""
    if handle in _runs:
        _runs[handle].stop()


def is_training(handle: int) -> bool:
    """Whether a network has a run."""
    return handle in _runs


def train_end(handle: int) -> None:
    """Forget a run."""
    run = _runs.pop(handle, None)
    if run and hasattr(run.events, "aclose"):
        task = ensure_future(run.events.aclose())
        _closing.add(task)
        task.add_done_callback(_closing.discard)


def _arguments(text: str, buffers: tuple) -> list[Any]:
    return wire.decode(text, [_given(buffer) for buffer in buffers])


def _given(buffer) -> memoryview | GPUArray:
    """What JavaScript sent: a typed array, or the ticket of an array on the GPU."""
    handle = getattr(buffer, "gpu", None)
    if handle is None:
        return buffer.to_memoryview()
    if handle not in _arrays:
        raise WireError("this GPUArray was freed. Send it again.")
    return _arrays[handle]


def _network(handle: int) -> Network:
    try:
        return _networks[handle]
    except KeyError:
        raise WireError("this network was freed. Make a new one.") from None


def _with_handles(value: Any) -> Any:
    """Lists and dicts with {"$network": handle} for each network in them.

    For an array on the GPU {"$gpu": handle} and what stands in web/wire.mjs.
    """
    if isinstance(value, Network):
        handle = next(_handles)
        _networks[handle] = value
        return {"$network": handle}
    if isinstance(value, GPUArray):
        handle = next(_handles)
        _arrays[handle] = value
        names = ("shape", "dtype", "nbytes")
        row = {name: getattr(value, name) for name in names}
        return row | {"$gpu": handle, "number": value.buffer.number}
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
