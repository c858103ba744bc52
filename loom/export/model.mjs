// A Loom model without Python, written by `loom export web`.
//
//     import { load } from "./model.mjs";
//     const model = await load();
//     const y = model.predict(new Float32Array(model.inputSize));
//
// It knows no layer: model.json lists calls of kernels.wasm; webgpu.mjs runs program.json.

/**
 * @param {object} [options]
 * @param {boolean} [options.gpu]  predict on the GPU; predict() then gives a promise
 * @param {string | URL} [options.baseURL]  where these files are; this file's folder
 */
export async function load({ gpu = false, baseURL = import.meta.url } = {}) {
  const file = async (name) => {
    const reply = await fetch(new URL(name, baseURL));
    if (!reply.ok) throw new Error(`${name}: the server answered ${reply.status}`);
    return reply;
  };
  const json = async (name) => (await file(name)).json();
  const bytes = async (name) => (await file(name)).arrayBuffer();
  if (gpu) {
    const [model, weights] = await Promise.all([json("model.json"), bytes("weights.bin")]);
    if (!model.batch) throw new Error("this model was exported without its GPU program");
    const [program, { open }] = await Promise.all([
      json("program.json"),
      import(new URL("webgpu.mjs", baseURL).href),
    ]);
    const predictor = new OnGPU(model, await open());
    await predictor.start(program, weights);
    return predictor;
  }
  const [model, weights, kernels] = await Promise.all([
    json("model.json"),
    bytes("weights.bin"),
    bytes("kernels.wasm"),
  ]);
  const { instance } = await WebAssembly.instantiate(kernels);
  return new OnCPU(model, instance.exports, weights);
}

class Predictor {
  constructor(model) {
    this.inputShape = model.inputShape;
    this.outputShape = model.outputShape;
    this.inputSize = model.inputShape.reduce((a, b) => a * b, 1);
    this.outputSize = model.outputShape.reduce((a, b) => a * b, 1);
  }

  /** The samples in x. */
  samples(x) {
    const count = x.length / this.inputSize;
    if (!Number.isInteger(count) || count === 0) {
      throw new RangeError(
        `predict: expected a multiple of ${this.inputSize} values ` +
          `(${this.inputShape.join(" x ")} a sample), got ${x.length}`,
      );
    }
    return count;
  }
}

class OnCPU extends Predictor {
  #kernels;
  #model;
  #weights;
  #places = [];
  #room = 0; // samples that the places hold

  constructor(model, kernels, weights) {
    super(model);
    this.#model = model;
    this.#kernels = kernels;
    const values = new Float32Array(weights);
    this.#weights = this.#reserve(values.length);
    this.#view(this.#weights, values.length).set(values);
  }

  /** Outputs of as many samples as x holds. @param {Float32Array} x */
  predict(x) {
    const count = this.samples(x);
    if (count > this.#room) this.#makeRoom(count);
    this.#view(this.#places[0], x.length).set(x);
    for (const [name, ...terms] of this.#model.calls) {
      const values = terms.map((term) => this.#value(term, count));
      if (!this.#kernels[name](...values)) {
        throw new RangeError(`predict: ${name}: out of memory, or x holds no token`);
      }
    }
    return this.#view(this.#places.at(-1), count * this.outputSize).slice();
  }

  #value(term, count) {
    if (!Array.isArray(term)) return term;
    const [kind, n] = term;
    return { B: n * count, w: this.#weights + 4 * n, v: this.#places[n] }[kind];
  }

  #makeRoom(count) {
    const { values, same } = this.#model;
    this.#places.forEach((place, i) => i in same || this.#kernels.release(place));
    this.#room = 0;
    this.#places = [];
    values.forEach((size, i) => {
      this.#places.push(i in same ? this.#places[same[i]] : this.#reserve(size * count));
    });
    this.#room = count;
  }

  #reserve(floats) {
    const place = this.#kernels.reserve(floats);
    if (!place) throw new RangeError("not enough memory for this model");
    return place;
  }

  #view(place, length) {
    return new Float32Array(this.#kernels.memory.buffer, place, length);
  }
}

class OnGPU extends Predictor {
  #device;
  #model;
  #program;

  constructor(model, device) {
    super(model);
    this.#model = model;
    this.#device = device;
  }

  async start(program, weights) {
    const names = {};
    for (const { name, start, size } of this.#model.arenas) {
      names[name] = this.#device.buffer(size * 4, name);
      this.#device.write(names[name], 0, new Uint8Array(weights, start * 4, size * 4));
    }
    this.#program = await this.#device.load(JSON.stringify(program), JSON.stringify(names));
    this.#offset = program.inputs.x.offset;
  }

  #offset = 0;

  /** Outputs of as many samples as x holds. @param {Float32Array} x */
  async predict(x) {
    const count = this.samples(x);
    const { batch } = this.#model;
    const y = new Float32Array(count * this.outputSize);
    for (let first = 0; first < count; first += batch) {
      const part = new Float32Array(batch * this.inputSize);
      part.set(x.subarray(first * this.inputSize, (first + batch) * this.inputSize));
      this.#device.set(this.#program, "x", this.#offset, new Uint8Array(part.buffer));
      const bytes = await this.#device.runAndRead(this.#program, "forward", "y");
      const wanted = Math.min(batch, count - first) * this.outputSize;
      const values = new Float32Array(bytes.buffer, bytes.byteOffset, wanted);
      y.set(values, first * this.outputSize);
    }
    return y;
  }

  /** Give the GPU's memory back. */
  close() {
    this.#device.destroy();
  }
}
