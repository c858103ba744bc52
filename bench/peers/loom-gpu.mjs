// Ours on WebGPU, through the JavaScript API: arrays on the GPU in, as the peers' are (a
// training step's batch is sent each time), typed arrays out.
import { loadLoom } from "/loom.mjs";

let loom;
let d;
export const info = {};

export async function start(data) {
  loom = await loadLoom();
  d = data;
  const network = loom.NewNetwork(4, 1, 1, 1);
  await network.InitGPU();
  Object.assign(info, await network.call("GPUInfo"));
  network.free();
}

/** An array with its shape, as the API takes it. */
function array(name, shape = d[name].shape) {
  return Object.assign(d[name].values.slice(), { shape });
}

/** Part k of n along an axis of a matrix. */
function part(name, k, n, axis) {
  const { shape, values } = d[name];
  const [rows, columns] = shape.length === 2 ? shape : [1, shape[0]];
  if (axis === 0 || shape.length === 1) {
    const size = values.length / n;
    return values.slice(k * size, (k + 1) * size);
  }
  const width = columns / n;
  const out = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const from = row * columns + k * width;
    out.set(values.subarray(from, from + width), row * width);
  }
  return out;
}

function network(size, ...layers) {
  const made = loom.NewNetwork(size, 1, 1, layers.length, 1);
  layers.forEach((config, index) => made.SetLayer(0, 0, index, config));
  return made;
}

const config = (name, ...sizes) => JSON.parse(loom[name](...sizes));

function dense(weight, bias, activation) {
  const [inputs, outputs] = d[weight].shape;
  const Bias = bias ? d[bias].values : new Float32Array(outputs);
  const made = config("InitDenseLayer", inputs, outputs, activation);
  return { ...made, Kernel: d[weight].values, Bias };
}

const mlp = () => network(784, dense("w1", "b1", "relu"), dense("w2", "b2", "sigmoid"));

function conv() {
  const made = config("InitConv2DLayer", 64, 64, 3, 3, 1, 1, 16, "relu");
  return network(3 * 64 * 64, { ...made, Kernel: d.cw.values, Bias: d.cb.values });
}

function attention() {
  const made = config("InitMultiHeadAttentionLayer", 512, 8, 256, "linear");
  const weights = { QWeights: "aq", KWeights: "ak", VWeights: "av", OutputWeight: "ao" };
  for (const [field, name] of Object.entries(weights)) made[field] = d[name].values;
  ["QBias", "KBias", "VBias"].forEach((field, k) => (made[field] = part("abqkv", k, 3)));
  return network(256 * 512, { ...made, OutputBias: d.abo.values });
}

function lstm() {
  const made = config("InitLSTMLayer", 64, 128, 32, 50);
  for (const [k, gate] of ["i", "f", "g", "o"].entries()) {
    made[`WeightIH_${gate}`] = part("lw", k, 4, 0);
    made[`WeightHH_${gate}`] = part("lu", k, 4, 0);
    made[`BiasH_${gate}`] = part("lb", k, 4, 0);
  }
  return network(50 * 64, made);
}

/** Opens the GPU for a network, and sends arrays there, with its first call. */
function opener(net, ...arrays) {
  let opened;
  return () => (opened ??= Promise.all(arrays.map((values) => net.ToGPU(values))));
}

/** n forward passes, each result read back, over the one before. */
function forward(net, values) {
  const open = opener(net, values);
  net.reuse();
  return async (n) => {
    const [x] = await open();
    let y;
    for (let i = 0; i < n; i++) [y] = await net.ForwardGPU(x);
    return [y];
  };
}

/** n forward and backward passes; y and dL/dx are read back, dL/dw stay there. */
function both(net, values, gradient) {
  const open = opener(net, values, gradient);
  net.reuse();
  return async (n) => {
    const [x, g] = await open();
    let y;
    let dx;
    for (let i = 0; i < n; i++) {
      [y] = await net.ForwardGPU(x);
      [dx] = await net.BackwardGPU(g);
    }
    return [y, dx];
  };
}

/** n steps (or a few more) in one call; the bias is read at the end. */
function train() {
  const net = mlp();
  const batch = { Input: array("x64"), Target: array("t64") };
  const settings = { LearningRate: 1e-3, LossType: "mse", UseGPU: true, Shuffle: false };
  return async (n) => {
    const batches = new Array(Math.min(n, 20)).fill(batch);
    const Epochs = Math.ceil(n / batches.length);
    await net.TrainAsync(batches, { ...settings, Epochs });
    return [net.GetLayer(0, 0, 1).Bias];
  };
}

const flat = (name) => array(name, [d[name].shape[0], d[name].values.length / d[name].shape[0]]);

export const lines = {
  "matmul 512": () => forward(network(512, dense("mb", null, "linear")), array("ma")),
  "MLP forward, batch 1": () => forward(mlp(), array("x1")),
  "MLP forward, batch 64": () => forward(mlp(), array("x64")),
  "MLP training step, batch 64": train,
  "Conv2D forward": () => forward(conv(), flat("cx")),
  "Conv2D forward + backward": () => both(conv(), flat("cx"), array("cg")),
  "attention forward": () => forward(attention(), array("ax")),
  "attention forward + backward": () => both(attention(), array("ax"), array("ag")),
  "LSTM forward": () => forward(lstm(), flat("lx")),
  "LSTM forward + backward": () => both(lstm(), flat("lx"), array("lg")),
};

/** Matrix products by the device's clock; bench/gpu_products.py builds and verifies them. */
export async function products(rounds, tell) {
  const { pyodide } = loom;
  const text = await (await fetch("/gpu_products.py")).text();
  pyodide.runPython(text);
  const rows = await pyodide.globals.get("measured_in_page")(rounds, tell);
  return { products: rows.toJs({ dict_converter: Object.fromEntries }) };
}
