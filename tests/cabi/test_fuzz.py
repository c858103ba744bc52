"""Random bytes, sizes, layers and handles: the process lives, every reply is JSON."""

import builtins
import random

import numpy as np
import pytest

from loom import introspection
from loom.cabi import header
from tests.cabi.conftest import PROGRAMS, output

VALUES = [0, 1, 2, 3, 4, -1, 2**31, 2**40, 1.5, 1e308, True, None, "x", "none"]
VALUES += [[], [1, 2], {}]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_calls(compile_program, seed):
    program = compile_program(PROGRAMS / "fuzz.c", ["-O1"])
    text = output([program, seed, "3000"], timeout=300)
    assert text.startswith("[[1.1")


def is_ours(error: str) -> bool:
    """Whether a message was written for the user: no exception of Python's came out."""
    found = getattr(builtins, error.partition(":")[0], None)
    return not (isinstance(found, type) and issubclass(found, BaseException))


@pytest.mark.parametrize("seed", [1, 2])
def test_random_layers_and_arguments(api, seed):
    """Every layer with odd fields, every method with odd arguments, odd passes."""
    chance = random.Random(seed)
    choose, errors = chance.choice, []

    def call(handle: int, method: str, arguments: list):
        reply = api.call(handle, method, *arguments)
        if isinstance(reply, dict):
            errors.append((method, arguments, reply["error"]))
        return reply

    methods = [
        row
        for row in introspection.get_methods()
        if "GPU" not in row["method_name"] and row["method_name"] != "SaveModel"
    ]
    for turn in range(600):
        if turn % 20 == 0:
            size = choose([1, 2, 3, 4, 8, 12])
            net = api.call(0, "NewNetwork", size, 1, 1, 2, 1)[0]["handle"]
        row = choose(header.initialisers())
        odd = [
            choose(VALUES if chance.random() < 0.2 else [1, 2, 3, 4])
            for _ in "12345678"
        ]
        made = call(0, row["method_name"], odd[: len(row["parameters"])])
        if isinstance(made, list):
            fields = {
                k: v if chance.random() < 0.85 else choose(VALUES)
                for k, v in made[0].items()
            }
            call(net, "SetLayer", [0, 0, choose([0, 1]), fields])
        x = [choose([0, 1, 2, -1, 0.5]) for _ in range(size * choose([1, 1, 1, 2]))]
        call(net, "ForwardCPU", [x])
        y = api.run("Loom_ForwardF32", net, x, 4096)
        dy = np.ones(3 if isinstance(y, int) else y.size)
        for status in (
            api.run("Loom_BackwardF32", net, dy, 4096),
            api.train(net, x, dy),
        ):
            if isinstance(status, int) and status:
                errors.append(("pass", x, api.error()))
        row = choose(methods)
        call(net, row["method_name"], [choose(VALUES) for _ in row["parameters"]])
    assert len(errors) > 200
    assert [row for row in errors if not is_ours(row[2])] == []


def test_what_is_not_ours_would_be_seen():
    assert is_ours("layer (0, 0, 0) Dense: expected ...")
    assert not is_ours("TypeError: unhashable")
