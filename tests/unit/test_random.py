"""Philox against the Random123 known answers, and what the streams promise."""

import numpy as np
import pytest

from loom import random

# kat_vectors of Random123 (philox4x32, 10 rounds): counter, key, words.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter, key, expected):
    assert tuple(int(w) for w in random.philox(key, *counter)) == expected


def test_a_longer_draw_starts_with_the_shorter():
    assert (random.words(7, 5) == random.words(7, 400)[:5]).all()


def test_streams_are_apart():
    draws = [
        random.words(7, 8),
        random.words(8, 8),
        random.words(7 + (1 << 32), 8),
        random.words(7, 8, step=1),
        random.words(7, 8, stream=1),
        random.words(7, 8, purpose=random.DROPOUT),
    ]
    assert len({draw.tobytes() for draw in draws}) == len(draws)


def test_uniform_is_in_range_and_even():
    x = random.uniform(3, (200, 500), -2.0, 3.0)
    assert x.dtype == np.float32
    assert x.min() >= -2
    assert x.max() < 3
    assert abs(x.mean() - 0.5) < 0.02
    assert abs(x.var() - 25 / 12) < 0.02


def test_permutation_is_one():
    order = random.permutation(5, 1000)
    assert sorted(order.tolist()) == list(range(1000))
    assert (order != np.arange(1000)).mean() > 0.9
