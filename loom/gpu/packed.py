"""What training with halves keeps on a device in fewer than four bytes a value.

    weight      4 bytes   the nearest half h, which the network computes with, and 16
                          bits for the rest: w bit for bit where 2^-16 <= |w| <= 65504,
                          smaller ones within 2^-40, larger ones as 65504
    gradient    2 bytes   a half, scaled as the loss is
    second      2 bytes   Adam's v: a float32 without its sign and last 15 bits
    first       1 byte    Adam's m as m / sqrt(v): sign, 4 bits of exponent, 3 of
                          mantissa, from 2^-11 to 30 (|m| / sqrt(v) is at most 7.3 by
                          the Cauchy-Schwarz inequality for beta1 0.9, beta2 0.999)
    momentum    2 bytes   SGD's: the upper half of a float32

float32 takes 16 bytes a parameter with Adam, this takes 9. An update computes in
float32 with the values as kept, and moves the weight by what it computed; only then
are v, m and the momentum rounded, up as often as they lie near the upper neighbour, so
that a mean is kept that steps below half a unit would never move (Gupta et al. 2015,
"Deep learning with limited numerical precision"). The rest of a half, w - h:

    |h| >= 2^-14    the difference of their bits as float32
    else            2^39 |w| - 2^39 |h|, rounded

shaders/packed.wgsl is the same on the device. Sent from Python, values are rounded to
the nearest, so that what was read from there comes back as the same bits.
"""

import numpy as np

Array = np.ndarray

# Types of the arenas that are not float32 (layout.py), by role.
TYPES = {
    "half": "f16",
    "weight.rest": "u16",
    "gradient.half": "f16",
    "slot.first.ratio": "u8",
    "slot.second.short": "u16",
    "slot.momentum.short": "u16",
}
# What an array is kept in where halves are stored.
PARTS = {
    "weight": ("half", "weight.rest"),
    "slot.first": ("slot.first.ratio", "slot.second.short"),
    "slot.second": ("slot.second.short",),
    "slot.momentum": ("slot.momentum.short",),
}
NEAREST = 0x80004000  # a half of the last unit, in all bits of noise that are taken
_SECOND, _RATIO, _MOMENTUM = 15, 20, 16  # bits of a float32 that go
_LEAST, _MOST = 928, 1055  # a ratio's leading bits: 2^-11, which stands for 0, and 30


def parts_of(role: str, stored: str) -> tuple[str, ...]:
    """Roles of the arenas that hold an array's values."""
    return PARTS.get(role, (role,)) if stored == "f16" else (role,)


def joined(role: str, parts: list[Array], stored: str) -> Array:
    """Values as float32, of the bytes of the arenas `parts_of(role, stored)`."""
    if stored == "f32" or role not in PARTS:
        return parts[0].view(np.float32)
    last = parts[-1].view(np.uint16)
    if role == "weight":
        return joined_weight(parts[0].view(np.uint16), last)
    if role == "slot.momentum":
        return _floats(last, _MOMENTUM)
    second = _floats(last, _SECOND)
    if role == "slot.second":
        return second
    code = parts[0].view(np.uint8)[: second.size].astype(np.uint32)
    size = code & 0x7F
    bits = np.where(size > 0, (size + _LEAST) << _RATIO, 0) | (code & 0x80) << 24
    return bits.astype(np.uint32).view(np.float32) * np.sqrt(second)


def split_slots(slots: dict[str, Array], noise=NEAREST) -> dict[str, Array]:
    """An optimizer's arrays, flat float32 by name, as codes by role.

    noise: random words, one a value; NEAREST rounds to the nearest.
    """
    noise = np.asarray(noise, np.uint32)
    if "momentum" in slots:
        codes = _short(slots["momentum"], noise >> 16, _MOMENTUM).astype(np.uint16)
        return {"slot.momentum.short": codes}
    if not slots:
        return {}
    first = slots["first"]
    second = _short(slots["second"], noise, _SECOND).astype(np.uint16)
    root = np.sqrt(_floats(second, _SECOND))
    ratio = np.divide(np.abs(first), root, out=np.zeros_like(root), where=root > 0)
    leading = _short(ratio, noise >> 15 << 3, _RATIO)
    size = np.clip(leading, _LEAST, _MOST) - _LEAST
    codes = (size | first.view(np.uint32) >> 24 & 0x80).astype(np.uint8)
    return {"slot.first.ratio": codes, "slot.second.short": second}


def halves(values: Array) -> Array:
    """As float16; what is too large becomes the largest half."""
    return np.clip(values, -65504, 65504).astype(np.float16)


def split_weight(w: Array) -> tuple[Array, Array]:
    """Float32 weights as bits of halves and the rests, uint16."""
    bits = np.minimum(np.abs(w), np.float32(65504)).view(np.uint32)
    half = halves(w).view(np.uint16)
    size = (half & 0x7FFF).astype(np.uint32)
    fixed = np.rint(np.minimum(bits.view(np.float32), 2.0**-14) * 2.0**39)
    large = bits - ((size << 13) + np.uint32(0x38000000))
    small = fixed.astype(np.uint32) - (size << 15)
    return half, np.where(size < 0x400, small, large).astype(np.uint16)


def joined_weight(half: Array, rest: Array) -> Array:
    """The reverse of `split_weight`."""
    size = (half & 0x7FFF).astype(np.int32)
    rest = rest.view(np.int16).astype(np.int32)
    large = (size << 13) + 0x38000000 + rest
    small = ((size << 15) + rest).astype(np.float32) * np.float32(2.0**-39)
    bits = np.where(size < 0x400, small.view(np.uint32), large.view(np.uint32))
    return (bits | (half & 0x8000).astype(np.uint32) << 16).view(np.float32)


def _floats(codes: Array, shift: int) -> Array:
    return (codes.astype(np.uint32) << shift).view(np.float32)


def _short(values: Array, noise: Array, shift: int) -> Array:
    return (values.view(np.uint32) + (noise & np.uint32((1 << shift) - 1))) >> shift
