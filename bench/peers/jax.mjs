// jax-js, WebAssembly or WebGPU backend: jitted functions; an array is used up by its
// use (.ref).
import * as jax from "/peers/jax/dist/index.js";

const { numpy: np, nn, lax, jit, valueAndGrad, grad } = jax;
let d;
let gpu = false;

export async function start(data, device = "wasm") {
  await jax.init(device);
  jax.defaultDevice(device);
  gpu = device === "webgpu";
  d = Object.fromEntries(
    Object.entries(data).map(([name, { shape, values }]) => [
      name,
      np.array(values.slice(), { shape }),
    ]),
  );
}

const refs = (names) => names.map((name) => d[name].ref);

/** What arrays hold; in WebAssembly at once, on the GPU when it is done. */
const read = (arrays) =>
  gpu ? Promise.all(arrays.map((array) => array.data())) : arrays.map((array) => array.dataSync());

/** n calls of a jitted function of fixed arrays; every output is read back. */
function repeat(f, names) {
  const compiled = jit(f);
  return async (n) => {
    let values;
    for (let i = 0; i < n; i++) {
      const out = compiled(...refs(names));
      values = read(Array.isArray(out) ? out : [out]);
      if (gpu) values = await values;
    }
    return values;
  };
}

const mlp = (x, w1, b1, w2, b2) =>
  nn.sigmoid(np.matmul(nn.relu(np.matmul(x, w1).add(b1)), w2).add(b2));
const conv = (x, w, b) =>
  nn.relu(lax.convGeneralDilated(x, w, [1, 1], "SAME").add(b.reshape([1, 16, 1, 1])));

function heads(x, w, b) {
  return np.matmul(x, w).add(b).reshape([4, 256, 8, 64]).transpose([0, 2, 1, 3]);
}

function attention(x, wq, wk, wv, wo, bias, bo) {
  const [bq, bk, bv] = np.split(bias, 3, 0);
  const q = heads(x.ref, wq, bq).mul(1 / 8);
  const k = heads(x.ref, wk, bk);
  const v = heads(x, wv, bv);
  const scores = nn.softmax(np.matmul(q, k.transpose([0, 1, 3, 2])), -1);
  const joined = np.matmul(scores, v).transpose([0, 2, 1, 3]).reshape([4, 256, 512]);
  return np.matmul(joined, wo).add(bo);
}

/** Gates i, f, g, o; the input's part of all steps in one product. */
function lstm(x, w, u, b) {
  const steps = np.unstack(np.matmul(x, w.transpose()).add(b), 1);
  const recurrent = u.transpose();
  let h = np.zeros([32, 128]);
  let c = np.zeros([32, 128]);
  const out = [];
  for (const step of steps) {
    const [i, f, g, o] = np.split(step.add(np.matmul(h, recurrent.ref)), 4, 1);
    c = nn.sigmoid(f).mul(c).add(nn.sigmoid(i).mul(np.tanh(g)));
    h = nn.sigmoid(o).mul(np.tanh(c.ref));
    out.push(h.ref);
  }
  h.dispose();
  c.dispose();
  recurrent.dispose();
  return np.stack(out, 1);
}

const ATTENTION = ["ax", "aq", "ak", "av", "ao", "abqkv", "abo"];
const LSTM = ["lx", "lw", "lu", "lb"];

/** Value and the gradients of every argument of sum(f(...) g). */
function both(f, names, g) {
  const loss = (gradient, ...parts) => {
    const y = f(...parts);
    return [np.sum(y.ref.mul(gradient)), y];
  };
  const wanted = names.map((_, index) => index + 1);
  const all = valueAndGrad(loss, { argnums: wanted, hasAux: true });
  return repeat(
    (...parts) => {
      const [[value, y], gradients] = all(...parts);
      value.dispose();
      return [y, ...gradients];
    },
    [g, ...names],
  );
}

function train() {
  let weights = ["w1", "b1", "w2", "b2"].map((name) => np.array(d[name].ref));
  const loss = (w1, b1, w2, b2, x, t) => np.mean(np.square(mlp(x, w1, b1, w2, b2).sub(t)));
  const step = jit((w1, b1, w2, b2, x, t) => {
    const old = [w1, b1, w2, b2];
    const gradients = grad(loss, { argnums: [0, 1, 2, 3] })(...old.map((w) => w.ref), x, t);
    return old.map((w, i) => w.sub(gradients[i].mul(1e-3)));
  });
  return async (n) => {
    let values;
    for (let i = 0; i < n; i++) {
      weights = step(...weights, d.x64.ref, d.t64.ref);
      if (!gpu) values = read([weights[3].ref]);
    }
    return gpu ? read([weights[3].ref]) : values;
  };
}

export const lines = {
  "matmul 512": () => repeat(np.matmul, ["ma", "mb"]),
  "MLP forward, batch 1": () => repeat(mlp, ["x1", "w1", "b1", "w2", "b2"]),
  "MLP forward, batch 64": () => repeat(mlp, ["x64", "w1", "b1", "w2", "b2"]),
  "MLP training step, batch 64": train,
  "Conv2D forward": () => repeat(conv, ["cx", "cw", "cb"]),
  "Conv2D forward + backward": () => both(conv, ["cx", "cw", "cb"], "cg"),
  "attention forward": () => repeat(attention, ATTENTION),
  "attention forward + backward": () => both(attention, ATTENTION, "ag"),
  "LSTM forward": () => repeat(lstm, LSTM),
  "LSTM forward + backward": () => both(lstm, LSTM, "lg"),
};
