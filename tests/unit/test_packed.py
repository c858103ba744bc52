"""What training with halves keeps in fewer bytes, and the memory that it then takes."""

import numpy as np
import pytest

from loom.examples.digits import ROWS
from loom.gpu import packed
from loom.gpu.kernels.optimize import Rule
from loom.gpu.lower import lower
from loom.gpu.program import PERSISTENT, Limits
from loom.training import loss

RNG = np.random.default_rng(5)


def numbers(count, low, high):
    """Float32 of both signs, their sizes even over the exponents low to high."""
    sizes = np.exp2(RNG.uniform(low, high, count))
    return (sizes * RNG.choice([-1, 1], count)).astype(np.float32)


def test_a_weight_is_kept_bit_for_bit():
    w = numbers(400_000, -16, 15.999)
    ends = np.float32([2**-16, 2**-14, 1, 65504, 0.0])
    near = np.nextafter(ends, np.float32(1))
    w = np.concatenate((w, ends, -ends, near, -near, np.float32([-0.0])))
    half, rest = packed.split_weight(w)
    assert half.dtype == rest.dtype == np.uint16
    again = packed.joined_weight(half, rest)
    exact = np.abs(w) >= 2.0**-16
    assert (again[exact].view(np.uint32) == w[exact].view(np.uint32)).all()
    assert (half.view(np.float16) == w.astype(np.float16)).all()


def test_a_small_weight_is_kept_within_2_to_the_minus_40():
    w = numbers(100_000, -60, -16)
    again = packed.joined_weight(*packed.split_weight(w))
    assert np.abs(again.astype(np.float64) - w).max() <= 2.0**-40


def test_a_weight_that_no_half_holds_is_the_largest_one():
    again = packed.joined_weight(*packed.split_weight(np.float32([65505, -1e30])))
    assert again.tolist() == [65504, -65504]


def test_moments_are_kept_to_their_last_bit():
    second = np.abs(numbers(50_000, -80, 20))
    first = numbers(50_000, -12, 4) * np.sqrt(second)
    codes = packed.split_slots({"first": first, "second": second})
    assert [c.itemsize for c in codes.values()] == [1, 2]
    kept = read(codes)
    assert np.abs(kept["second"] / second - 1).max() <= 2.0**-9
    ratio = np.abs(first) / np.sqrt(kept["second"])
    inside = (ratio > 2.0**-10) & (ratio < 30)
    assert inside.mean() > 0.8
    assert np.abs(kept["first"] / first - 1)[inside].max() <= 1 / 16 + 1e-6
    # A checkpoint reads them and sends them again: nothing may move.
    again = packed.split_slots(kept)
    for role, code in codes.items():
        assert (again[role] == code).all()


def test_momentum_and_nothing():
    values = numbers(1000, -100, 100)
    codes = packed.split_slots({"momentum": values})
    kept = packed.joined("slot.momentum", list(codes.values()), "f16")
    assert np.abs(kept / values - 1).max() <= 2.0**-8
    again = packed.split_slots({"momentum": kept})
    assert (again["slot.momentum.short"] == codes["slot.momentum.short"]).all()
    assert packed.split_slots({}) == {}
    zero = np.zeros(4, np.float32)
    for code in packed.split_slots({"first": zero, "second": zero}).values():
        assert not code.any()


def read(codes):
    """Moments by name, of their codes by role."""
    out = {}
    for name in ("first", "second"):
        roles = packed.parts_of(f"slot.{name}", "f16")
        parts = [codes[role] for role in roles]
        out[name] = packed.joined(f"slot.{name}", parts, "f16")
    return out


def programs(row, stored):
    """What a run of an example loads: its batch, its last batch, its validation."""
    net, task = row.build(1)
    config = row.settings(task)
    limits = Limits(f16=True)
    options = {"loss_row": loss(config.loss_type), "classes": True}
    options |= {"config": Rule.of(config), "limits": limits, "stored": stored}
    rest = len(task.train[0]) % config.batch_size
    rows = (config.batch_size, rest)
    made = [lower(net, n, "train", **options) for n in rows]
    held = len(task.held_out[0])
    return [*made, lower(net, held, "forward", limits=limits, stored=stored)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_halves_take_at_most_three_fifths_of_the_memory(row):
    """Issue 4's bar, at the examples' own settings."""
    full, half = programs(row, "f32"), programs(row, "f16")
    assert half[0].nbytes() <= 0.6 * full[0].nbytes()
    assert total(half) <= 0.6 * total(full)
    parameters = [
        sum(p[0].nbytes(role) for role in ("weight", "half", "gradient", "slot"))
        for p in (full, half)
    ]
    assert parameters[1] <= 9 / 16 * parameters[0] + 4 * 256


def total(made):
    """Bytes of programs of one network, what they share once."""
    return made[0].nbytes() + sum(p.nbytes() - p.nbytes(*PERSISTENT) for p in made[1:])
