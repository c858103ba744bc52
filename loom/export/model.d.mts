// Types of model.mjs.

export interface Model {
  /** The shape of one sample. */
  readonly inputShape: number[];
  readonly outputShape: number[];
  /** Values of one sample. */
  readonly inputSize: number;
  readonly outputSize: number;
}

export interface CPUModel extends Model {
  /** Samples one after the other -> their outputs in the same order. */
  predict(x: Float32Array): Float32Array;
}

export interface GPUModel extends Model {
  predict(x: Float32Array): Promise<Float32Array>;
  /** Give the GPU's memory back. */
  close(): void;
}

export function load(options?: { gpu?: false; baseURL?: string | URL }): Promise<CPUModel>;
export function load(options: { gpu: true; baseURL?: string | URL }): Promise<GPUModel>;
