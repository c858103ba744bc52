"""Tensor files: what is written is read again, also by the format's own library."""

import json

import numpy as np
import pytest
import safetensors.numpy

from loom import FormatError, InputError
from loom.tensorfile import DTYPES, decode, encode


def arrays():
    rng = np.random.default_rng(0)
    found = {
        name: (rng.standard_normal((2, 3)) * 9).astype(dtype)
        for name, dtype in DTYPES.items()
    }
    return found | {"empty": np.zeros((0, 4)), "scalar": np.array(2, np.float32)}


def same(one, two):
    assert one.keys() == two.keys()
    for name, array in one.items():
        assert array.dtype == two[name].dtype
        np.testing.assert_array_equal(array, two[name])


def test_round_trip():
    again, metadata = decode(encode(arrays(), {"a": "é"}), "file")
    same(arrays(), again)
    assert metadata == {"a": "é"}


def test_the_formats_own_library_agrees():
    same(arrays(), safetensors.numpy.load(encode(arrays(), {"a": "b"})))
    same(arrays(), decode(safetensors.numpy.save(arrays()), "file")[0])


def test_a_transposed_array_is_written_in_its_order():
    array = np.arange(6.0).reshape(2, 3).T
    same({"a": array}, decode(encode({"a": array}), "file")[0])


def test_unknown_dtypes_are_refused():
    with pytest.raises(InputError, match="c: expected one of F64"):
        encode({"c": np.zeros(2, complex)})


def file(header, body=b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def row(**changes):
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 8,
        b"\xff" * 8 + b"{}",
        file(b"[]"),
        file(b"{" * 10_000),
        file(b"[" * 100_000),
        file({"__metadata__": {"a": 1}}),
        file({"__metadata__": []}),
        file({"a": 1}, b"\0" * 8),
        file(row(dtype="F33"), b"\0" * 8),
        file(row(dtype=["F32"]), b"\0" * 8),
        file(row(shape=[-2]), b"\0" * 8),
        file(row(shape=[2.0]), b"\0" * 8),
        file(row(shape=[True, 2]), b"\0" * 8),
        file(row(shape=[2**40, 2**40]), b"\0" * 8),
        file(row(shape=None), b"\0" * 8),
        file(row(data_offsets=[0]), b"\0" * 8),
        file(row(data_offsets=[8, 0]), b"\0" * 8),
        file(row(data_offsets=[8, 16]), b"\0" * 8),
        file(row(data_offsets=[8, 16]), b"\0" * 16),
        file(row(), b"\0" * 9),
        file(row(), b"\0" * 7),
        file(row() | {"b": row()["a"]}, b"\0" * 8),
    ],
    ids=lambda data: f"{len(data)}",
)
def test_hostile_files_are_refused(data):
    with pytest.raises(FormatError, match=r"^hostile: the file is damaged: "):
        decode(data, "hostile")
