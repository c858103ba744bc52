"""One layer on the GPU beside the CPU core: values and every gradient."""

from dataclasses import replace

import numpy as np
import pytest

from loom.gpu.builder import Builder
from loom.gpu.kernels import move
from loom.gpu.kernels.optimize import step_block
from loom.gpu.native import Store
from loom.layers import Run
from loom.layers.norm import Norm
from tests.cases import fill
from tests.compare import assert_close

SEED, STEP = 7, 3
# The adapter of the tests is most often a processor, which has kernels of its own: what
# a real GPU would choose is tested on it too.
KINDS = {
    "processor": {"software": True},
    "processor without subgroups": {"software": True, "subgroups": False},
    "GPU": {"software": False},
}
by_kind = pytest.mark.parametrize("kind", KINDS)


def limits_of(device, kind: str):
    """The device's, were it of that kind."""
    return replace(device.limits, **KINDS[kind])


def compare(
    device,
    case,
    layer,
    shape,
    batch,
    training=False,
    seed=0,
    kinds=None,
    stored="f32",
    limits=None,
):
    """Fail unless the layer gives on the device what it gives on the CPU.

    kinds: the kind of tolerance of values and of gradients. stored: "f16" for halves;
    the CPU then has inputs and weights that halves can hold. limits: those that kernels
    are chosen by, if not the device's.
    """
    value_kind, gradient_kind = kinds or ("forward", "gradient")
    rng = np.random.default_rng(seed)
    fill(layer, rng, np.float32)
    shape = layer.input_shape(shape)
    round_to = np.float16 if stored == "f16" else np.float32
    for name, value in layer.parameters.items():
        layer.parameters[name] = value.astype(round_to).astype(np.float32)
    x = case.values(rng, (batch, *shape), layer).astype(round_to).astype(np.float32)
    sources = [
        rng.standard_normal(x.shape).astype(round_to).astype(np.float32)
        for _ in layer.sources()
    ]
    run = Run(training, SEED, STEP)
    before = {name: value.copy() for name, value in layer.state.items()}
    y, cache = layer.forward(x, run, *sources)
    dy = rng.standard_normal(y.shape).astype(round_to).astype(np.float32)
    dx, gradients = layer.backward(dy, cache)
    dxs = dx if sources else (dx,)
    after, layer.state = dict(layer.state), before

    limits = limits or device.limits
    actual = on_device(device, layer, training, x, sources, dy, stored, limits)
    what = f"{layer!r} x {x.shape} {stored} training={training} seed={seed}"
    assert_close(actual["y"], y, value_kind, f"{what}: y")
    # A norm takes dy's mean and more from dy: of two values next to nothing is left.
    least = float(np.abs(dy).max()) if isinstance(layer, Norm) else 1e-3
    if case.differentiable:
        for k, expected in enumerate(dxs):
            name = f"dx{k}"
            assert_close(
                actual[name], expected, gradient_kind, f"{what}: {name}", least=least
            )
    # A parameter's gradient sums terms of dy's size, which may cancel: what is left
    # is no scale for their rounding. A tenth of dy allows 1e-6 dy, some 16 roundings.
    least = max(0.1 * float(np.abs(dy).max()), 1e-3)
    for name, expected in gradients.items():
        assert_close(
            actual[f"d {name}"],
            expected,
            gradient_kind,
            f"{what}: d{name}",
            least=least,
        )
    for name, expected in after.items():
        assert_close(actual[f"state {name}"], expected, value_kind, f"{what}: {name}")


def program_of(layer, training, shape, sources, dy_shape, limits=None, stored="f32"):
    """Both passes of one layer as a program; needs no device."""
    b = Builder([layer], limits, training=training, keep=True, stored=stored)
    b.where = type(layer).__name__
    x = b.input("x", shape)
    extra = [b.input(f"source{k}", shape) for k in range(sources)]
    if not layer.float_input:
        x = move.cast(b, x, stored)
    extra = [move.cast(b, t, stored) for t in extra]
    y, cache = layer.lower_forward(b, x, *extra)
    assert y.shape == dy_shape, f"{layer!r}: lowered to {y.shape}, not {dy_shape}"
    assert y.dtype == stored or y is x
    b.output("y", _own(b, y))
    b.part = "backward"
    dy = move.cast(b, b.input("dy", dy_shape), stored)
    dx = layer.lower_backward(b, dy, cache)
    for k, t in enumerate(dx if sources else (dx,)):
        b.output(f"dx{k}", _own(b, t))
    return b


def on_device(device, layer, training, x, sources, dy, stored, limits):
    """y, the gradients and the state as the device gives them, by name."""
    b = program_of(layer, training, x.shape, len(sources), dy.shape, limits, stored)
    program, layout = b.finish(), b.layout
    store = Store(device)
    loaded = device.load(program, store)
    try:
        weights = "half" if stored == "f16" else "weight"
        for places, arrays, role in (
            (layout.weights, layer.parameters, weights),
            (layout.states, layer.state, "state"),
        ):
            for (_, name), place in places.items():
                buffer = store.buffers.get(f"{role}.{place.arena}")
                if buffer is not None:
                    half = role == "half"
                    array = arrays[name].astype(np.float16 if half else np.float32)
                    at = place.offset * array.itemsize
                    device.write(buffer, at, array)
        loaded.write("x", x)
        loaded.write("dy", dy)
        for k, values in enumerate(sources):
            loaded.write(f"source{k}", values)
        loaded.write_step(step_block(SEED, STEP, 0.0, 0))
        names = tuple(program.outputs)
        values = loaded.run(["forward", "backward"], names)
        out = dict(zip(names, values, strict=True))
        halves = stored == "f16" and training
        for places, label, role, dtype in (
            (layout.weights, "d", "gradient", np.float32),
            (layout.weights, "d", "gradient.half", np.float16),
            (layout.states, "state", "state", np.float32),
        ):
            for (_, name), place in places.items():
                buffer = store.buffers.get(f"{role}.{place.arena}")
                if buffer is None:
                    continue
                assert role != ("gradient" if halves else "gradient.half")
                item = np.dtype(dtype).itemsize
                size = int(np.prod(place.shape)) * item
                data = device.read(buffer, place.offset * item, size).view(dtype)
                out[f"{label} {name}"] = data.astype(np.float32).reshape(place.shape)
        return out
    finally:
        loaded.close()
        store.close()


def _own(b, t):
    return move.copy(b, t) if t.buffer.role == "input" else t
