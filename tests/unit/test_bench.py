"""The benchmark's harness: it refuses to time what disagrees, and tells bars missed."""

import json
from time import sleep

import numpy as np
import pytest

from bench import __main__ as command
from bench import cpu, memory, timing
from bench.timing import Line, Row, columns, duration, measure, verify


def test_contenders_that_disagree_are_not_timed():
    line = Line("two", lambda: {})
    calls = {"loom": lambda: np.ones(3), "numpy": lambda: np.array([1, 1, 1.1])}
    with pytest.raises(SystemExit, match="two: result 0 of loom and numpy differ"):
        verify(line, calls)
    calls["numpy"] = lambda: np.ones(4)
    with pytest.raises(SystemExit, match=r"numpy returns \[\(4,\)\], loom \[\(3,\)\]"):
        verify(line, calls)
    calls["numpy"] = lambda: np.full(3, np.nan)
    with pytest.raises(SystemExit, match="differ by nan"):
        verify(line, calls)


def test_ratios_are_of_the_rounds_and_bars_are_told():
    line = Line("x", lambda: {}, {"numpy": 1.5}, overhead={"torch": 1.0})
    rounds = {
        "loom": np.array([2e-3, 4e-3, 2e-3]),
        "numpy": np.array([1e-3, 2e-3, 1e-3]),
        "torch": np.array([1e-3, 1e-3, 1e-3]),
    }
    row = Row(line, rounds)
    assert row.ratio("numpy") == 2
    assert row.missed() == [
        "2.00 of numpy, at most 1.5",
        "1000.0 us over torch, at most 1",
    ]
    assert row.spread("torch") == 0
    json.dumps(row.to_json(), allow_nan=False)
    assert "2.00 of numpy" in timing.table([row])


def test_a_slower_contender_measures_slower():
    line = Line(
        "sleep", lambda: {"loom": lambda: sleep(2e-2), "numpy": lambda: sleep(1e-2)}
    )
    row = measure(line, quick=True)
    assert 1.3 < row.ratio("numpy") < 3
    assert len(row.rounds["loom"]) == len(row.rounds["numpy"]) >= 7


@pytest.mark.parametrize("line", cpu.lines(), ids=lambda line: line.name)
def test_every_line_names_ours_and_known_peers(line):
    known = {"numpy", "torch", "jax"}
    assert set(line.bars) | set(line.overhead) <= known
    assert [other.name for other in cpu.lines()].count(line.name) == 1


def test_peak_memory_is_that_of_the_call(monkeypatch):
    big = Line("big", lambda: {"loom": lambda: np.ones(4_000_000).sum()})
    monkeypatch.setattr(cpu, "lines", lambda: [big])
    assert 24e6 < memory._peak("big", "loom", 1) < 64e6
    text = memory.table([{"line": "big", "bytes": {"loom": 32e6}, "missed": []}])
    assert "32.0" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(23.6e-6, "23.6 us"), (5.61e-3, "5.61 ms"), (1.2, "1.2 s")]
)
def test_durations_have_a_fitting_unit(seconds, text):
    assert duration(seconds) == text


def test_columns_are_aligned():
    assert columns([["a", "b", ""], ["long", "1", "x"]]) == (
        "a     b\n----------\nlong  1  x"
    )


def test_unknown_questions_are_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["colour"])
    assert "invalid choice: 'colour'" in capsys.readouterr().err
