"""Attention in each of its ways, and how much memory it takes."""

from itertools import pairwise

import pytest

from loom import MultiHeadAttention
from loom.gpu.builder import Builder
from loom.gpu.kernels import attention as kernels
from loom.gpu.program import Limits
from tests.cases import BY_LAYER
from tests.gpu.harness import compare

CASE = BY_LAYER[MultiHeadAttention]
LAYERS = [  # d_model, heads, T, batch: heads of 3, 8 and 64 features
    (6, 2, 5, 2),
    (24, 3, 150, 2),
    (64, 1, 129, 1),
]


@pytest.mark.parametrize(("d", "heads", "t", "batch"), LAYERS)
@pytest.mark.parametrize("causal", [False, True])
def test_without_scores(device, monkeypatch, d, heads, t, batch, causal):
    monkeypatch.setattr(kernels, "LONGEST", 0)
    layer = MultiHeadAttention(d, heads, causal=causal)
    compare(device, CASE, layer, (t, d), batch)


@pytest.mark.parametrize("causal", [False, True])
def test_a_few_queries_at_a_time(device, monkeypatch, causal):
    """Heads too wide for the kernel without scores; samples are cut up, too."""
    for name, value in {"LONGEST": 32, "WIDEST": 0, "FEW": 32}.items():
        monkeypatch.setattr(kernels, name, value)
    monkeypatch.setattr(kernels, "CACHE", 3 * 70 * 4 * 32)
    layer = MultiHeadAttention(24, 3, causal=causal)
    compare(device, CASE, layer, (70, 24), 2)


def transient(d: int, t: int) -> int:
    """Bytes that both passes share on the device."""
    layer = MultiHeadAttention(d, 8, causal=True)
    layer.initialize(0)
    b = Builder([layer], Limits(binding=1 << 30, buffer=1 << 30), keep=True)
    y, cache = layer.lower_forward(b, b.input("x", (1, t, d)))
    b.part = "backward"
    b.output("dx", layer.lower_backward(b, b.input("dy", y.shape), cache))
    return b.finish().nbytes("transient")


@pytest.mark.parametrize("d", [512, 1024])
def test_memory_is_linear_in_time(d):
    """Of heads of 64 features, and of 128: at most 1,024 queries' scores at a time."""
    sizes = [transient(d, t) for t in (2048, 4096, 8192, 16384)]
    for small, large in pairwise(sizes):
        assert large <= 2.1 * small
    assert sizes[-1] < 16384 * 16384 * 4
