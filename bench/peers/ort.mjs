// ONNX Runtime Web, WebAssembly (SIMD, one thread); models from bench/web_peers_models.py.
import * as ort from "/peers/onnxruntime-web/dist/ort.wasm.min.mjs";

let d;

export async function start(data) {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL("/peers/onnxruntime-web/dist/", location).href;
  d = data;
}

async function model(file, input) {
  const session = await ort.InferenceSession.create(`/data/${file}.onnx`, {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
  });
  const { shape, values } = d[input];
  const x = new ort.Tensor("float32", values, shape);
  return async (n) => {
    let y;
    for (let i = 0; i < n; i++) ({ y } = await session.run({ x }));
    return [y.data];
  };
}

export const lines = {
  "matmul 512": () => model("matmul", "ma"),
  "MLP forward, batch 1": () => model("mlp", "x1"),
  "MLP forward, batch 64": () => model("mlp", "x64"),
  "Conv2D forward": () => model("conv", "cx"),
  "attention forward": () => model("attention", "ax"),
  "LSTM forward": () => model("lstm", "lx"),
};
