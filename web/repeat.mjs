// Forward passes on the GPU that Python made before, made again without its work.
//
// What a pass needs is settled once Python has made it: the program on the device, the
// input's length, the reply's shape. Another call that looks the same writes, submits
// and reads here, and Python says at once, in one short call, whether that is the right
// program with the newest weights. If it is not, and for all that is unusual, Python
// makes the pass, with its checks and errors.

/**
 * @typedef {object} Pass
 * @property {import("./webgpu.mjs").Device} device
 * @property {number} executable
 * @property {number} rows    0 where the input is flat
 * @property {number} size    values of the input
 * @property {number} count   values of the output
 * @property {string} output  the output in the reply's skeleton
 * @property {Float32Array[]} idle  copies of inputs, for another use
 * @property {object} [place]  where outputs are written one over the other
 */

export class Repeats {
  #find;
  #stands;
  #first;
  /** By the network's handle and the call's skeleton. @type {Map<number, Map<string, Pass>>} */
  #passes = new Map();
  /** Networks whose outputs are written one over the other. @type {Set<number>} */
  reused = new Set();

  /**
   * @param {any} bridge  Python's loom.browser
   * @param {Function} first  (handle, message) -> a promise of Python's reply
   */
  constructor(bridge, first) {
    // Looking a function up makes a proxy.
    this.#find = bridge.pass_find;
    this.#stands = bridge.pass_stands;
    this.#first = first;
  }

  /**
   * The reply of ForwardGPU, or null where Python must make the pass.
   * @returns {Promise<import("./local.mjs").Reply> | null}
   */
  run(handle, message) {
    const { text, buffers: [x] } = message;
    const pass = this.#passes.get(handle)?.get(text);
    if (!pass || !fits(x, pass)) return null;
    const { device, executable, rows, idle } = pass;
    if (!device.holds(executable)) return null;
    const start = performance.now();
    let reading;
    try {
      const options = { given: given(pass, "x", x), place: placeOf(pass, this.reused, handle) };
      reading = device.runAndRead(executable, "forward", "y", options);
    } catch (error) {
      reading = Promise.reject(error);
    }
    reading.catch(() => {}); // told below, or not asked for
    if (!this.#stands(handle, executable, rows, true)) {
      this.#forget(handle, text);
      return null;
    }
    const drop = () => {
      this.#stands(handle, executable, rows, false);
      this.#forget(handle, text);
    };
    if (x.gpu) {
      const again = () => this.#first(handle, message);
      return this.#reply(pass, null, reading, start, drop, again);
    }
    // What the caller writes into x from now on is no part of this call.
    const copy = idle.pop() ?? new Float32Array(x.length);
    copy.set(x);
    const again = () => this.#first(handle, { text, buffers: [copy] });
    const reply = this.#reply(pass, copy, reading, start, drop, again);
    return reply.finally(() => idle.push(copy));
  }

  async #reply({ count, output }, copy, reading, start, drop, again) {
    try {
      // What was submitted goes out first, and is computed while x is looked at.
      await null;
      if (!copy || isFinite(copy)) {
        const { buffer } = await reading;
        const nanoseconds = Math.round(1e6 * (performance.now() - start));
        return [`[${output}, ${nanoseconds}]`, new Float32Array(buffer, 0, count)];
      }
      drop();
    } catch ({ kind, name, message }) {
      drop();
      if (kind !== "DeviceLost") {
        return [JSON.stringify({ error: message, type: kind ?? name })];
      }
    }
    return again(); // Python tells what is not finite, or opens another GPU
  }

  #forget(handle, text) {
    this.#passes.get(handle)?.delete(text);
  }

  /** Learn the pass that Python has just made. */
  learn(handle, { text, buffers: [x] }) {
    const [{ shape }] = JSON.parse(text);
    if (!shape || !(x instanceof Float32Array || x?.gpu)) return;
    const rows = shape.length === 1 ? 0 : shape[0];
    const found = this.#find(handle, rows);
    if (!found) return;
    const [device, executable, size, count, output] = found;
    if (!this.#passes.has(handle)) this.#passes.set(handle, new Map());
    const passes = this.#passes.get(handle);
    for (const [key, { device, executable }] of passes) {
      if (!device.holds(executable)) passes.delete(key);
    }
    passes.set(text, { device, executable, rows, size, count, output, idle: [] });
  }

  /** Forget a network's passes. */
  free(handle) {
    this.#passes.delete(handle);
    this.reused.delete(handle);
  }
}

/** Whether an input is one that a pass takes: values, or a GPUArray's ticket. */
export function fits(x, { device, size }) {
  if (x instanceof Float32Array) return x.length === size;
  return x.size === size && x.dtype === "f32" && device.holds(x.number);
}

/** Set an input of a pass, or say what it is to be copied from. */
export function given({ device, executable }, name, x) {
  if (x.gpu) return [name, x.number];
  device.set(executable, name, 0, x);
}

/** Where a pass of a network writes its output, if not into a new array. */
export function placeOf(pass, reused, handle) {
  return reused.has(handle) ? (pass.place ??= {}) : undefined;
}

/** Whether all values are finite: any other, times 0, is NaN. Four sums keep it quick. */
export function isFinite(values) {
  let [a, b, c, d] = [0, 0, 0, 0];
  const fours = values.length - (values.length % 4);
  for (let i = 0; i < fours; i += 4) {
    a += values[i] * 0;
    b += values[i + 1] * 0;
    c += values[i + 2] * 0;
    d += values[i + 3] * 0;
  }
  for (let i = fours; i < values.length; i++) a += values[i] * 0;
  return a + b + c + d === 0;
}
