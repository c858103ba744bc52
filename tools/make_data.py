"""Make loom/data's files again from where they come from.

    pip install scikit-learn zopfli
    pip download --no-deps --no-binary :all: brotli && tar xzf brotli-*.tar.gz
    python tools/make_data.py brotli-*/tests/testdata/alice29.txt

Prints each file's SHA-256; those in tests/unit/test_data.py must equal them.
"""

import csv
import hashlib
import io
import re
import sys
from pathlib import Path

import numpy as np
import zopfli.zlib
from sklearn import datasets

TARGET = Path(__file__).parents[1] / "loom" / "data"


def digits() -> bytes:
    """The labels, then every image's pixels (0..16) one after the other, a byte each.

    Pixels, and each pixel's values, in the order that loom.data.digits undoes. zopfli's
    deflate is 2% smaller than zlib's.
    """
    pixels, labels = datasets.load_digits(return_X_y=True)
    planes = np.vstack([np.zeros((8, len(labels))), pixels.T])
    rows = [labels]
    for i in sorted(range(8, 72), key=lambda i: -abs(i % 8 * 2 - 7)):
        rows.append(planes[i, np.lexsort((planes[i - 1] + planes[i - 8], labels))])
    values = np.array(rows, np.uint8).tobytes()
    return zopfli.zlib.compress(values, numiterations=50, blocksplittingmax=0)


def table(bunch, names: list[str], target: str) -> bytes:
    """A CSV with a header; the class by name in the last column."""
    rows = [[*bunch.feature_names, target]]
    for values, label in zip(bunch.data, bunch.target, strict=True):
        rows.append([*(f"{value:.10g}" for value in values), names[label]])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def alice(path: str) -> bytes:
    """Chapters I to III, one blank line between paragraphs, no indentation."""
    text = Path(path).read_text("ascii").replace("\r\n", "\n")
    text = text[text.index("CHAPTER I\n") : text.index("CHAPTER IV\n")]
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if not re.fullmatch(r"[* ]+", line)]
    text = "\n".join(lines).strip() + "\n"
    text = re.sub(r" {2,}", " ", text)
    return re.sub(r"\n{3,}", "\n\n", text).encode()


def main() -> None:
    """Write every file and print its digest."""
    files = {
        "digits.z": digits(),
        "texts/iris.csv": table(
            iris := datasets.load_iris(), list(iris.target_names), "species"
        ),
        "texts/wine.csv": table(
            datasets.load_wine(), ["cultivar 1", "cultivar 2", "cultivar 3"], "cultivar"
        ),
        "texts/alice.txt": alice(sys.argv[1]),
    }
    for name, data in files.items():
        (TARGET / name).write_bytes(data)
        print(f"{hashlib.sha256(data).hexdigest()}  {name}  {len(data):,} bytes")


if __name__ == "__main__":
    main()
