"""What a parity fixture holds, and how both sides run it.

A fixture is one example of one case: inputs, parameters and state (`in/...`), and what
PyTorch made of them in float64 (`out/...`). The training trace is a network: the layer
behind a dense layer where it has no parameters of its own, ten steps of plain gradient
descent on mse against a fixed target.
"""

import zlib
from math import prod
from pathlib import Path

import numpy as np

from loom.layers import Dense, Layer, Run
from tests.cases import CASES, fill

FIXTURES = Path(__file__).parent / "fixtures"
STEPS = 10
RATE = 0.05
FEATURES = 5  # what the trace's dense layer takes


def examples():
    """(fixture name, case, make, training) of every example of every case."""
    for case in CASES:
        for name, make in case.examples.items():
            for training in case.modes:
                mode = "-train" if training else ""
                yield f"{case.layer.kind}-{name}{mode}", case, make, training


def seed_of(name: str) -> int:
    """A number that stays with the fixture's name."""
    return zlib.crc32(name.encode())


def inputs(name: str, case, make) -> tuple[Layer, dict[str, np.ndarray]]:
    """The layer and the arrays that enter: x, sources, weights, dy, and the trace's."""
    layer, shape = make()
    rng = np.random.default_rng(seed_of(name))
    fill(layer, rng, np.float32)
    size = (case.batch, *shape)
    out = (case.batch, *layer.output_shape(shape))
    arrays = {
        "x": case.values(rng, size, layer),
        "dy": rng.standard_normal(out),
        "target": rng.standard_normal(out),
    }
    for i, _ in enumerate(layer.sources()):
        arrays[f"source{i}"] = rng.standard_normal(size)
    arrays |= {f"w/{k}": v for k, v in (layer.parameters | layer.state).items()}
    if not layer.parameters:
        arrays["features"] = rng.standard_normal((case.batch, FEATURES))
        width = prod(shape)
        arrays["dense/weight"] = rng.standard_normal((FEATURES, width)) / FEATURES**0.5
        arrays["dense/bias"] = rng.standard_normal(width) * 0.1
    return layer, {k: v.astype(np.float32) for k, v in arrays.items()}


def load_weights(layer: Layer, arrays: dict[str, np.ndarray]) -> None:
    """Put the fixture's parameters and state into the layer."""
    for held in (layer.parameters, layer.state):
        for name in held:
            held[name] = arrays[f"in/w/{name}"].copy()


def front(arrays: dict[str, np.ndarray]) -> Dense:
    """The trace's dense layer."""
    weight, bias = arrays["in/dense/weight"], arrays["in/dense/bias"]
    layer = Dense(*weight.shape, "linear")
    layer.set_parameter("weight", weight)
    layer.set_parameter("bias", bias)
    return layer


def run_of(name: str, training: bool, step: int = 0) -> Run:
    """The random stream of one pass."""
    return Run(training, seed=seed_of(name), step=step)
