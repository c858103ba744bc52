// Ours: Python in Pyodide, called for n passes at a time as Python code would.
const PYTHON = `
import numpy as np
import loom
from loom import linalg
from loom.training import TrainingConfig
from loom.training.loop import Trainer

data = {}


def take(name, shape, values):
    data[name] = np.array(values.to_py(), np.float32).reshape(tuple(shape.to_py()))


def network(*layers, shape):
    return loom.Network.stack(*layers, input_shape=shape, seed=1)


def set_all(layer, **arrays):
    for name, value in arrays.items():
        layer.set_parameter(name, value.copy())
    return layer


def mlp():
    first, second = loom.Dense(784, 392, "relu"), loom.Dense(392, 10, "sigmoid")
    set_all(first, weight=data["w1"], bias=data["b1"])
    set_all(second, weight=data["w2"], bias=data["b2"])
    return network(first, second, shape=(784,))


def conv():
    layer = loom.Conv2D(64, 64, 3, 3, 1, 1, 16, "relu")
    return network(set_all(layer, weight=data["cw"], bias=data["cb"]), shape=(3, 64, 64))


def attention():
    layer = loom.MultiHeadAttention(512, 8, 256)
    qkv = np.concatenate([data[n] for n in ("aq", "ak", "av")], axis=1)
    set_all(layer, qkv_weight=qkv, qkv_bias=data["abqkv"])
    set_all(layer, output_weight=data["ao"], output_bias=data["abo"])
    return network(layer, shape=(256, 512))


def lstm():
    layer = loom.LSTM(64, 128, 50)
    arrays = {"weight_ih": data["lw"], "weight_hh": data["lu"], "bias": data["lb"]}
    return network(set_all(layer, **arrays), shape=(50, 64))


def forward(net, x):
    x = data[x]

    def run(n):
        for _ in range(n):
            y = net.forward(x)
        return [y]

    return run


def both(net, x, g):
    x, g = data[x], data[g]

    def run(n):
        for _ in range(n):
            y = net.forward(x, training=True)
            dx = net.backward(g)
        return [y, dx]

    return run


def train():
    net = mlp()
    config = TrainingConfig(
        epochs=10**9, learning_rate=1e-3, loss_type="mse", verbose=False
    )
    steps = Trainer(net, [(data["x64"], data["t64"])] * 1000, config).run()

    def run(n):
        while n:
            n -= next(steps).kind == "batch"
        return [net.layers[1].parameters["bias"]]

    return run


def matmul():
    a, b = data["ma"], data["mb"]

    def run(n):
        for _ in range(n):
            y = linalg.matmul(a, b)
        return [y]

    return run


LINES = {
    "matmul 512": matmul,
    "MLP forward, batch 1": lambda: forward(mlp(), "x1"),
    "MLP forward, batch 64": lambda: forward(mlp(), "x64"),
    "MLP training step, batch 64": train,
    "Conv2D forward": lambda: forward(conv(), "cx"),
    "Conv2D forward + backward": lambda: both(conv(), "cx", "cg"),
    "attention forward": lambda: forward(attention(), "ax"),
    "attention forward + backward": lambda: both(attention(), "ax", "ag"),
    "LSTM forward": lambda: forward(lstm(), "lx"),
    "LSTM forward + backward": lambda: both(lstm(), "lx", "lg"),
}
`;

let python;
export const lines = {};

export async function start(data) {
  const runtime = new URL("/runtime/", location).href;
  const { loadPyodide } = await import(`${runtime}pyodide.mjs`);
  const env = { HOME: "/home/loom" };
  const kernels = new URLSearchParams(location.search).get("kernels");
  if (kernels) env.LOOM_KERNELS = kernels;
  python = await loadPyodide({ indexURL: runtime, packages: ["loom-nn"], env });
  python.runPython(PYTHON);
  const take = python.globals.get("take");
  for (const [name, { shape, values }] of Object.entries(data)) take(name, shape, values);
  for (const line of python.globals.get("LINES").keys()) lines[line] = () => prepare(line);
}

function prepare(line) {
  const run = python.globals.get("LINES").get(line)();
  return (n) => {
    const result = run(n);
    const arrays = result.toJs({ depth: 1 });
    const values = arrays.map((array) => {
      const buffer = array.getBuffer("f32");
      const copy = buffer.data.slice();
      buffer.release();
      array.destroy();
      return copy;
    });
    result.destroy();
    return values;
  };
}
