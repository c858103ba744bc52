// The host of networks in a worker, seen from the page: the same calls, by message.
import { LoomError } from "./errors.mjs";

export class RemoteHost {
  #worker;
  #next = 1;
  /** @type {Map<number, {resolve: Function, reject: Function, onProgress?: Function}>} */
  #pending = new Map();
  /** @type {LoomError | null} */
  #ended = null;

  /** @param {{baseURL: string, onProgress?: Function}} options */
  static async start({ baseURL, onProgress }) {
    const host = new RemoteHost();
    host.#worker = new Worker(new URL("worker.mjs", baseURL), { type: "module" });
    host.#worker.onmessage = ({ data }) => host.#receive(data);
    host.#worker.onerror = (event) => {
      event.preventDefault();
      host.#end(`the worker failed: ${event.message ?? "its script did not load"}`);
    };
    await host.#ask({ op: "start", baseURL }, [], onProgress);
    return host;
  }

  /** @returns {Promise<string>} */
  describe() {
    return this.#ask({ op: "describe" });
  }

  /** @returns {Promise<import("./local.mjs").Reply>} */
  send(handle, name, finite, message) {
    if (handle && name === "Train") return this.train(handle, message);
    const { text, buffers, owned } = message;
    return this.#ask({ op: "send", handle, name, finite, text, buffers }, owned);
  }

  /** @returns {Promise<import("./local.mjs").Reply>} */
  train(handle, { text, buffers, owned }, onProgress) {
    return this.#ask({ op: "train", handle, text, buffers }, owned, onProgress);
  }

  /** Let training stop before its next batch. */
  stop(handle) {
    return this.#ask({ op: "stop", handle });
  }

  /** Let training wait before its next batch. */
  pause(handle) {
    return this.#ask({ op: "pause", handle });
  }

  /** Let training go on. */
  resume(handle) {
    return this.#ask({ op: "resume", handle });
  }

  /** Forget a network. */
  free(handle) {
    if (!this.#ended) this.#worker.postMessage({ op: "free", handle });
  }

  /** End the worker; what is under way rejects. */
  terminate() {
    this.#end("the worker was terminated");
  }

  #ask(message, transfer = [], onProgress = undefined) {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onProgress });
      try {
        const progress = Boolean(onProgress);
        this.#worker.postMessage({ id, progress, ...message }, transfer);
      } catch (error) {
        this.#pending.delete(id);
        reject(error);
      }
    });
  }

  #receive({ id, progress, value, failure }) {
    const call = this.#pending.get(id);
    if (!call) return;
    if (progress) {
      call.onProgress(progress);
      return;
    }
    this.#pending.delete(id);
    if (failure) call.reject(new LoomError(failure.message, failure.kind));
    else call.resolve(value);
  }

  #end(reason) {
    this.#ended ??= new LoomError(`${reason}. Call loadLoom({worker: true}) again.`);
    this.#worker.terminate();
    for (const { reject } of this.#pending.values()) reject(this.#ended);
    this.#pending.clear();
  }
}
