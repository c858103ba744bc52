"""A GPU program as data: buffers, pipelines, dispatches; JSON-able, device-free.

What builds one is `loom.gpu.builder`; what runs one (wgpu-py natively, web/webgpu.mjs
in a page) only makes the buffers, pipelines and bind groups that stand here and goes
through the dispatches in order. It knows no layer and no arithmetic.
"""

import base64
from dataclasses import dataclass, field
from math import prod
from typing import Any

from loom.errors import DeviceError
from loom.gpu import shaders

Shape = tuple[int, ...]
VERSION = 1
PARAMS, STEP = 8, 9  # binding numbers of the constant block and the step block
STEP_BYTES = 64
ROUNDS = 65_000  # of all loops of a thread, where a processor plays the GPU
BLOCK = 256  # bytes: offsets of uniform blocks, sizes of buffers
ITEM = {"f32": 4, "f16": 2, "u32": 4, "u16": 2, "u8": 1}
PASSES = ("forward", "loss", "backward", "clip", "update")

# Persistent: kept by name for the network, shared by its programs. Host: of one
# program, written or read by the host. Transient: may share memory (memory.py).
PERSISTENT = ("weight", "half", "gradient", "slot", "state", "control")
ROLES = (*PERSISTENT, "input", "constant", "params", "step", "transient")


@dataclass(frozen=True)
class Limits:
    """What a device can do; the defaults are what every WebGPU device can.

    Attributes:
        buffer, binding: greatest bytes of a buffer and of one storage binding.
        groups: greatest number of workgroups along a dimension.
        invocations, shared: threads and shared bytes of a workgroup.
        alignment: of a binding's offset, in bytes.
        f16, subgroups, timestamps: optional features.
        vendor: lower-case text that tuned kernels may look at.
        software: the adapter is a processor.
    """

    buffer: int = 256 << 20
    binding: int = 128 << 20
    groups: int = 65535
    invocations: int = 256
    shared: int = 16384
    alignment: int = 256
    f16: bool = False
    subgroups: bool = False
    timestamps: bool = False
    vendor: str = ""
    software: bool = False

    def alone(self, rounds: int = 0) -> bool:
        """Whether each thread works by itself, its loops taking `rounds` together.

        Where a processor plays the GPU, waiting for other threads is slow. But Mesa's
        llvmpipe ends, silently, the loops of a thread that has made 65,535 rounds in
        all of them (LP_MAX_TGSI_LOOP_ITERATIONS): threads share more than that.
        """
        return self.software and rounds < ROUNDS


@dataclass(eq=False)
class Buffer:
    """Memory on the device.

    Attributes:
        name: unique in the program; persistent ones mean the same in all programs.
        nbytes: a multiple of 256.
        role: one of ROLES.
        data: first contents of a constant.
        slot: a transient buffer's place in the shared memory.
        pinned: a transient buffer that the host reads: alive until the end.
    """

    name: str
    nbytes: int
    role: str
    data: bytes | None = None
    slot: int = -1
    pinned: bool = False


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view of a buffer: row-major, from `offset` elements on."""

    buffer: Buffer
    shape: Shape
    dtype: str = "f32"
    offset: int = 0

    @property
    def size(self) -> int:
        """How many values."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the values alone."""
        return self.size * ITEM[self.dtype]

    @property
    def start(self) -> int:
        """First byte in the buffer."""
        return self.offset * ITEM[self.dtype]

    def reshape(self, *shape: int) -> "Tensor":
        """The same values in another shape; one axis may be -1."""
        shape = tuple(shape[0]) if shape and not isinstance(shape[0], int) else shape
        if -1 in shape:
            rest = prod(n for n in shape if n != -1)
            shape = tuple(self.size // rest if n == -1 else n for n in shape)
        if prod(shape) != self.size:
            raise ValueError(f"cannot view {self.shape} as {shape}")
        return Tensor(self.buffer, shape, self.dtype, self.offset)


@dataclass(frozen=True)
class Pipeline:
    """A shader's entry, specialised.

    Attributes:
        shader, entry: file in shaders/ without its ending, and function.
        overrides: sorted (name, value) pairs.
        stored: "f32" or "f16", what `stored` means in the text.
        reads, writes: how many storage bindings of each kind.
        params, step: whether the constant block and the step block are bound.
        features: optional features that the text uses.
    """

    shader: str
    entry: str
    overrides: tuple[tuple[str, Any], ...]
    stored: str
    reads: int
    writes: int
    params: bool
    step: bool
    features: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """File, entry and overrides, for errors."""
        values = ", ".join(f"{k}={v}" for k, v in self.overrides)
        return f"{self.shader}.wgsl {self.entry}({values})"

    def source(self) -> str:
        """The complete WGSL text, less the lines that name features."""
        return shaders.source(self.shader, dict(self.overrides), self.stored)

    def constants(self) -> dict[str, Any]:
        """The overrides that the text still has, for the pipeline."""
        return {} if shaders.expanded(self.shader) else dict(self.overrides)

    def to_dict(self) -> dict[str, Any]:
        """All of it but the text, as JSON-able values."""
        return {
            "label": self.label,
            "entry": self.entry,
            "constants": self.constants(),
            "layout": [list(pair) for pair in self.layout()],
            "features": list(self.features),
        }

    def layout(self) -> list[tuple[int, str]]:
        """(binding number, "read" | "write" | "uniform") of each binding."""
        rows = [(i, "read") for i in range(self.reads)]
        rows += [(self.reads + i, "write") for i in range(self.writes)]
        rows += [(PARAMS, "uniform")] * self.params + [(STEP, "uniform")] * self.step
        return rows


@dataclass(frozen=True)
class Binding:
    """A range of a buffer at a binding number; offset and size in bytes."""

    number: int
    buffer: Buffer
    offset: int
    size: int
    access: str


@dataclass(frozen=True)
class Dispatch:
    """One run of a pipeline over groups (x, y, z)."""

    pipeline: Pipeline
    bindings: tuple[Binding, ...]
    groups: tuple[int, int, int]
    part: str
    label: str


@dataclass(eq=False)
class Program:
    """Buffers and dispatches of one network for one batch shape, precision and mode.

    `inputs` and `outputs` are what the host writes and reads, by name; `slots` are the
    bytes of the memory that transient buffers share.
    """

    buffers: list[Buffer]
    dispatches: list[Dispatch]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    slots: list[int]
    stored: str = "f32"
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def pipelines(self) -> list[Pipeline]:
        """Every pipeline once, in order of first use."""
        return list(dict.fromkeys(row.pipeline for row in self.dispatches))

    def nbytes(self, *roles: str) -> int:
        """Bytes on the device, of these roles or of all; shared memory once."""
        total = sum(
            row.nbytes
            for row in self.buffers
            if row.role != "transient" and (not roles or row.role in roles)
        )
        return total + sum(self.slots) * (not roles or "transient" in roles)

    def check(self, limits: Limits) -> None:
        """Raise DeviceError for what the device refuses, ValueError for our mistakes.

        Ranges, alignment, aliasing, and that every transient value is written before
        it is read.
        """
        written: set[str] = set()
        for row in self.buffers:
            if row.role == "transient" and row.nbytes > limits.buffer:
                raise too_large(row.name, row.nbytes, limits.buffer, "buffer")
        for row in self.dispatches:
            where = f"{row.label}: {row.pipeline.label}"
            if max(row.groups) > limits.groups or min(row.groups) < 1:
                raise ValueError(f"{where}: groups {row.groups}")
            reads = [b for b in row.bindings if b.access != "write"]
            writes = [b for b in row.bindings if b.access == "write"]
            for b in row.bindings:
                if b.offset % limits.alignment or b.offset + b.size > b.buffer.nbytes:
                    raise ValueError(f"{where}: range of {b.buffer.name}")
                if b.access != "uniform" and b.size > limits.binding:
                    raise too_large(row.label, b.size, limits.binding, "binding")
                fresh = b.buffer.role == "transient" and b.buffer.name not in written
                if b.access == "read" and fresh:
                    raise ValueError(f"{where}: reads {b.buffer.name} too early")
            for i, b in enumerate(writes):
                if any(r.buffer is b.buffer for r in reads):
                    raise ValueError(f"{where}: reads and writes {b.buffer.name}")
                for other in writes[:i]:
                    if other.buffer is b.buffer and _overlap(b, other):
                        raise ValueError(f"{where}: writes {b.buffer.name} twice")
                written.add(b.buffer.name)

    # JSON ------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The whole program, shader text included, as JSON-able values.

        `bind_groups` are lists of [binding, buffer, offset, size]; `dispatches` are
        [pipeline, bind group, x, y, z, label]; `passes` maps a name to its [first, end)
        dispatches. A buffer's `slot` is its place in `slots`, -1 for its own memory.
        """
        place = {row.name: i for i, row in enumerate(self.buffers)}
        pipelines = self.pipelines
        number = {row: i for i, row in enumerate(pipelines)}
        texts, groups, labels = {}, {}, {}
        rows = []
        for row in self.dispatches:
            group = tuple(
                (b.number, place[b.buffer.name], b.offset, b.size) for b in row.bindings
            )
            key = (number[row.pipeline], group)
            rows.append(
                [
                    number[row.pipeline],
                    groups.setdefault(key, len(groups)),
                    *row.groups,
                    labels.setdefault(row.label, len(labels)),
                ]
            )
        described = []
        for row in pipelines:
            text = texts.setdefault(row.source(), len(texts))
            described.append(row.to_dict() | {"shader": text})
        return {
            "version": VERSION,
            "stored": self.stored,
            "info": self.info,
            "buffers": [
                {
                    "name": row.name,
                    "bytes": row.nbytes,
                    "role": row.role,
                    "slot": row.slot,
                }
                | (
                    {"data": base64.b64encode(row.data).decode()}
                    if row.data is not None
                    else {}
                )
                for row in self.buffers
            ],
            "slots": self.slots,
            "shaders": list(texts),
            "pipelines": described,
            "bind_groups": [[i, [list(b) for b in g]] for i, g in groups],
            "dispatches": rows,
            "labels": list(labels),
            "passes": self.passes(),
            "inputs": {k: _view(t, place) for k, t in self.inputs.items()},
            "outputs": {k: _view(t, place) for k, t in self.outputs.items()},
        }

    def passes(self) -> dict[str, list[int]]:
        """Name -> [first, end) of its dispatches; they stand in the order of PASSES."""
        out = {}
        for name in PASSES:
            at = [i for i, row in enumerate(self.dispatches) if row.part == name]
            if at:
                out[name] = [at[0], at[-1] + 1]
        return out


def too_large(where: str, nbytes: int, limit: int, what: str) -> DeviceError:
    """The error for an array that the device cannot hold in one piece."""
    return DeviceError(
        f"{where}: needs {nbytes:,} bytes in one {what}, and this GPU allows "
        f"{limit:,}. Make the batch or the layer smaller, or run it on the CPU."
    )


def _overlap(a: Binding, b: Binding) -> bool:
    return a.offset < b.offset + b.size and b.offset < a.offset + a.size


def _view(t: Tensor, place: dict[str, int]) -> dict[str, Any]:
    return {
        "buffer": place[t.buffer.name],
        "offset": t.start,
        "shape": list(t.shape),
        "dtype": t.dtype,
    }
