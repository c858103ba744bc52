"""One layer in three places: what a page is given, and what it must give back."""

import numpy as np

import loom
from loom.layers.base import Layer
from tests.cases import fill
from tests.compare import assert_close
from tests.parity import record

CASES = [
    row
    for row in record.examples()
    if not row[3] and row[1].layer.lower_forward is not Layer.lower_forward
]
# In a page: matrices of values, and the greatest distance of two.
VALUES = """
    const values = (rows, k, columns = 6) => {
      const wave = (_, i) => Math.sin(i * i + k);
      const x = Float32Array.from({ length: rows * columns }, wave);
      x.shape = [rows, columns];
      return x;
    };
    const apart = (a, b) => {
      if (a.length !== b.length || `${a.shape}` !== `${b.shape}`) return Infinity;
      return a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i])), 0);
    };
"""
# The body of an async function of `argument`, in a page that has `loom`.
BOTH = """
    const { text, dtype } = argument;
    const pack = ({ values, shape }) => {
      const flat = Float32Array.from(values);
      flat.shape = shape;
      return flat;
    };
    const x = pack(argument.x), dy = pack(argument.dy);
    const network = await loom.LoadModelFromString(text, "m");
    const all = (lists) => lists.flatMap((list) => [...list]);
    const run = async (kind) => {
      const [y] = await network[`Forward${kind}`](x);
      const [dx] = await network[`Backward${kind}`](dy);
      const kernel = await network.call("KernelGradients");
      const bias = await network.call("BiasGradients");
      return { y: [...y], dx: [...dx], kernel: all(kernel), bias: all(bias) };
    };
    try {
      return { cpu: await run("CPU"), gpu: await run("GPU") };
    } finally {
      await network.ReleaseGPU();
      network.free();
    }
"""


def prepared(name, case, make) -> tuple[dict, dict[str, np.ndarray]]:
    """(`argument` of BOTH, what the CPU gives natively)."""
    layer, shape = make()
    rng = np.random.default_rng(record.seed_of(name))
    fill(layer, rng, np.float32)
    layers = [loom.Elementwise("tanh"), layer] if layer.sources() else [layer]
    net = loom.Network.from_layers(layers, shape, seed=1)
    x = case.values(rng, (case.batch, *shape), layer).astype(np.float32)
    y = net.forward_cpu(x)[0]
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx = net.backward_cpu(dy)[0]
    native = {
        "y": y,
        "dx": dx,
        "kernel": np.concatenate(net.kernel_gradients()),
        "bias": np.concatenate(net.bias_gradients()),
    }
    sent = {"text": net.save_model_to_string("m"), "x": _sent(x), "dy": _sent(dy)}
    return sent, native


def agree(found: dict, native: dict[str, np.ndarray], name: str, case) -> None:
    """The page's CPU and GPU gave what the CPU gives natively."""
    for place in ("cpu", "gpu"):
        for what, expected in native.items():
            if what == "dx" and not case.differentiable:
                continue
            actual = np.float32(found[place][what]).reshape(expected.shape)
            kind = "forward" if what == "y" else "gradient"
            assert_close(
                actual, expected, kind, f"{name}: {what} on the page's {place}"
            )


def _sent(array: np.ndarray) -> dict:
    return {"values": array.ravel().tolist(), "shape": list(array.shape)}
