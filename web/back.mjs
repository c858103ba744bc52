// Backward passes on the GPU that Python made before, made again without its work: as
// forward passes in repeat.mjs. The gradients of weights stay in a mapped buffer until
// Python is asked for them.
import { fits, given, isFinite, placeOf } from "./repeat.mjs";

/**
 * @typedef {object} Back
 * @property {import("./webgpu.mjs").Device} device
 * @property {number} executable
 * @property {number} size        values of dy
 * @property {number} count       values of dx
 * @property {number[]} buffers   handles of the gradients' buffers
 * @property {string} output      dx in the reply's skeleton
 * @property {object} [place]     where dx is written, each over the one before
 */

export class Backs {
  #find;
  #stands;
  #made;
  #first;
  /** By the network's handle and the call's skeleton. @type {Map<number, Map<string, Back>>} */
  #backs = new Map();
  /** Networks whose dx are written one over the other. @type {Set<number>} */
  reused = new Set();

  /**
   * @param {any} bridge  Python's loom.browser
   * @param {Function} first  (handle, message) -> a promise of Python's reply
   */
  constructor(bridge, first) {
    this.#find = bridge.back_find;
    this.#stands = bridge.back_stands;
    this.#made = bridge.back_made;
    this.#first = first;
  }

  /**
   * The reply of BackwardGPU, or null where Python must make the pass.
   * @returns {Promise<import("./local.mjs").Reply> | null}
   */
  run(handle, message) {
    const { text, buffers: [dy] } = message;
    const back = this.#backs.get(handle)?.get(text);
    if (!back || !fits(dy, back)) return null;
    if (!this.#stands(handle, back.executable)) return null;
    return this.#run(handle, message, back, dy);
  }

  async #run(handle, message, back, dy) {
    const { device, executable, buffers, count, output } = back;
    const start = performance.now();
    try {
      const options = { given: given(back, "dy", dy), place: placeOf(back, this.reused, handle) };
      const reading = device.runAndKeep(executable, "backward", "dx", buffers, options);
      reading.catch(() => {}); // told below, or not asked for
      // What was submitted goes out first, and is computed while dy is looked at.
      await null;
      const finite = Boolean(dy.gpu) || isFinite(dy);
      const [{ buffer }, kept] = await reading;
      if (!finite || !this.#made(handle, executable, kept)) kept.free();
      if (finite) {
        const nanoseconds = Math.round(1e6 * (performance.now() - start));
        return [`[${output}, ${nanoseconds}]`, new Float32Array(buffer, 0, count)];
      }
    } catch ({ kind, name, message: words }) {
      if (kind !== "DeviceLost") return [JSON.stringify({ error: words, type: kind ?? name })];
    }
    this.#backs.get(handle)?.delete(message.text);
    return this.#first(handle, message); // Python tells what is wrong
  }

  /** Learn the backward pass that Python has just made, and replied to so. */
  learn(handle, { text, buffers: [dy] }, reply) {
    const found = (dy instanceof Float32Array || dy?.gpu) && this.#find(handle);
    if (!found) return;
    const [device, executable, size, count, buffers] = found;
    const output = JSON.stringify(JSON.parse(reply[0])[0]);
    const living = [...(this.#backs.get(handle) ?? [])].filter(([, back]) =>
      back.device.holds(back.executable));
    const back = { device, executable, size, count, buffers, output };
    this.#backs.set(handle, new Map([...living, [text, back]]));
  }

  /** Forget a network's passes. */
  free(handle) {
    this.#backs.delete(handle);
    this.reused.delete(handle);
  }
}
