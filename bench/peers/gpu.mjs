// Times every line on WebGPU and posts each row to /report; bench/web_gpu.py serves this.
import * as jax from "./jax.mjs";
import * as loom from "./loom-gpu.mjs";
import { load, measure } from "./measure.mjs";
import * as tf from "./tf.mjs";

const report = (row) => fetch("/report", { method: "POST", body: JSON.stringify(row) });

const settings = await (await fetch("/data/settings.json")).json();
const data = await load();
const started = {};
const modules = {
  loom,
  "jax-js": jax,
  tfjs: { start: tf.start, lines: { ...tf.lines, ...tf.backward } },
};
for (const [name, module] of Object.entries(modules)) {
  try {
    await module.start(data, "webgpu");
    started[name] = module;
  } catch (error) {
    await report({ line: "start", result: { [name]: { error: `${error}`.slice(0, 300) } } });
  }
}
await report({ info: loom.info });
for (const line of started.loom ? settings.lines : []) {
  await report({ line, result: await measure(started, line, settings) });
}
await report({ done: true });
