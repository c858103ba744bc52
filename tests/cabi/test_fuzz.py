"""Random bytes, sizes and handles: the process lives and every reply is JSON."""

import pytest

from tests.cabi.conftest import PROGRAMS, output


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_calls(compile_program, seed):
    program = compile_program(PROGRAMS / "fuzz.c", ["-O1"])
    text = output([program, seed, "3000"], timeout=300)
    assert text.startswith("[[1.1")
