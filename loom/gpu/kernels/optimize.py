"""Clipping and updates over whole arenas of parameters, shaders/optimize.wgsl.

Two or three dispatches an arena, whatever the number of layers. The device decides by
itself whether a step counts, so that the host may read losses whenever it likes.
"""

import struct
from dataclasses import dataclass, field, fields

import numpy as np

from loom import random
from loom.gpu import packed
from loom.gpu.builder import Builder
from loom.gpu.kernels import move
from loom.gpu.program import Tensor

RING = 1024  # losses kept on the device
WORDS = 16  # before them
PART, THREADS, WIDTH = 4096, 256, 4
FAILED_LOSS, FAILED_GRADIENT, FAILED_RANGE = 1, 2, 4
FIRST_SCALE = 65536.0  # PyTorch's GradScaler begins there too


@dataclass
class Control:
    """The control words as the host sees them; see shaders/control.wgsl."""

    status: int = 0
    failed: int = 0
    apply: int = 0
    done: int = 0
    first: float = 0.0
    second: float = 0.0
    factor: float = 1.0
    loss_scale: float = 1.0
    next_scale: float = 1.0
    good: int = 0
    skipped: int = 0
    norm: float = 0.0
    losses: np.ndarray = field(default_factory=lambda: np.zeros(RING, np.float32))

    def to_bytes(self) -> bytes:
        """As the device keeps them."""
        words = (self.status, self.failed, self.apply, self.done)
        floats = (self.first, self.second, self.factor, self.loss_scale)
        head = struct.pack("<4I4f", *words, *floats)
        head += struct.pack(
            "<f2If", self.next_scale, self.good, self.skipped, self.norm
        )
        return head + bytes(16) + self.losses.astype(np.float32).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Control":
        """The reverse of `to_bytes`."""
        head = struct.unpack("<4I4ff2If", data[:48])
        return cls(*head, np.frombuffer(data, np.float32, RING, WORDS * 4))


def step_block(
    seed: int,
    number: int,
    rate: float,
    slot: int,
    first_row: int = 0,
    share: float = 1.0,
) -> bytes:
    """What changes from step to step, as shaders/step.wgsl has it."""
    mask = 0xFFFFFFFF
    words = seed & mask, seed >> 32 & mask, number & mask, first_row
    return struct.pack("<4I2f2I", *words, rate, share, slot, 0) + bytes(32)


@dataclass(frozen=True)
class Rule:
    """What of a TrainingConfig an update depends on: equal ones share programs."""

    optimizer: str
    momentum: float
    nesterov: bool
    weight_decay: float
    beta1: float
    beta2: float
    epsilon: float
    gradient_clip: float

    @classmethod
    def of(cls, config) -> "Rule":
        """The rule of a TrainingConfig."""
        return cls(*(getattr(config, row.name) for row in fields(cls)))


def control(b: Builder) -> Tensor:
    """The network's control words on the device."""
    return b.control(WORDS + RING)


def slots_of(config) -> tuple[str, ...]:
    """The arrays that the optimizer keeps for each parameter."""
    if config.optimizer == "sgd":
        return ("momentum",) if config.momentum else ()
    return ("first", "second")


def norm(b: Builder) -> Tensor:
    """Parts whose union is the norm of all gradients."""
    arenas, scaled = b.gradients(), b.stored == "f16"
    counts = [-(-t.size // PART) for t in arenas]
    parts = b.scratch((max(sum(counts), 1), 2), "norm")
    if not arenas:
        return move.fill(b, parts)
    alone = b.limits.alone()
    first = 0
    for t, count in zip(arenas, counts, strict=True):
        b.dispatch(
            "optimize",
            "norm",
            reads=[t],
            writes=[parts],
            params=[t.size // WIDTH, first],
            groups=-(-count // 8) if alone else count,
            overrides={"SCALED": scaled} | ({"THREADS": 1} if alone else {}),
        )
        first += count
    return parts


def decide(b: Builder, losses: Tensor, norms: Tensor, config) -> None:
    """Loss, clipping, bias corrections and whether the step counts."""
    adam = config.optimizer != "sgd"
    beta1, beta2 = (config.beta1, config.beta2) if adam else (0.0, 0.0)
    alone = b.limits.alone(losses.shape[0] + norms.shape[0])
    b.dispatch(
        "optimize",
        "decide",
        reads=[losses, norms],
        writes=[control(b)],
        params=[
            losses.shape[0],
            norms.shape[0],
            float(config.gradient_clip),
            beta1,
            beta2,
            1 - beta1,
            1 - beta2,
        ],
        overrides={"SCALED": b.stored == "f16"} | ({"THREADS": 1} if alone else {}),
        step=True,
    )


def update(b: Builder, config) -> None:
    """One step of the optimizer on every parameter."""
    adam = config.optimizer != "sgd"
    scaled = b.stored == "f16"
    names = slots_of(config)
    decay = config.weight_decay > 0
    overrides = {"SCALED": scaled, "DECAY": decay}
    if adam:
        overrides["DECOUPLED"] = decay and config.optimizer == "adamw"
    else:
        overrides |= {"MOMENTUM": bool(names), "NESTEROV": config.nesterov}
    first, *rest = (b.arenas(role) for role in packed.parts_of("weight", b.stored))
    slots = [b.arenas(packed.parts_of(f"slot.{n}", b.stored)[0]) for n in names]
    for i, (w, g) in enumerate(zip(first, b.gradients(), strict=True)):
        states = [slot[i] for slot in slots] + [None] * (2 - len(slots))
        count = w.size // WIDTH
        b.dispatch(
            "optimize",
            "adam" if adam else "sgd",
            reads=[g, control(b)],
            writes=[w, *states, *(row[i] for row in rest)],
            params=[
                count,
                float(config.momentum),
                float(config.weight_decay),
                1 - config.beta1,
                float(config.beta2),
                1 - config.beta2,
                float(config.epsilon),
                i,
                random.ROUNDING,
            ],
            groups=-(-count // THREADS),
            overrides=overrides,
            step=True,
        )
