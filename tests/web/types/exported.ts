// What a page in TypeScript writes with a model of `loom export web`; compiled, never run.
import { load, type CPUModel, type GPUModel } from "./model.mjs";

const cpu: CPUModel = await load();
const y: Float32Array = cpu.predict(new Float32Array(cpu.inputSize));
const shape: number[] = cpu.outputShape;
const gpu: GPUModel = await load({ gpu: true, baseURL: new URL("https://example.com/") });
const later: Float32Array = await gpu.predict(y);
gpu.close();
// @ts-expect-error: a list of numbers is no Float32Array
cpu.predict([1, 2, 3]);
// @ts-expect-error: the GPU's answer comes later
const now: Float32Array = gpu.predict(y);
export { later, now, shape };
