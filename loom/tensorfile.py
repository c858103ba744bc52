"""Named arrays in one file: the safetensors format, read and written with NumPy alone.

    8 bytes   length of the header, little-endian
    header    JSON {name: {"dtype", "shape", "data_offsets"}, "__metadata__": {text}}
    data      the arrays one after another, little-endian, without holes

Source: the format's description at https://github.com/huggingface/safetensors. Reading
takes the bytes as hostile: sizes are checked before anything is made of them.
"""

import json
from math import prod
from typing import Any

import numpy as np

from loom.errors import FormatError, InputError

Array = np.ndarray
DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
LONGEST_HEADER = 100_000_000  # bytes, the format's own limit
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_METADATA = "__metadata__"


def encode(arrays: dict[str, Array], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a file. Raises InputError for a dtype that the format has not."""
    header: dict[str, Any] = {_METADATA: metadata} if metadata else {}
    parts, at = [], 0
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        if dtype not in _NAMES:
            raise InputError(
                f"{name}: expected one of {', '.join(DTYPES)}, got {array.dtype}."
            )
        data = np.ascontiguousarray(array, dtype).tobytes()
        header[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(array.shape),
            "data_offsets": [at, at + len(data)],
        }
        parts.append(data)
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the arrays then lie aligned
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def decode(data: bytes, where: str) -> tuple[dict[str, Array], dict[str, str]]:
    """Arrays (read-only views of `data`) and metadata.

    Raises FormatError that begins with `where` for anything but such a file.
    """

    def require(holds, problem):
        if not holds:
            raise FormatError(f"{where}: the file is damaged: {problem}.")

    length = int.from_bytes(data[:8], "little")
    require(
        len(data) > 8 and length <= min(LONGEST_HEADER, len(data) - 8),
        f"{len(data)} bytes do not hold the header",
    )
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError):
        header = None
    require(isinstance(header, dict), "its header is no JSON object")
    metadata = header.pop(_METADATA, {})
    require(
        isinstance(metadata, dict)
        and all(isinstance(text, str) for text in metadata.values()),
        "its metadata are not text",
    )
    body = memoryview(data)[8 + length :]
    spans, arrays = [], {}
    for name, row in header.items():
        row = row if isinstance(row, dict) else {}
        dtype = row.get("dtype")
        shape, span = _sizes(row.get("shape")), _sizes(row.get("data_offsets"))
        require(isinstance(dtype, str) and dtype in DTYPES, f"{name} has dtype {dtype}")
        require(shape is not None, f"{name} has no shape")
        require(span is not None and len(span) == 2, f"{name} has no place")
        size = prod(shape) * DTYPES[dtype].itemsize
        require(
            span[0] <= span[1] <= len(body) and size == span[1] - span[0],
            f"{name} has not the bytes that its shape needs",
        )
        spans.append(span)
        values = np.frombuffer(body[span[0] : span[1]], DTYPES[dtype])
        arrays[name] = values.reshape(shape)
    end = 0
    for span in sorted(spans):
        require(span[0] == end, "its arrays overlap or leave a hole")
        end = span[1]
    require(end == len(body), "there are bytes after its arrays")
    return arrays, metadata


def _sizes(values: Any) -> list[int] | None:
    """A list of sizes, or None."""
    if isinstance(values, list) and all(
        type(n) is int and 0 <= n <= 2**48 for n in values
    ):
        return values
    return None
