// TensorFlow.js, WebAssembly backend (SIMD, one thread) or WebGPU. Images are NHWC, as it
// wants them.
const { tf } = globalThis;
let d;
let gpu = false;

export async function start(data, device = "wasm") {
  gpu = device === "webgpu";
  if (!gpu) {
    tf.wasm.setWasmPaths("/peers/tfjs-backend-wasm/dist/");
    tf.wasm.setThreadsCount(1);
  }
  await tf.setBackend(device);
  await tf.ready();
  d = Object.fromEntries(
    Object.entries(data).map(([name, { shape, values }]) => [name, tf.tensor(values, shape)]),
  );
}

/** n calls in a tidy; every output is read back. */
function repeat(f) {
  const once = () => [f()].flat();
  return async (n) => {
    let values;
    for (let i = 0; i < n; i++) {
      if (gpu) {
        const out = tf.tidy(once);
        values = await Promise.all(out.map((y) => y.data()));
        tf.dispose(out);
      } else {
        tf.tidy(() => {
          values = once().map((y) => y.dataSync());
        });
      }
    }
    return values;
  };
}

/** y and the gradients of every argument of sum(f(...) g). */
function both(f, parts, g) {
  return repeat(() => {
    let y;
    const loss = (...given) => {
      y = tf.keep(f(...given));
      return tf.sum(tf.mul(y, g));
    };
    const gradients = tf.grads(loss)(parts);
    const out = y.clone();
    y.dispose();
    return [out, ...gradients];
  });
}

const dense = (x, w, b, activation) =>
  tf.fused.matMul({ a: x, b: w, bias: b, activation });
const mlp = (x) => dense(dense(x, d.w1, d.b1, "relu"), d.w2, d.b2, "sigmoid");

/** (32, 64, 64, C) -> (32, C, 64, 64), not by tf: its dataSync ends SwiftShader. */
function nchw(values, channels) {
  const out = new Float32Array(values.length);
  const size = 64 * 64;
  for (let i = 0; i < values.length; i++) {
    const pixel = Math.floor(i / channels);
    const image = Math.floor(pixel / size);
    out[(image * channels + (i % channels)) * size + (pixel % size)] = values[i];
  }
  return out;
}

function conv() {
  const x = d.cx.transpose([0, 2, 3, 1]);
  const filter = d.cw.transpose([2, 3, 1, 0]);
  const f = () =>
    tf.fused.conv2d({ x, filter, strides: 1, pad: 1, bias: d.cb, activation: "relu" });
  return Object.assign(repeat(f), { arrange: ([y]) => [nchw(y, 16)] });
}

function convolves() {
  const given = [d.cx.transpose([0, 2, 3, 1]), d.cw.transpose([2, 3, 1, 0]), d.cb];
  const f = (x, filter, bias) =>
    tf.fused.conv2d({ x, filter, strides: 1, pad: 1, bias, activation: "relu" });
  const arrange = ([y, dx]) => [nchw(y, 16), nchw(dx, 3)];
  return Object.assign(both(f, given, d.cg.transpose([0, 2, 3, 1])), { arrange });
}

function attends(sequences, wq, wk, wv, wo, bias, bo) {
  const [bq, bk, bv] = tf.split(bias, 3);
  const x = sequences.reshape([1024, 512]);
  const heads = (w, b) => dense(x, w, b).reshape([4, 256, 8, 64]).transpose([0, 2, 1, 3]);
  const scores = tf.matMul(heads(wq, bq).mul(1 / 8), heads(wk, bk), false, true);
  const joined = tf.matMul(tf.softmax(scores), heads(wv, bv)).transpose([0, 2, 1, 3]);
  return dense(joined.reshape([1024, 512]), wo, bo).reshape([4, 256, 512]);
}

const ATTENTION = () => [d.ax, d.aq, d.ak, d.av, d.ao, d.abqkv, d.abo];
const LSTM = () => [d.lx, d.lw, d.lu, d.lb];

/** Gates i, f, g, o; the input's part of all steps in one product. */
function remembers(x, weight, recurrent, bias) {
  const w = weight.transpose();
  const u = recurrent.transpose();
  const steps = dense(x.reshape([1600, 64]), w, bias).reshape([32, 50, 512]);
  let h = tf.zeros([32, 128]);
  let c = tf.zeros([32, 128]);
  const out = [];
  for (const step of tf.unstack(steps, 1)) {
    const [i, f, g, o] = tf.split(tf.matMul(h, u).add(step), 4, 1);
    c = tf.sigmoid(f).mul(c).add(tf.sigmoid(i).mul(tf.tanh(g)));
    h = tf.sigmoid(o).mul(tf.tanh(c));
    out.push(h);
  }
  return tf.stack(out, 1);
}

function train() {
  const weights = ["w1", "b1", "w2", "b2"].map((name) => tf.variable(d[name].clone()));
  const [w1, b1, w2, b2] = weights;
  const optimizer = tf.train.sgd(1e-3);
  const loss = () => {
    const y = dense(dense(d.x64, w1, b1, "relu"), w2, b2, "sigmoid");
    return tf.mean(tf.square(y.sub(d.t64)));
  };
  return async (n) => {
    for (let i = 0; i < n; i++) {
      tf.tidy(() => {
        const value = optimizer.minimize(loss, true, weights);
        if (!gpu) value.dataSync();
      });
    }
    return [await b2.data()];
  };
}

export const lines = {
  "matmul 512": () => repeat(() => tf.matMul(d.ma, d.mb)),
  "MLP forward, batch 1": () => repeat(() => mlp(d.x1)),
  "MLP forward, batch 64": () => repeat(() => mlp(d.x64)),
  "MLP training step, batch 64": train,
  "Conv2D forward": conv,
  "attention forward": () => repeat(() => attends(...ATTENTION())),
  "LSTM forward": () => repeat(() => remembers(...LSTM())),
};

/** Lines of the WebGPU backend alone: the other has not all these gradients. */
export const backward = {
  "Conv2D forward + backward": convolves,
  "attention forward + backward": () => both(attends, ATTENTION(), d.ag),
  "LSTM forward + backward": () => both(remembers, LSTM(), d.lg),
};
