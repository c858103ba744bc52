"""A network on a device: its programs, and its arrays kept the same in both places."""

import os
import sys
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from loom.errors import ConfigError, DeviceError, ShapeError
from loom.gpu import packed
from loom.gpu.array import GPUArray
from loom.gpu.kernels.optimize import RING, WORDS, Control, step_block
from loom.gpu.layout import Layout, Place, dtype_of
from loom.gpu.lower import lower
from loom.gpu.mirror import Mirror
from loom.gpu.program import Buffer, Program
from loom.gpu.store import DeviceLost, Store
from loom.linalg import all_finite

Array = np.ndarray
KEPT = 8  # programs of a session: batch shapes and modes
DTYPES = {"f32": np.float32, "f16": np.float16, "u16": np.uint16, "u8": np.uint8}
CONTROL_BYTES = 4 * (WORDS + RING)
FORWARD, OUTPUT = ("forward",), ("y",)
ASSESS = ("forward", "loss")
FLOAT = np.dtype(np.float32)
NONE = None, None


class Session:
    """`net` on one device, from init_gpu to release_gpu.

    Attributes:
        asked: the options that it was opened with.
        device: where it runs; another one after a loss.
        stored: "f32" or "f16".
        rows: samples of the last forward pass, 0 before one.
        has_gradients: whether gradients of a backward pass are here.
    """

    awaited = False  # whether what reads is a coroutine

    def __init__(self, net, adapter, precision: str = "f32"):
        if net._dtype != np.float32:
            raise ConfigError(
                f"init_gpu: expected a float32 network, got {np.dtype(net._dtype)}. "
                "A GPU computes in float32; call net.astype('float32') first."
            )
        self._net = weakref.ref(net)
        self.opened_as(precision, "one")
        self.adapter = adapter
        self.device, self._closed = self._open(), False
        self.stored = stored_type(precision, self.device)
        lock = getattr(self.device, "lock", None)  # a page has no threads
        self.mirror = Mirror(self._send, self._fetch, lock)
        self.has_gradients = False
        self.rows = 0
        self._programs: OrderedDict[tuple, Any] = OrderedDict()
        self._begin(net)

    @property
    def net(self):
        """The network; sessions do not keep it alive."""
        return self._net()

    def opened_as(self, *options: str) -> "Session":
        """Itself, which remembers init_gpu's options."""
        self.asked = (*options, os.environ.get("LOOM_GPU"))
        return self

    def serves(self, *options: str) -> bool:
        """Whether init_gpu with these options would open the same again."""
        same = self.asked == (*options, os.environ.get("LOOM_GPU"))
        return same and not self.device.lost and self.net._dtype == np.float32

    # Passes ----------------------------------------------------------------------

    def array(self, values: Array) -> GPUArray:
        """Values on the device, for passes of any session there."""
        with self.device.lock:
            try:
                return GPUArray(self.device, values, self.stored)
            except DeviceLost:
                self.recover()
                return GPUArray(self.device, values, self.stored)

    def forward(self, x: Array | GPUArray, meanwhile: Callable | None = None) -> Array:
        """Outputs in evaluation mode; x (B, *input_shape), checked by the network.

        `meanwhile()` is called while the device computes.
        """
        self.net.check_values(x)
        with self.device.lock:
            try:
                return self._forward(x, meanwhile)
            except DeviceLost:
                self.recover()
                return self._forward(x, meanwhile)

    def _forward(self, x, meanwhile: Callable | None) -> Array:
        # Once backward was asked for, forward keeps what that needs.
        program = self.program(len(x), self._mode)
        rests = self.mirror.push()
        self._last, self.rows = program, len(x)
        y = program.run(FORWARD, OUTPUT, meanwhile, x=x)[0]
        # Not where weights are sent each time, or values of x are looked at before.
        if rests and self.net.first().takes_all_values():
            run = program.repeatable(FORWARD, *OUTPUT, x.shape)
            if run is not None:
                self._repeats[x.shape] = program, run
        return y

    def again(self, x: Any) -> Array | None:
        """y as `forward` gives it, if nothing has changed since; None: ask that.

        Whether anything has, and whether x is finite, is looked at while the device
        computes: most of a small pass is work of the host.
        """
        if not self._repeats or type(x) is not np.ndarray or x.dtype is not FLOAT:
            return None
        with self.device.lock:
            program, run = self._repeats.get(x.shape, NONE)
            if run is None or not self.device.open:
                return None
            y = run.again(x, self._unchanged)
            if y is None:
                self._repeats.clear()
            else:
                self._last, self.rows = program, len(x)
            return y

    def _unchanged(self, x: Array) -> bool:
        return self._same() and self.mirror.at_rest() and all_finite(x)

    def assess(
        self, x: Array, columns: int, t: Array | None = None, loss_row=None
    ) -> tuple[Array, float | None]:
        """What the network decides for each `columns` outputs, and the loss if asked.

        The loss is None, too, where outputs are no probabilities but must be.
        """
        self.net.check_values(x)
        with self.device.lock:
            try:
                return self._assess(x, columns, t, loss_row)
            except DeviceLost:
                self.recover()
                return self._assess(x, columns, t, loss_row)

    def _assess(self, x, columns, t, loss_row) -> tuple[Array, float | None]:
        classes = t is not None and t.dtype.kind == "i"
        options = {"columns": columns, "loss_row": loss_row, "classes": classes}
        program = self.program(len(x), "assess", **options)
        program.write("x", x)
        self.mirror.push()
        if loss_row is None:
            return program.run(ASSESS, ("decided",))[0], None
        program.write("t", t)
        program.write_step(step_block(0, 0, 0.0, 0))
        decided, parts = program.run(ASSESS, ("decided", "losses"))
        value, wrong = parts.sum(axis=0, dtype=np.float64)
        return decided, None if wrong else float(value)

    def backward(self, dy: Array | GPUArray) -> Array:
        """dL/dx of the last forward pass; keeps every gradient on the device."""
        with self.device.lock:
            try:
                if self._last is not None and len(dy) == self.rows:
                    return self._backward(dy)
            except DeviceLost:
                self.recover()
        raise DeviceError(
            "backward_gpu: what forward_gpu kept is gone: the GPU was lost, the "
            "network was changed, or another thread ran it. Run forward_gpu again."
        )

    def _backward(self, dy) -> Array:
        parts = ["backward"]
        if self._last.program.info["mode"] == "forward":
            # It kept nothing: once more, from the input that is still there.
            self._mode, last = "gradients", self._last
            self._last = self.program(len(dy), self._mode)
            self._repeats.clear()
            self._last.take("x", last)
            parts = ["forward", "backward"]
        self._last.write("dy", dy)
        self.mirror.push()
        dx = self._last.run(parts, ("dx",))[0]
        self.has_gradients = True
        return dx

    def gradients(self) -> list[dict[str, Array]]:
        """dL/dw of the last backward pass, layer by layer."""
        values = self._arrays("gradient", self.layout.weights)
        out: list[dict[str, Array]] = [{} for _ in self.net.layers]
        for (index, name), value in values.items():
            out[index][name] = value
        return out

    # Programs --------------------------------------------------------------------

    def program(self, rows: int, mode: str, **training) -> Any:
        """The loaded program for batches of `rows`, made where it is not there."""
        found = self._kept(rows, mode, **training)
        if found is None:
            found = self.device.load(self._lower(rows, mode, **training), self.store)
            self._keep(found, rows, mode, **training)
        if mode in ("train", "share") and not self._masters:
            self._masters = True
            self.mirror.resend()
        return found

    def _kept(self, rows: int, mode: str, **training) -> Any:
        self.follow()
        key = (rows, mode, *training.values())
        if key in self._programs:
            self._programs.move_to_end(key)
        return self._programs.get(key)

    def _keep(self, made, rows: int, mode: str, **training) -> None:
        self._programs[rows, mode, *training.values()] = made
        while len(self._programs) > KEPT:
            # backward still needs what the last forward pass kept
            rest = (key for key, row in self._programs.items() if row is not self._last)
            self._programs.pop(next(rest)).close()
            self._repeats.clear()

    def _lower(self, rows: int, mode: str, **training) -> Program:
        limits, stored = self.device.limits, self.stored
        return lower(self.net, rows, mode, limits=limits, stored=stored, **training)

    def nbytes(self) -> int:
        """Bytes of this network's buffers on the device."""
        own = sum(row.own_bytes() for row in self._programs.values())
        return own + sum(buffer.size for buffer in self.store.buffers.values())

    def info(self) -> dict[str, Any]:
        """The adapter's report, the precision and what lies on the device."""
        return self._report() | {
            "precision": self.stored,
            "devices": 1,
            "programs": len(self._programs),
            "bytes": self.nbytes(),
        }

    def _report(self) -> dict[str, Any]:
        from loom.gpu.detector import report

        return report(self.adapter)

    def close(self) -> None:
        """Fetch what is newer, for a run of training too, and free everything."""
        try:
            if not self.device.lost:
                if engine := self.trained_by:
                    engine.leave()
                self.mirror.pull()
        finally:
            self._drop()
            self.mirror.forget()
            self._closed, self.trained_by = True, None

    def __del__(self):
        if "store" in self.__dict__ and not sys.is_finalizing():
            self._drop()

    def engine(self, trainer):
        """What runs a Trainer's steps on this session."""
        from loom.gpu.training import DeviceEngine

        return DeviceEngine(trainer)

    @property
    def trained_by(self):
        """The engine whose optimizer's arrays and losses lie here, or None."""
        return self._engine and self._engine()

    @trained_by.setter
    def trained_by(self, engine) -> None:
        self._engine = engine and weakref.ref(engine)

    def _open(self):
        from loom.gpu import native

        return native.opened(self.adapter)

    def _reopen(self):
        from loom.gpu import native

        return native.reopened(self.device)

    # The network may change ------------------------------------------------------

    def _begin(self, net) -> None:
        self._plan = net.plan()
        self.layout = Layout(net.layers, self.device.limits, net.where)
        self._new_store()
        self._mode = "forward"
        # In float32 on the device; with halves only once training needs them.
        self._masters = self.stored == "f32"
        self._last: Any = None
        # Forward passes that can be made again, by the shape of x.
        self._repeats: dict[tuple, tuple] = {}
        self._watched = []
        self._watch(net)

    def _new_store(self) -> None:
        # What an engine kept in the old one is gone.
        self.store, self.trained_by = Store(self.device), None

    def _watch(self, net) -> None:
        for index, layer in enumerate(net.layers):
            if layer.parameters or layer.state:
                self._watched.append((layer, layer.parameters, layer.state))
                self.mirror.watch(index, layer.parameters)
                self.mirror.watch(index, layer.state)

    def follow(self) -> None:
        """Begin anew where layers, or their dicts of arrays, were replaced."""
        if self._closed:
            raise DeviceError(
                "release_gpu, or init_gpu again, took the GPU from what runs on it. "
                "Call them when that has ended."
            )
        if not self._same():
            self.mirror.release()
            self._drop()
            self._begin(self.net)

    def _same(self) -> bool:
        if self.net.plan() is not self._plan:
            return False
        for layer, parameters, state in self._watched:
            if layer.parameters is not parameters or layer.state is not state:
                return False
        return True

    def _drop(self) -> None:
        self._repeats.clear()
        for program in self._programs.values():
            program.close()
        self._programs.clear()
        self.store.close()

    def recover(self) -> None:
        """Open a new device and begin with the last values that Python has."""
        warnings.warn(
            f"the GPU {self.device.info['device']!r} was lost; it is opened again with "
            "the weights of the last synchronisation. Later steps are lost.",
            stacklevel=4,
        )
        self._drop()
        self.mirror.resend()
        self.device = self._reopen()
        self._new_store()
        self._last = None

    # Arrays ----------------------------------------------------------------------

    def _places(self, index: int, name: str) -> tuple[str, Place]:
        key = index, name
        if key in self.layout.weights:
            return "weight", self.layout.weights[key]
        return "state", self.layout.states[key]

    def _send(self, index: int, name: str, array: Array) -> None:
        role, place = self._places(index, name)
        if array.shape != place.shape:
            raise ShapeError(
                f"{self.net.where(index)}: expected {name} of shape {place.shape}, got "
                f"{array.shape}."
            )
        values = np.ascontiguousarray(array, np.float32).reshape(-1)
        if role == "state" or self.stored == "f32":
            self._write(role, place, values)
        elif self._masters:
            half, rest = packed.split_weight(values)
            self._write("half", place, half)
            self._write("weight.rest", place, rest)
        else:
            self._write("half", place, packed.halves(values))

    def _write(self, role: str, place: Place, values: Array) -> None:
        at = place.offset * values.itemsize
        if values.nbytes % 4:  # whole words are written; what follows is no value
            values = np.append(values, np.zeros(3, values.dtype))
            values = values[: len(values) // 4 * 4]
        self.device.write(self._arena(role, place.arena), at, values)

    def _fetch(self) -> dict[tuple[int, str], Array]:
        layout = self.layout
        try:
            weights = self._arrays("weight", layout.weights)
            return weights | self._arrays("state", layout.states)
        except DeviceLost:
            self.recover()
            return {}

    def _arrays(self, role: str, places: dict) -> dict[tuple[int, str], Array]:
        """Arrays of a role as they are on the device, one read an arena."""
        arenas = {}
        for number in sorted({place.arena for place in places.values()}):
            parts = [
                self.device.read(buffer, 0, buffer.size)
                for buffer in self._parts(role, number)
            ]
            arenas[number] = packed.joined(role, parts, self.stored)
        return split(arenas, places)

    def _parts(self, role: str, number: int) -> list:
        """The buffers that an arena's values are kept in."""
        roles = packed.parts_of(role, self.stored)
        return [self._arena(row, number) for row in roles]

    def read_arena(self, role: str, number: int) -> Array:
        """A whole arena as it is kept."""
        buffer = self._arena(role, number)
        return self.device.read(buffer, 0, buffer.size).view(DTYPES[dtype_of(role)])

    def write_arena(self, role: str, number: int, values: Array) -> None:
        """Set a whole arena."""
        self.device.write(self._arena(role, number), 0, values)

    # What training keeps ------------------------------------------------------------

    def write_control(self, control: Control) -> None:
        """Set the control words."""
        self.device.write(self._control(), 0, control.to_bytes())

    def read_control(self) -> Control:
        """The control words, after all steps so far."""
        return Control.from_bytes(self.device.read(self._control(), 0, CONTROL_BYTES))

    def send_slots(self, key: tuple[int, str], slots: dict[str, Array]) -> None:
        """Set the optimizer's arrays, by name, of the parameter (layer index, name)."""
        place = self.layout.weights[key]
        flat = {
            name: np.ascontiguousarray(array, np.float32).reshape(-1)
            for name, array in slots.items()
        }
        if self.stored == "f16":
            codes = packed.split_slots(flat)
        else:
            codes = {f"slot.{name}": values for name, values in flat.items()}
        for role, values in codes.items():
            self._write(role, place, values)

    def slots(self, name: str) -> dict[tuple[int, str], Array]:
        """The optimizer's arrays of a name."""
        return self._arrays(f"slot.{name}", self.layout.weights)

    def _control(self):
        size = -(-CONTROL_BYTES // 256) * 256
        return self.store.get(Buffer("control", size, "control"))

    def _arena(self, role: str, number: int):
        """The buffer of an arena, made where no program has it yet."""
        return self.store.get(self.layout.buffer(role, number))


def split(arenas: dict[int, Array], places: dict) -> dict[tuple[int, str], Array]:
    """Views of arrays by their places in arenas."""
    out = {}
    for key, place in places.items():
        values = arenas[place.arena]
        found = values[place.offset : place.offset + prod(place.shape)]
        out[key] = found.reshape(place.shape)
    return out


def stored_type(precision: str, device) -> str:
    """ "f32" or "f16" for a precision; DeviceError where the device has no halves."""
    if precision == "f32" or (precision == "auto" and not device.limits.f16):
        return "f32"
    if not device.limits.f16:
        raise DeviceError(
            f"init_gpu: precision='f16' needs shader-f16, which the GPU "
            f"{device.info['device']!r} does not have. Use 'auto' or 'f32'."
        )
    return "f16"
