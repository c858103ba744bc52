"""Every layer on the device beside the CPU core: values, gradients, sizes, training."""

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import loom
from loom.layers import LAYERS
from loom.layers.base import Layer
from loom.training import TrainingConfig
from tests.cases import BY_LAYER, CASES
from tests.compare import assert_close
from tests.gpu.harness import compare, limits_of, program_of
from tests.gpu.sizes import SIZES
from tests.parity import record


def lowers(row) -> bool:
    return row.lower_forward is not Layer.lower_forward


READY = [case for case in CASES if lowers(case.layer)]
EXAMPLES = [row for row in record.examples() if lowers(row[1].layer)]
EDGES = [
    pytest.param(BY_LAYER[kind], *row, id=f"{kind.__name__}-{number}")
    for kind, rows in SIZES.items()
    if lowers(kind)
    for number, row in enumerate(rows)
]


def test_every_layer_lowers():
    missing = [row.__name__ for row in LAYERS if not lowers(row)]
    assert not missing, f"no lowering of {missing}"


def test_every_layer_has_sizes():
    missing = [row.__name__ for row in LAYERS if lowers(row) and row not in SIZES]
    assert not missing, f"no sizes in tests/gpu/sizes.py for {missing}"


@pytest.mark.parametrize("kind", ["processor", "GPU"])
@pytest.mark.parametrize(
    ("name", "case", "make", "training"), EXAMPLES, ids=[row[0] for row in EXAMPLES]
)
def test_examples(device, name, case, make, training, kind):
    layer, shape = make()
    limits = limits_of(device, kind)
    compare(device, case, layer, shape, case.batch, training, limits=limits)


@pytest.mark.parametrize("case", READY, ids=lambda case: case.layer.__name__)
@settings(max_examples=12)
@given(data=st.data())
def test_drawn(device, case, data):
    layer, shape = case.draw(data.draw)
    batch = data.draw(st.integers(1, 5), label="batch")
    seed = data.draw(st.integers(0, 9999), label="seed")
    training = data.draw(st.sampled_from(case.modes), label="training")
    compare(device, case, layer, shape, batch, training, seed)


@pytest.mark.parametrize("kind", ["processor", "GPU"])
@pytest.mark.parametrize(("case", "layer", "shape", "batch"), EDGES)
def test_sizes(device, case, layer, shape, batch, kind):
    long = batch * prod(shape) > 10_000
    chosen = {"kinds": ("long", "long") if long else None}
    chosen["limits"] = limits_of(device, kind)
    compare(device, case, layer, shape, batch, case.modes[-1], **chosen)


@pytest.mark.parametrize("number", range(len(SIZES[loom.Conv2D])))
def test_processors_without_subgroups(device, number):
    """Threads that tell each other nothing read everything themselves."""
    limits = limits_of(device, "processor without subgroups")
    layer, shape, batch = SIZES[loom.Conv2D][number]
    compare(device, BY_LAYER[loom.Conv2D], layer, shape, batch, limits=limits)
    for kind in (loom.RNN, loom.LSTM, loom.GRU):
        layer, shape, batch = SIZES[kind][number % len(SIZES[kind])]
        compare(device, BY_LAYER[kind], layer, shape, batch, limits=limits)


@pytest.mark.parametrize(
    ("name", "case", "make", "training"), EXAMPLES, ids=[row[0] for row in EXAMPLES]
)
def test_halves(device, name, case, make, training):
    if not device.limits.f16:
        pytest.skip("this GPU has no shader-f16")
    layer, shape = make()
    kinds = ("half", "half")
    compare(device, case, layer, shape, case.batch, training, kinds=kinds, stored="f16")


@pytest.mark.parametrize("case", READY, ids=lambda case: case.layer.__name__)
def test_a_program_needs_no_device(case):
    layer, shape = next(iter(case.examples.values()))()
    layer.initialize(0)
    out = (2, *layer.output_shape(shape))
    sources = len(layer.sources())
    program = program_of(layer, True, (2, *shape), sources, out).finish()
    assert program.to_dict()["shaders"] or not program.dispatches


@pytest.mark.parametrize("case", READY, ids=lambda case: case.layer.__name__)
def test_ten_training_steps(device, case):
    """The same losses and weights as on the CPU, in training mode."""
    for name, make in case.examples.items():
        layer, shape = make()
        layer.initialize(3)
        cpu, gpu = (network_around(case, layer, shape) for _ in range(2))
        rng = np.random.default_rng(5)
        x = rng.standard_normal((4, cpu.input_size)).astype(np.float32)
        if not case.differentiable:
            x = case.values(rng, (4, *shape), layer).astype(np.float32)
        t = rng.standard_normal((4, cpu.output_size())).astype(np.float32)
        settings = {"epochs": 10, "learning_rate": 0.02, "shuffle": False}
        expected = cpu.train([(x, t)], TrainingConfig(**settings))
        actual = gpu.train([(x, t)], TrainingConfig(use_gpu=True, **settings))
        what = f"{layer!r} {name}"
        assert_close(
            actual.loss_history, expected.loss_history, "trace", f"{what} losses"
        )
        for index, (a, b) in enumerate(zip(gpu.layers, cpu.layers, strict=True)):
            for key, value in (b.parameters | b.state).items():
                got = (a.parameters | a.state)[key]
                assert_close(got, value, "trace", f"{what}: layer {index} {key}")
        gpu.release_gpu()


def network_around(case, layer, shape):
    """A network with weights to train before and after the layer."""
    if not case.differentiable:
        return loom.Network.stack(layer, input_shape=shape, seed=4)
    size = prod(shape)
    before = [loom.Dense(6, size, "tanh"), loom.layers.Reshape(shape)]
    if layer.sources():
        layer = type(layer)((0, 0, 1))
        before.append(loom.Elementwise("sigmoid"))
    return loom.Network.stack(*before, layer, seed=4)
