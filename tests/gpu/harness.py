"""One layer on the GPU beside the CPU core: values and every gradient."""

import numpy as np

from loom.gpu.builder import Builder
from loom.gpu.kernels import move
from loom.gpu.kernels.optimize import step_block
from loom.gpu.native import Store
from loom.layers import Run
from tests.cases import fill
from tests.compare import assert_close

SEED, STEP = 7, 3


def compare(device, case, layer, shape, batch, training=False, seed=0, kinds=None):
    """Fail unless the layer gives on the device what it gives on the CPU.

    kinds: the kind of tolerance of values and of gradients.
    """
    value_kind, gradient_kind = kinds or ("forward", "gradient")
    rng = np.random.default_rng(seed)
    fill(layer, rng, np.float32)
    shape = layer.input_shape(shape)
    x = case.values(rng, (batch, *shape), layer).astype(np.float32)
    sources = [rng.standard_normal(x.shape).astype(np.float32) for _ in layer.sources()]
    run = Run(training, SEED, STEP)
    before = {name: value.copy() for name, value in layer.state.items()}
    y, cache = layer.forward(x, run, *sources)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx, gradients = layer.backward(dy, cache)
    dxs = dx if sources else (dx,)
    after, layer.state = dict(layer.state), before

    actual = on_device(device, layer, training, x, sources, dy)
    what = f"{layer!r} x {x.shape} training={training} seed={seed}"
    assert_close(actual["y"], y, value_kind, f"{what}: y")
    if case.differentiable:
        for k, expected in enumerate(dxs):
            assert_close(actual[f"dx{k}"], expected, gradient_kind, f"{what}: dx{k}")
    for name, expected in gradients.items():
        assert_close(actual[f"d {name}"], expected, gradient_kind, f"{what}: d{name}")
    for name, expected in after.items():
        assert_close(actual[f"state {name}"], expected, value_kind, f"{what}: {name}")


def program_of(layer, training, shape, sources, dy_shape, limits=None):
    """Both passes of one layer as a program; needs no device."""
    b = Builder([layer], limits, training=training, keep=True)
    b.where = type(layer).__name__
    x = b.input("x", shape)
    extra = [b.input(f"source{k}", shape) for k in range(sources)]
    y, cache = layer.lower_forward(b, x, *extra)
    assert y.shape == dy_shape, f"{layer!r}: lowered to {y.shape}, not {dy_shape}"
    b.output("y", _own(b, y))
    b.part = "backward"
    dy = b.input("dy", dy_shape)
    dx = layer.lower_backward(b, dy, cache)
    for k, t in enumerate(dx if sources else (dx,)):
        b.output(f"dx{k}", _own(b, t))
    return b


def on_device(device, layer, training, x, sources, dy):
    """y, the gradients and the state as the device gives them, by name."""
    b = program_of(layer, training, x.shape, len(sources), dy.shape, device.limits)
    program, layout = b.finish(), b.layout
    store = Store(device)
    loaded = device.load(program, store)
    try:
        for places, arrays, role in (
            (layout.weights, layer.parameters, "weight"),
            (layout.states, layer.state, "state"),
        ):
            for (_, name), place in places.items():
                buffer = store.buffers.get(f"{role}.{place.arena}")
                if buffer is not None:
                    device.write(buffer, place.offset * 4, arrays[name])
        loaded.write("x", x)
        loaded.write("dy", dy)
        for k, values in enumerate(sources):
            loaded.write(f"source{k}", values)
        loaded.write_step(step_block(SEED, STEP, 0.0, 0))
        names = tuple(program.outputs)
        values = loaded.run(["forward", "backward"], names)
        out = dict(zip(names, values, strict=True))
        for places, label in ((layout.weights, "gradient"), (layout.states, "state")):
            for (_, name), place in places.items():
                buffer = store.buffers.get(f"{label}.{place.arena}")
                if buffer is None:
                    continue
                size = int(np.prod(place.shape)) * 4
                data = device.read(buffer, place.offset * 4, size).view(np.float32)
                key = f"{'d' if label == 'gradient' else 'state'} {name}"
                out[key] = data.reshape(place.shape)
        return out
    finally:
        loaded.close()
        store.close()


def _own(b, t):
    return move.copy(b, t) if t.buffer.role == "input" else t
