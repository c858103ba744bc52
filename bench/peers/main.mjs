// Times every line with every contender that has it, interleaved, one thread each.
//
// window.measure(line, options) -> {contender: {ms, fastest, spread, error}}; bench/web_peers.py
// calls it line by line. A contender is a module with start(data) and, for the lines
// that it has, an entry in `lines`: an async function that prepares and gives run(n),
// which computes n times (each result read back) and returns the last as Float32Arrays.
import * as jax from "./jax.mjs";
import * as loom from "./loom-wasm.mjs";
import * as ort from "./ort.mjs";
import { load, measure } from "./measure.mjs";
import * as tf from "./tf.mjs";

const contenders = { loom, "jax-js": jax, tfjs: tf, ort };

const data = await load();
const started = {};
for (const [name, module] of Object.entries(contenders)) {
  try {
    await module.start(data);
    started[name] = module;
  } catch (error) {
    console.error(name, error);
  }
}

window.measure = (line, options) => measure(started, line, options);
window.ready = Object.keys(started);
