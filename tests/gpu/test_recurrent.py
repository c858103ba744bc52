"""Recurrences in each of their ways: weights in registers, streamed, step by step."""

import pytest

from loom import GRU, LSTM, RNN
from loom.gpu.kernels import recurrent as kernels
from loom.gpu.program import Limits
from tests.cases import BY_LAYER
from tests.gpu.harness import compare, limits_of

KINDS = [RNN, LSTM, GRU]
PLANS = {
    "registers": lambda *_: kernels.Plan(256, 4, True),
    "streamed": lambda *_: kernels.Plan(256, 4, False),
    "steps": lambda *_: None,
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("way", PLANS)
@pytest.mark.parametrize(
    ("c", "h", "t", "batch", "every"), [(3, 1, 1, 2, True), (5, 33, 6, 3, False)]
)
def test_every_way(device, monkeypatch, kind, way, c, h, t, batch, every):
    monkeypatch.setattr(kernels, "_plan", PLANS[way])
    layer = kind(c, h, return_sequences=every)
    limits = limits_of(device, "GPU")
    compare(device, BY_LAYER[kind], layer, (t, c), batch, limits=limits)


def test_what_fits_stays_on_the_multiprocessor():
    large, browser = Limits(shared=49152, invocations=1024), Limits()
    assert kernels._plan(browser, 128, 128) == kernels.Plan(256, 2, True)
    assert kernels._plan(large, 512, 128).held
    assert not kernels._plan(browser, 512, 128).held
    assert kernels._plan(large, 4096, 1024) is None
