// Times the line of the address on WebGPU and posts what it finds; bench/web_gpu.py serves
// this: rows {contender, stage} as it goes, one {adapter, roundTrip}, at last {result}.
import * as jax from "./jax.mjs";
import * as loom from "./loom-gpu.mjs";
import { load, measure } from "./measure.mjs";
import * as tf from "./tf.mjs";

const MODULES = {
  loom,
  "jax-js": jax,
  tfjs: { start: tf.start, lines: { ...tf.lines, ...tf.backward } },
};
const report = (row) => fetch("/report", { method: "POST", body: JSON.stringify(row) });
/** The end of it: Python's tracebacks have the reason there. */
const words = (error) => `${error?.message ?? error}`.slice(-300);
const tell = (contender, stage) => report({ contender, stage });

/**
 * Milliseconds of an empty submission and a mapping, as any call must take. The browser's
 * compiler starts here, with a shader of nobody's: no contender pays for it.
 */
async function roundTrip() {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  const device = await adapter.requestDevice();
  const code = "@compute @workgroup_size(1) fn main() {}";
  const module = device.createShaderModule({ code });
  await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ size: 256, usage });
  const times = [];
  for (let i = 0; i < 60; i++) {
    const start = performance.now();
    device.queue.submit([device.createCommandEncoder().finish()]);
    await buffer.mapAsync(GPUMapMode.READ);
    buffer.unmap();
    times.push(performance.now() - start);
  }
  device.destroy();
  return times.sort((a, b) => a - b)[30];
}

const query = new URLSearchParams(location.search);
const line = query.get("line");
const settings = await (await fetch("/data/settings.json")).json();
// A run of steps, not what begins and ends it.
if (line.includes("training")) settings.least *= 6;
const data = await load();
const started = {};
const failed = {};
for (const name of query.get("contenders").split(",")) {
  await tell(name, "start");
  try {
    await MODULES[name].start(data, "webgpu");
    started[name] = MODULES[name];
  } catch (error) {
    failed[name] = { error: `start: ${words(error)}` };
  }
}

async function timed() {
  if (!started.loom) return {};
  await report({ adapter: loom.info, roundTrip: await roundTrip() });
  if (line !== "matrix products") return measure(started, line, settings, tell);
  return { loom: await loom.products(settings.rounds, (stage) => tell("loom", stage)) };
}

const result = await timed().catch((error) => ({ loom: { error: words(error) } }));
await report({ result: { ...result, ...failed } });
