// A consumer of loom.d.mts: `tsc --strict` must accept each line, and reject those
// marked so.
import { loadLoom, LoomError } from "./loom.mjs";
import type { TrainingEvent, TrainingResult } from "./loom.mjs";

const loom = await loadLoom({
  onProgress: ({ loadedBytes, totalBytes }) => console.log(loadedBytes / totalBytes),
});
const network = loom.NewNetwork(64, 1, 1, 2, 7);
const config: string = loom.InitDenseLayer(64, 32, "relu");
network.SetLayer(JSON.stringify([0, 0, 0, JSON.parse(config)]));
network.SetLayer(0, 0, 1, loom.InitDenseLayer(32, 10, 5));
const text: string = network.ForwardCPU("[[1, 2]]");
const total: number = network.call("TotalLayers");
const [output, nanoseconds] = network.ForwardCPU(new Float32Array(64));
const first: number = output[0] + nanoseconds + (output.shape?.[0] ?? 0);
network.ForwardCPU([[1, 2], [3, 4]]);
const result: TrainingResult = await network.TrainAsync(
  [{ Input: new Float32Array(64), Target: [0, 1] }],
  { Epochs: 2, LearningRate: 0.1, LossType: "mse" },
  { onProgress: (event: TrainingEvent) => console.log(event.Epoch, event.Loss) },
);
const losses: number[] = result.LossHistory.filter((loss) => loss !== null);
const steps: number = result.AvgThroughput * result.Epochs + losses.length;
const [onGPU]: [Float32Array, number] = await network.ForwardGPU(new Float32Array(64));
const array = await network.ToGPU(new Float32Array(64));
const [fromArray]: [Float32Array, number] = await network.ForwardGPU(array);
const bytes: number = array.nbytes + array.shape[0];
array.free();
const gpuText: string = await network.GPUInfo();
network.stop();
network.free();

const inWorker = await loadLoom({ worker: true });
const remote = await inWorker.NewNetwork(64, 1, 1, 2);
const [typed]: [Float32Array, number] = await remote.ForwardCPU(new Float32Array(64));
const json: string = await remote.TotalLayers();
const again: number = await remote.call("TotalLayers");
inWorker.terminate();

// @ts-expect-error: it is on the GPU
network.ForwardCPU(array);
// @ts-expect-error: no such method
network.Nope();
// @ts-expect-error: a number is wanted
loom.NewNetwork("64", 1, 1, 2);
// @ts-expect-error: no such setting
await network.TrainAsync([], { Epoch: 2 });
// @ts-expect-error: a promise in a worker
const now: string = remote.TotalLayers();

export const numbers = [steps, bytes, total, first, again];
export const all = [onGPU, fromArray, gpuText, text, result, typed, json, now, LoomError];
