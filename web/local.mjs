// The host of networks in this thread: Python's loom.browser, called directly.
import { Backs } from "./back.mjs";
import { Repeats } from "./repeat.mjs";
import { startRuntime } from "./runtime.mjs";

/**
 * @typedef {[string, ...ArrayBufferView[]]} Reply  a message, text first
 *
 * A host keeps the networks. Its `send`, `describe` and `free` give a value here and a
 * promise in `remote.mjs`; `train`, and what runs on the GPU, gives a promise in both.
 */

/** Python's batches run for so long, in ms, before the event loop has its turn. */
const SLICE = 12;

export class LocalHost {
  #bridge;
  /** What makes a method's calls again without Python. @type {Record<string, Repeats | Backs>} */
  #again;
  /** Of runs that are paused: what lets each go on. @type {Map<number, () => void>} */
  #paused = new Map();

  /** @param {{baseURL: string, onProgress?: Function}} options */
  static async start(options) {
    const host = new LocalHost();
    const { pyodide, bridge } = await startRuntime(options);
    host.pyodide = pyodide;
    host.#bridge = bridge;
    const first = (name) => (handle, message) => host.#first(handle, name, message);
    host.#again = {
      ForwardGPU: new Repeats(bridge, first("ForwardGPU")),
      BackwardGPU: new Backs(bridge, first("BackwardGPU")),
    };
    return host;
  }

  /** @returns {string} JSON of version, methods and functions */
  describe() {
    return this.#bridge.describe();
  }

  /**
   * Call a method of a network, or a function when `handle` is 0. `finite` asks for
   * numbers that JSON can hold.
   * @returns {Reply}
   */
  send(handle, name, finite, message) {
    const { text, buffers } = message;
    if (handle && !finite && name in this.#again) {
      return this.#again[name].run(handle, message) ?? this.#first(handle, name, message);
    }
    if (handle && isAwaited(name)) {
      return this.#awaited(this.#bridge.call_async(handle, name, finite, text, ...buffers));
    }
    if (handle && name === "Train" && usesGPU(message)) return this.train(handle, message);
    return this.#bridge.call(handle, name, finite, text, ...buffers);
  }

  /**
   * Train batch by batch, giving the event loop a turn between slices.
   * @param {number} handle
   * @param {import("./wire.mjs").Message} message  Train's arguments
   * @param {(event: object) => void} [onProgress]
   * @param {number} [slice]  ms between two turns of the event loop
   * @returns {Promise<Reply>}
   */
  async train(handle, message, onProgress, slice = SLICE) {
    const { text, buffers } = message;
    const started = this.#bridge.train_start(handle, text, ...buffers);
    const { error: refused, awaited: onGPU } = JSON.parse(started[0]);
    if (refused !== undefined) return started;
    try {
      for (;;) {
        await turn();
        if (this.#paused.has(handle)) await this.#until(handle);
        const reply = onGPU
          ? await this.#awaited(this.#bridge.train_step_async(handle, slice))
          : this.#bridge.train_step(handle, slice);
        const { error, events, done, notice } = JSON.parse(reply[0]);
        if (error !== undefined) return reply;
        if (notice) onProgress?.({ Kind: "notice", Notice: notice });
        if (onProgress) events.forEach((event) => onProgress(event));
        if (done) return this.#bridge.train_result(handle);
      }
    } finally {
      this.#paused.delete(handle);
      this.#bridge.train_end(handle);
    }
  }

  /** Let training stop before its next batch. */
  stop(handle) {
    this.#bridge.train_stop(handle);
    this.resume(handle);
  }

  /** Let training wait before its next batch; without a run, nothing. */
  pause(handle) {
    if (this.#bridge.is_training(handle) && !this.#paused.has(handle)) {
      this.#paused.set(handle, () => {});
    }
  }

  /** Let training go on. */
  resume(handle) {
    const go = this.#paused.get(handle);
    this.#paused.delete(handle);
    go?.();
  }

  /** Write results of a network's repeated passes on the GPU one over the other, or not. */
  reuse(handle, on) {
    for (const { reused } of Object.values(this.#again)) {
      if (on) reused.add(handle);
      else reused.delete(handle);
    }
  }

  /** Forget a network. */
  free(handle) {
    this.#bridge.free(handle);
    for (const passes of Object.values(this.#again)) passes.free(handle);
    this.resume(handle);
  }

  async #first(handle, name, message) {
    const { text, buffers } = message;
    const step = this.#bridge.call_async(handle, name, false, text, ...buffers);
    const reply = await this.#awaited(step);
    if (reply.length > 1) this.#again[name].learn(handle, message, reply);
    return reply;
  }

  /** The reply of one of Python's coroutines, whose promises are awaited here. */
  async #awaited(step) {
    while (typeof step[0] === "number") {
      const [number, promise] = step;
      try {
        const value = await promise;
        step = this.#bridge.resume(number, value);
      } catch (error) {
        step = this.#bridge.resume_failed(number, error);
      }
    }
    return step;
  }

  #until(handle) {
    return new Promise((resolve) => this.#paused.set(handle, resolve));
  }
}

/** Whatever reads from the GPU. */
const isAwaited = (name) => name.includes("GPU");

const usesGPU = ({ text }) => text.includes('"UseGPU"') && JSON.parse(text)[1]?.UseGPU === true;

const channel = new MessageChannel();
/** @type {(() => void)[]} */
const waiting = [];
channel.port1.onmessage = () => waiting.shift()?.();

/** A turn of the event loop; timers would be throttled to 4 ms each. */
function turn() {
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
}
