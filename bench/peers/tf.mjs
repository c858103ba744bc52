// TensorFlow.js, WebAssembly backend (SIMD, one thread). Images are NHWC, as it wants them.
const { tf } = globalThis;
let d;

export async function start(data) {
  tf.wasm.setWasmPaths("/peers/tfjs-backend-wasm/dist/");
  tf.wasm.setThreadsCount(1);
  await tf.setBackend("wasm");
  await tf.ready();
  d = Object.fromEntries(
    Object.entries(data).map(([name, { shape, values }]) => [name, tf.tensor(values, shape)]),
  );
}

/** n calls in a tidy; every output is read back. */
function repeat(f) {
  return (n) => {
    let values;
    for (let i = 0; i < n; i++) {
      tf.tidy(() => {
        const out = f();
        values = (Array.isArray(out) ? out : [out]).map((y) => y.dataSync());
      });
    }
    return values;
  };
}

const dense = (x, w, b, activation) =>
  tf.fused.matMul({ a: x, b: w, bias: b, activation });
const mlp = (x) => dense(dense(x, d.w1, d.b1, "relu"), d.w2, d.b2, "sigmoid");

function conv() {
  const x = d.cx.transpose([0, 2, 3, 1]);
  const filter = d.cw.transpose([2, 3, 1, 0]);
  const f = () =>
    tf.fused.conv2d({ x, filter, strides: 1, pad: 1, bias: d.cb, activation: "relu" });
  const nchw = (y) => tf.tensor(y, [32, 64, 64, 16]).transpose([0, 3, 1, 2]).dataSync();
  return Object.assign(repeat(f), { arrange: (outputs) => outputs.map(nchw) });
}

function attention() {
  const [bq, bk, bv] = tf.split(d.abqkv, 3);
  const x = d.ax.reshape([1024, 512]);
  const heads = (w, b) => dense(x, w, b).reshape([4, 256, 8, 64]).transpose([0, 2, 1, 3]);
  return repeat(() => {
    const scores = tf.matMul(heads(d.aq, bq).mul(1 / 8), heads(d.ak, bk), false, true);
    const joined = tf.matMul(tf.softmax(scores), heads(d.av, bv)).transpose([0, 2, 1, 3]);
    return dense(joined.reshape([1024, 512]), d.ao, d.abo);
  });
}

function lstm() {
  const w = d.lw.transpose();
  const u = d.lu.transpose();
  return repeat(() => {
    const steps = dense(d.lx.reshape([1600, 64]), w, d.lb).reshape([32, 50, 512]);
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
  });
}

function train() {
  const weights = ["w1", "b1", "w2", "b2"].map((name) => tf.variable(d[name].clone()));
  const [w1, b1, w2, b2] = weights;
  const optimizer = tf.train.sgd(1e-3);
  const loss = () => {
    const y = dense(dense(d.x64, w1, b1, "relu"), w2, b2, "sigmoid");
    return tf.mean(tf.square(y.sub(d.t64)));
  };
  return (n) => {
    for (let i = 0; i < n; i++) {
      tf.tidy(() => optimizer.minimize(loss, true, weights).dataSync());
    }
    return [b2.dataSync()];
  };
}

export const lines = {
  "matmul 512": () => repeat(() => tf.matMul(d.ma, d.mb)),
  "MLP forward, batch 1": () => repeat(() => mlp(d.x1)),
  "MLP forward, batch 64": () => repeat(() => mlp(d.x64)),
  "MLP training step, batch 64": train,
  "Conv2D forward": conv,
  "attention forward": attention,
  "LSTM forward": lstm,
};
