"""Builder: what kernels append to. It allocates tensors and writes down dispatches."""

import struct
from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import numpy as np

from loom.errors import DeviceError
from loom.gpu import memory
from loom.gpu.layout import Layout, Place, dtype_of
from loom.gpu.program import (
    BLOCK,
    ITEM,
    PARAMS,
    ROUNDS,
    STEP,
    STEP_BYTES,
    Binding,
    Buffer,
    Dispatch,
    Limits,
    Pipeline,
    Program,
    Shape,
    Tensor,
)


class Builder:
    """A program in the making.

    Attributes:
        limits: of the device that it is for.
        stored: "f32" or "f16", the type of activations and weights in memory.
        training: dropout and batch statistics are on.
        keep: a backward pass follows, so forward keeps what that needs.
        part: the pass that dispatches belong to now (program.PASSES).
        where: the layer they belong to, for errors.
    """

    def __init__(
        self,
        layers: Iterable = (),
        limits: Limits | None = None,
        *,
        stored: str = "f32",
        training: bool = False,
        keep: bool = False,
        where: Callable[[int], str] = "layer {}".format,
    ):
        layers = list(layers)
        self.limits = limits or Limits()
        self.stored, self.training, self.keep = stored, training, keep
        self.part, self.where = "forward", "program"
        self.layout = Layout(layers, self.limits, where)
        self._index = {id(layer): i for i, layer in enumerate(layers)}
        self._buffers: dict[str, Buffer] = {}
        self._dispatches: list[Dispatch] = []
        self._inputs: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor] = {}
        self._params = bytearray()
        self._blocks: dict[bytes, int] = {}
        self._constants: dict[tuple, Tensor] = {}
        self._pending: dict[Buffer, Any] = {}
        self._gone: set[Buffer] = set()

    def bound(self, rounds: int, what: str) -> None:
        """Raise DeviceError for too many rounds of a thread; see Limits.alone."""
        if self.limits.software and rounds >= ROUNDS:
            raise DeviceError(
                f"{self.where}: {what} are too many for a GPU that a processor plays: "
                "it would leave some out. Make them fewer, or run it on the CPU."
            )

    # Tensors ---------------------------------------------------------------------

    def tensor(self, shape: Shape, dtype: str | None = None, label="") -> Tensor:
        """A new transient array; of the stored type unless `dtype` says another."""
        dtype = dtype or self.stored
        name = f"t{len(self._buffers)}{f' {label}' if label else ''}"
        return Tensor(
            self._buffer(name, prod(shape) * ITEM[dtype], "transient"),
            tuple(shape),
            dtype,
        )

    def scratch(self, shape: Shape, label="") -> Tensor:
        """A new transient array of float32, whatever is stored."""
        return self.tensor(shape, "f32", label)

    def input(self, name: str, shape: Shape, dtype: str = "f32") -> Tensor:
        """An array that the host writes before a run."""
        buffer = self._buffer(f"in {name}", prod(shape) * ITEM[dtype], "input")
        t = self._inputs[name] = Tensor(buffer, tuple(shape), dtype)
        return t

    def output(self, name: str, t: Tensor) -> None:
        """Let the host read `t` after a run."""
        self.flush(t)
        t.buffer.pinned = True
        self._outputs[name] = t

    def constant(self, array: np.ndarray, label="") -> Tensor:
        """A table of float32 or uint32, the same for every run."""
        array = np.ascontiguousarray(array)
        dtype = {"float32": "f32", "uint32": "u32"}[array.dtype.name]
        key = (dtype, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"c{len(self._constants)}{f' {label}' if label else ''}"
            buffer = self._buffer(name, array.nbytes, "constant")
            buffer.data = key[2]
            self._constants[key] = Tensor(buffer, array.shape, dtype)
        return self._constants[key]

    def weight(self, layer, name: str) -> Tensor:
        """A layer's parameter, as stored."""
        role = "weight" if self.stored == "f32" else "half"
        return self._arena(role, self._weight_place(layer, name))

    def gradient(self, layer, name: str) -> Tensor:
        """Where backward writes dL/d(parameter), all of it; float32, but in training as
        stored: the loss then is scaled for halves."""
        return self._arena(self._gradient_role, self._weight_place(layer, name))

    def gradients(self) -> list[Tensor]:
        """The whole buffers of all gradients."""
        return self.arenas(self._gradient_role)

    @property
    def _gradient_role(self) -> str:
        scaled = self.training and self.stored == "f16"
        return "gradient.half" if scaled else "gradient"

    def state(self, layer, name: str) -> Tensor:
        """A layer's saved statistic; always float32."""
        place = self.layout.states[self._index[id(layer)], name]
        return self._arena("state", place)

    def arenas(self, role: str) -> list[Tensor]:
        """The whole buffers of a role ("weight", "slot.first", ...; packed.py's)."""
        return [
            self._arena(role, Place(i, 0, (n,)))
            for i, n in enumerate(self.layout.sizes(role))
        ]

    def control(self, size: int) -> Tensor:
        """The network's control words (kernels/optimize.py)."""
        return Tensor(self._buffer("control", size * 4, "control"), (size,), "u32")

    def slice(self, t: Tensor, first: int, count: int) -> Tensor:
        """Rows first to first + count of t's first axis, as a view.

        Raises ValueError where that does not begin at a multiple of 256 bytes.
        """
        self.flush(t)
        row = prod(t.shape[1:])
        offset = t.offset + first * row
        if offset * ITEM[t.dtype] % self.limits.alignment:
            raise ValueError(f"row {first} of {t.shape} is not aligned")
        return Tensor(t.buffer, (count, *t.shape[1:]), t.dtype, offset)

    def _weight_place(self, layer, name: str) -> Place:
        return self.layout.weights[self._index[id(layer)], name]

    def _arena(self, role: str, place: Place) -> Tensor:
        row = self.layout.buffer(role, place.arena)
        buffer = self._buffers.setdefault(row.name, row)
        return Tensor(buffer, place.shape, dtype_of(role), place.offset)

    def _buffer(self, name: str, nbytes: int, role: str) -> Buffer:
        if name not in self._buffers:
            size = -(-max(nbytes, 1) // BLOCK) * BLOCK
            self._buffers[name] = Buffer(name, size, role)
        return self._buffers[name]

    # Work put off: until someone reads its result, more may be fused into it --------

    def defer(self, t: Tensor, work: Any) -> Tensor:
        """Put off `work` (called as work()), which writes t, until t is needed."""
        self._pending[t.buffer] = work
        return t

    def pending(self, t: Tensor) -> Any:
        """The work put off that would write t, or None."""
        return self._pending.get(t.buffer)

    def replace(self, t: Tensor) -> None:
        """Drop the work that would write t: its values become part of other work."""
        del self._pending[t.buffer]
        self._gone.add(t.buffer)

    def flush(self, *tensors: Tensor) -> None:
        """Do the work put off for these tensors: more than one reader will come."""
        for t in tensors:
            work: Callable | None = self._pending.pop(t.buffer, None)
            if work is not None:
                work()

    # Dispatches ------------------------------------------------------------------

    def dispatch(
        self,
        shader: str,
        entry: str = "main",
        *,
        reads: Iterable[Tensor | None] = (),
        writes: Iterable[Tensor | None] = (),
        params: Iterable = (),
        groups: int | tuple[int, int, int] = 1,
        overrides: dict[str, Any] | None = None,
        step: bool = False,
        features: tuple[str, ...] = (),
    ) -> None:
        """Append one run of a shader.

        reads, then writes, are the storage bindings 0, 1, ...; None binds a dummy that
        the shader does not touch. params are the words of the constant block (int: u32,
        float: f32). groups as an int is spread over x and y.
        """
        reads, writes, params = list(reads), list(writes), list(params)
        self.flush(*(t for t in (*reads, *writes) if t is not None))
        rows = [self._bind(i, t, "read") for i, t in enumerate(reads)]
        rows += [self._bind(len(reads) + i, t, "write") for i, t in enumerate(writes)]
        if len(rows) > PARAMS:
            raise ValueError(f"{shader}.{entry}: more than {PARAMS} storage bindings")
        if params:
            rows.append(self._block(params))
        if step:
            buffer = self._buffer("step", STEP_BYTES, "step")
            rows.append(Binding(STEP, buffer, 0, STEP_BYTES, "uniform"))
        pipeline = Pipeline(
            shader,
            entry,
            tuple(sorted((overrides or {}).items())),
            self.stored,
            len(reads),
            len(writes),
            bool(params),
            step,
            tuple(features),
        )
        if isinstance(groups, int):
            groups = spread(groups, self.limits.groups)
        self._dispatches.append(
            Dispatch(pipeline, tuple(rows), tuple(groups), self.part, self.where)
        )

    def _bind(self, number: int, t: Tensor | None, access: str) -> Binding:
        if t is None:
            # One a number: writable dummies of a dispatch must not alias.
            buffer = self._buffer(f"none {access} {number}", BLOCK, "constant")
            return Binding(number, buffer, 0, BLOCK, access)
        if t.buffer in self._gone:
            raise ValueError(f"{self.where}: {t.buffer.name} was fused away")
        size = max(16, -(-t.nbytes // 16) * 16)
        return Binding(number, t.buffer, t.start, size, access)

    def _block(self, params: list) -> Binding:
        data = b"".join(
            struct.pack("<f" if isinstance(v, float) else "<I", v) for v in params
        )
        data += bytes(-len(data) % 16)
        if data not in self._blocks:
            self._params += bytes(-len(self._params) % BLOCK)
            self._blocks[data] = len(self._params)
            self._params += data
        buffer = self._buffer("params", 0, "params")
        return Binding(PARAMS, buffer, self._blocks[data], len(data), "uniform")

    # The end ---------------------------------------------------------------------

    def finish(self, **info) -> Program:
        """The program: checked, its transient buffers placed."""
        if params := self._buffers.get("params"):
            self._params += bytes(-len(self._params) % BLOCK)
            params.nbytes, params.data = len(self._params), bytes(self._params)
        slots = memory.plan(self._dispatches)
        used = {b.buffer for row in self._dispatches for b in row.bindings}
        used |= {t.buffer for t in (*self._inputs.values(), *self._outputs.values())}
        program = Program(
            [row for row in self._buffers.values() if row in used],
            self._dispatches,
            self._inputs,
            self._outputs,
            slots,
            self.stored,
            info,
        )
        program.check(self.limits)
        return program


def spread(groups: int, limit: int) -> tuple[int, int, int]:
    """`groups` or a few more as (x, y, 1), each within the limit."""
    y = -(-groups // limit)
    return (-(-groups // y), y, 1) if groups else (1, 1, 1)
