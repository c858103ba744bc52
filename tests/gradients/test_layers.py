"""Every gradient of every layer against central differences in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom.layers import Run
from tests.cases import CASES, fill
from tests.compare import assert_close
from tests.gradients.differences import central


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.layer.__name__)
@given(data=st.data())
def test_gradients(case, data):
    layer, shape = case.draw(data.draw)
    batch = data.draw(st.integers(1, 3), label="batch")
    seed = data.draw(st.integers(0, 9999), label="seed")
    training = data.draw(st.sampled_from(case.modes), label="training")
    run = Run(training, seed=seed, step=3)
    rng = np.random.default_rng(seed)
    fill(layer, rng)
    assert layer.input_shape(shape) == shape
    x = case.values(rng, (batch, *shape), layer)
    sources = [rng.standard_normal(x.shape) for _ in layer.sources()]
    kept = x.copy(), [source.copy() for source in sources]

    y, cache = layer.forward(x, run, *sources)
    what = f"{layer!r} training={training} seed={seed} x {x.shape}"
    assert y.dtype == np.float64, f"{what}: forward left float64"
    assert y.shape == (batch, *layer.output_shape(shape)), f"{what}: y {y.shape}"
    r = rng.standard_normal(y.shape)
    r_kept = r.copy()
    dx, gradients = layer.backward(r, cache)
    assert (x == kept[0]).all(), f"{what}: x was changed"
    assert (r == r_kept).all(), f"{what}: dy was changed"

    def loss() -> float:
        return float((layer.forward(x, run, *sources)[0] * r).sum())

    def check(name, array, gradient):
        assert gradient.shape == array.shape, f"{what}: d{name} is {gradient.shape}"
        at, expected = central(loss, array, rng)
        actual = gradient.reshape(-1)[at]
        assert_close(actual, expected, "difference", f"{what}: d{name}", "float64")

    dxs = dx if sources else (dx,)
    if case.differentiable:
        for name, array, gradient in zip(
            ["x", *layer.sources()], [x, *sources], dxs, strict=True
        ):
            check(name, array, gradient)
    assert set(gradients) == set(layer.parameters)
    for name, array in layer.parameters.items():
        check(name, array, gradients[name])

    _, again = layer.backward(r, layer.forward(x, run, *sources)[1], need_dx=False)
    for name, gradient in gradients.items():
        assert (again[name] == gradient).all(), f"{what}: d{name} depends on need_dx"
