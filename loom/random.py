"""Philox4x32-10, a counter-based generator: the same bits on CPU, GPU and browser.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", with the
Random123 constants and known answers. A number is a pure function of (key, counter),
so any element can be made anywhere without the ones before it. Only exact integer
operations and one exact scaling are used: no platform's mathematics library has a say.
"""

from math import ceil

import numpy as np

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)

_PART = 1 << 14  # blocks at a time: their temporaries stay in the cache

# Purposes keep streams of one seed apart: the last counter word.
INITIALISE, SHUFFLE, DROPOUT, DATA, ROUNDING = 0, 1, 2, 3, 4


def philox(key: tuple[int, int], c0, c1, c2, c3) -> tuple[np.ndarray, ...]:
    """Ten rounds over counters (each an integer or uint64 array); four u32 words."""
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in (c0, c1, c2, c3))
    k0, k1 = key
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (
            (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return c0, c1, c2, c3


def words(seed: int, count: int, *, step=0, stream=0, purpose=DATA) -> np.ndarray:
    """`count` uint32 words of the stream (seed, step, stream, purpose)."""
    key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    total = -(-count // 4)
    out = np.empty((total, 4), np.uint32)
    for start in range(0, total, _PART):
        part = out[start : start + _PART]
        blocks = np.arange(start, start + len(part), dtype=np.uint64)
        lanes = philox(key, blocks, step & 0xFFFFFFFF, stream & 0xFFFFFFFF, purpose)
        for column, lane in enumerate(lanes):
            part[:, column] = lane
    return out.reshape(-1)[:count]


def uniform(seed: int, shape, low=0.0, high=1.0, **stream) -> np.ndarray:
    """Float32 uniform in [low, high): 24 random bits, scaled exactly."""
    count = int(np.prod(shape))
    bits = words(seed, count, **stream)
    bits >>= np.uint32(8)
    unit = bits.astype(np.float32)
    unit *= np.float32(2.0**-24)
    if (low, high) != (0.0, 1.0):
        unit *= np.float32(high) - np.float32(low)
        unit += np.float32(low)
    return unit.reshape(shape)


def uniform_at_least(low: float, seed: int, count: int, **stream) -> np.ndarray:
    """Whether each of `count` values of `uniform` is >= low; no floats are made.

    Exact: a value is (word >> 8) / 2^24, so it is compared as word >> 8 >= low 2^24.
    """
    bound = np.uint32(ceil(low * 2**24))
    return words(seed, count, **stream) >> np.uint32(8) >= bound


def permutation(seed: int, count: int, **stream) -> np.ndarray:
    """A random order of 0..count-1 (a stable sort of random words)."""
    return np.argsort(words(seed, count, **stream), kind="stable")
