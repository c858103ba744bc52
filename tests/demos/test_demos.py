"""Every demo of the menu verifies all that it claims, in under twenty seconds."""

import pytest

from loom.fabric.demos import DEMOS, play

SECONDS = 20
# Processor time, so that what else runs on the machine does not count.


@pytest.mark.parametrize("row", DEMOS, ids=lambda row: f"{row.number}-{row.name}")
def test_demo(row, tmp_path, monkeypatch):
    from time import process_time

    monkeypatch.chdir(tmp_path)
    start = process_time()
    result = play(row, quiet=True)
    seconds = process_time() - start
    failed = [check["claim"] for check in result["checks"] if not check["passed"]]
    assert result["passed"], failed
    assert seconds < 2 * SECONDS, f"{seconds:.0f} s of processor time on two cores"
