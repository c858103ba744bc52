"""Small real data sets, read from the package, and what prepares them.

Sources and licences: ATTRIBUTION.md beside this file. Everything here needs NumPy only
and draws from `loom.random`, so it gives the same arrays in a browser page.
"""

import zlib
from importlib.resources import files

import numpy as np

from loom import assets, random
from loom.data.drawing import digit_from_drawing
from loom.data.table import Table, read_table
from loom.data.tasks import temporal_order
from loom.errors import InputError

__all__ = [
    "Table",
    "digit_from_drawing",
    "digits",
    "iris",
    "one_hot",
    "read_table",
    "split",
    "temporal_order",
    "text",
    "text_windows",
    "wine",
]

Array = np.ndarray
Pair = tuple[Array, Array]


def digits() -> Pair:
    """1,797 handwritten digits.

    Shapes: images (1797, 8, 8) float32 in 0..1, labels (1797,) 0..9.
    """
    packed = (files("loom.data") / "digits.z").read_bytes()
    values = np.frombuffer(zlib.decompress(packed), np.uint8)
    labels, *pixels = values.reshape(65, -1)
    # The outer columns come first, and each pixel's values in the order of the class,
    # and of the pixels to the left and above: what is alike stands together, a sixth
    # smaller.
    order = sorted(range(8, 72), key=lambda i: -abs(i % 8 * 2 - 7))
    planes = np.zeros((72, len(labels)))
    for i in range(8, 72):
        pixel = pixels[order.index(i)]
        planes[i, np.lexsort((planes[i - 1] + planes[i - 8], labels))] = pixel
    images = planes[8:].T.reshape(-1, 8, 8) / 16
    return images.astype(np.float32, order="C"), labels.astype(np.int64)


def iris() -> Table:
    """150 flowers: four measurements in cm, three species."""
    return read_table(assets.texts("data")["iris.csv"], "species", name="iris.csv")


def wine() -> Table:
    """178 wines: 13 measurements, three cultivars."""
    return read_table(assets.texts("data")["wine.csv"], "cultivar", name="wine.csv")


def text() -> str:
    """Chapters I to III of Alice's Adventures in Wonderland (Carroll, 1865)."""
    return assets.texts("data")["alice.txt"]


def text_windows(source: str, length: int) -> tuple[Array, Array, list[str]]:
    """Next-character samples of a text, and its characters in order.

    Shapes: inputs (N, T) and targets (N, T), indices into the characters; targets are
    the inputs moved on by one. The windows do not overlap.
    """
    characters = sorted(set(source))
    index = {character: i for i, character in enumerate(characters)}
    codes = np.array([index[character] for character in source], np.int64)
    count = (len(codes) - 1) // length
    if count < 1:
        raise InputError(
            f"text_windows: expected a text longer than {length} characters, "
            f"got {len(source)}."
        )
    inputs = codes[: count * length].reshape(count, length)
    targets = codes[1 : count * length + 1].reshape(count, length)
    return inputs, targets, characters


def split(
    inputs: Array, targets: Array, held_out: float = 0.2, seed: int = 0
) -> tuple[Pair, Pair]:
    """Shuffle samples and hold a part of them out: (training, held-out) pairs.

    The same seed holds the same samples out, on every platform.
    """
    count = len(inputs)
    if len(targets) != count:
        raise InputError(
            f"split: expected as many targets as inputs, got {count} inputs and "
            f"{len(targets)} targets."
        )
    aside = round(count * held_out)
    if not 0 < aside < count:
        raise InputError(
            f"split: expected a part that leaves samples on both sides, got {held_out} "
            f"of {count} samples. Bring more samples, or set another held_out."
        )
    order = random.permutation(seed, count, purpose=random.DATA)
    apart, kept = order[:aside], order[aside:]
    return (inputs[kept], targets[kept]), (inputs[apart], targets[apart])


def one_hot(labels: Array, classes: int) -> Array:
    """Class indices as rows of 0 and 1. Shapes: (...) -> (..., K) float32."""
    return np.eye(classes, dtype=np.float32)[labels]
