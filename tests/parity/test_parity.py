"""Values, gradients and ten training steps against PyTorch, in float32."""

from functools import lru_cache

import numpy as np
import pytest

from loom.activations import ACTIVATIONS
from loom.network import Network
from tests.compare import assert_close
from tests.parity import record

EXAMPLES = list(record.examples())
each_example = pytest.mark.parametrize(
    ("name", "case", "make", "training"), EXAMPLES, ids=[row[0] for row in EXAMPLES]
)


@lru_cache(maxsize=4)
def fixture(name: str) -> dict[str, np.ndarray]:
    path = record.FIXTURES / f"{name}.npz"
    assert path.exists(), (
        f"{path.name} is missing. Run: python -m tests.parity.generate {name}"
    )
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def prepared(name, make):
    layer, _ = make()
    layer.initialize(0)
    arrays = fixture(name)
    record.load_weights(layer, arrays)
    return layer, arrays


@each_example
def test_values_and_gradients(name, case, make, training):
    layer, arrays = prepared(name, make)
    sources = [arrays[f"in/source{i}"] for i, _ in enumerate(layer.sources())]
    y, cache = layer.forward(arrays["in/x"], record.run_of(name, training), *sources)
    what = f"{layer!r} {name}"
    assert y.dtype == np.float32
    assert_close(y, arrays["out/y"], "forward", f"{what} y")
    dx, gradients = layer.backward(arrays["in/dy"], cache)
    if sources:
        dx, *rest = dx
        for i, gradient in enumerate(rest):
            expected = arrays[f"out/dsource{i}"]
            assert_close(gradient, expected, "gradient", f"{what} dsource{i}")
    if case.differentiable:
        assert dx.dtype == np.float32
        assert_close(dx, arrays["out/dx"], "gradient", f"{what} dx")
    assert set(gradients) == set(layer.parameters)
    for key, gradient in gradients.items():
        assert gradient.dtype == np.float32
        expected = arrays[f"out/dw/{key}"]
        assert_close(gradient, expected, "gradient", f"{what} d{key}")


@each_example
def test_training_trace(name, case, make, training):
    layer, arrays = prepared(name, make)
    x, target = arrays["in/x"], arrays["in/target"]
    sources = [arrays[f"in/source{i}"] for i, _ in enumerate(layer.sources())]
    dense = None if layer.parameters else record.front(arrays)
    losses = []
    for step in range(record.STEPS):
        run = record.run_of(name, training, step)
        if dense:
            x, dense_cache = dense.forward(arrays["in/features"])
            x = x.reshape(arrays["in/x"].shape)
        y, cache = layer.forward(x, run, *sources)
        difference = y - target
        losses.append(np.mean(difference.astype(np.float64) ** 2))
        dx, gradients = layer.backward(
            difference * np.float32(2 / difference.size), cache, need_dx=bool(dense)
        )
        if dense:
            dx = dx[0] if sources else dx
            _, gradients = dense.backward(dx.reshape(len(dx), -1), dense_cache, False)
        for key, gradient in gradients.items():
            (dense or layer).parameters[key] -= record.RATE * gradient
    what = f"{layer!r} {name}"
    assert_close(losses, arrays["out/losses"], "trace", f"{what} losses")
    left = dense.parameters if dense else layer.parameters | layer.state
    for key, value in left.items():
        assert_close(value, arrays[f"out/after/{key}"], "trace", f"{what} {key} after")


@pytest.mark.parametrize("row", ACTIVATIONS, ids=lambda row: row.name)
def test_activation(row):
    arrays = fixture(f"activation-row-{row.name}")
    x, dy = arrays["in/x"], arrays["in/dy"]
    y = row(x)
    dx = row.backward(dy, *((None, y) if row.needs == "y" else (x, None)))
    assert_close(y, arrays["out/y"], "forward", f"{row.name} y")
    assert_close(dx, arrays["out/dx"], "gradient", f"{row.name} dx")


def test_the_network_runs_the_same_numbers():
    """A grid of one layer gives what the layer gives."""
    name, _, make, _ = next(e for e in EXAMPLES if e[0] == "dense-tanh")
    layer, arrays = prepared(name, make)
    net = Network.stack(layer, seed=1)
    y, _ = net.forward_cpu(arrays["in/x"])
    dx, _ = net.backward_cpu(arrays["in/dy"])
    assert_close(y, arrays["out/y"], "forward", f"Network of {name} y")
    assert_close(dx, arrays["out/dx"], "gradient", f"Network of {name} dx")
