// The objects that a page works with, made from Python's reflection over a host.
//
// A method called with nothing, or with exactly one string, is in JSON mode: JSON array
// of parameters in, JSON array of results out, {"error": "..."} when it fails. Any other
// call is typed: values in, value out (an array of them when several), LoomError thrown.
// So is SaveModelToString("name"): where a text is wanted and none of JSON's arrays comes.
import { LoomError } from "./errors.mjs";
import { decode, encode as encodeFor, GPUArray, toLists } from "./wire.mjs";

/** Methods that reply with their one result itself, as in the framework we follow. */
const BARE = new Set(["GetMethods"]);

const then = (value, next) => (value instanceof Promise ? value.then(next) : next(value));

/**
 * @param {import("./local.mjs").LocalHost | import("./remote.mjs").RemoteHost} host
 * @param {{version: string, methods: object[], functions: object[]}} reflection
 */
export function createAPI(host, { version, methods, functions }) {
  /** @type {WeakMap<Network, number>} */
  const handles = new WeakMap();
  const forgotten = new FinalizationRegistry((handle) => host.free(handle));
  const encode = (values, where) => encodeFor(values, where, host);

  class Network {
    /** Call any method in typed mode. */
    call(name, ...values) {
      return typed(host.send(handleOf(this, name), name, false, encode(values, name)));
    }

    /** Train without blocking the page; stop() ends it. */
    async TrainAsync(batches, config, { onProgress } = {}) {
      const message = encode([batches, config], "TrainAsync");
      return typed(await host.train(handleOf(this, "TrainAsync"), message, onProgress));
    }

    /**
     * Send numbers to the GPU once, for many passes of networks there.
     * @returns {Promise<GPUArray>}
     */
    async ToGPU(values) {
      return this.call("ToGPU", values);
    }

    /** Let TrainAsync (in a worker, Train too) end before its next batch. */
    stop() {
      return host.stop(handleOf(this, "stop"));
    }

    /** Let TrainAsync wait before its next batch, for as long as one likes. */
    pause() {
      return host.pause(handleOf(this, "pause"));
    }

    /** Let TrainAsync go on. */
    resume() {
      return host.resume(handleOf(this, "resume"));
    }

    /**
     * Let results of ForwardGPU and BackwardGPU be valid only until the next call of the
     * same method with the same shapes, which writes over them: a new array of 8 MB takes
     * the browser longer than the pass.
     */
    reuse(on = true) {
      const handle = handleOf(this, "reuse");
      if (host.reuse) return host.reuse(handle, on);
      throw new LoomError("reuse: a worker's results come by message: each is new.", "WireError");
    }

    /** Give the memory back now; later calls fail. Garbage collection does it too. */
    free() {
      const handle = handles.get(this);
      if (handle === undefined) return;
      handles.delete(this);
      forgotten.unregister(this);
      host.free(handle);
    }
  }

  const handleOf = (network, name) => {
    const handle = handles.get(network);
    if (handle !== undefined) return handle;
    throw new LoomError(`${name}: this network was freed. Make a new one.`, "WireError");
  };

  const adopt = (handle) => {
    const network = new Network();
    handles.set(network, handle);
    forgotten.register(network, handle, network);
    return network;
  };

  const onGPU = (mark) => {
    const array = new GPUArray(host, mark);
    forgotten.register(array, mark.$gpu);
    return array;
  };

  const typed = (reply) =>
    then(reply, ([text, ...buffers]) => {
      const results = decode(text, buffers, adopt, onGPU);
      if (!Array.isArray(results)) throw failure(results);
      return results.length > 1 ? results : results[0];
    });

  const json = (network, name, text) => {
    const print = ([reply, ...buffers]) => {
      const results = JSON.parse(reply);
      if (!Array.isArray(results)) throw failure(results);
      const lists = toLists(results, buffers);
      return JSON.stringify(BARE.has(name) ? lists[0] : lists);
    };
    const failed = ({ message }) => JSON.stringify({ error: message });
    try {
      const message = encode(parse(text, name), name);
      const reply = then(host.send(handleOf(network, name), name, true, message), print);
      return reply instanceof Promise ? reply.catch(failed) : reply;
    } catch (error) {
      return failed(error);
    }
  };

  for (const { method_name: name, parameters } of methods) {
    const takesText = parameters[0]?.type === "string";
    const value = function (...values) {
      const [text] = values;
      const one = values.length === 1 && typeof text === "string";
      const isText = one && takesText && /^\s*[^\s[]/.test(text);
      const isJSON = values.length === 0 || (one && !isText);
      return isJSON ? json(this, name, values[0]) : this.call(name, ...values);
    };
    Object.defineProperty(Network.prototype, name, { value, writable: true });
  }

  const call = (name, ...values) => typed(host.send(0, name, false, encode(values, name)));
  const api = { version, methods, functions, call, Network };
  if (host.pyodide) api.pyodide = host.pyodide;
  if (host.terminate) api.terminate = () => host.terminate();
  // A function gives a network or text as it is, and anything else as JSON text.
  const plain = ([text, ...buffers]) => {
    const result = typed([text, ...buffers]);
    if (result instanceof Network || typeof result === "string") return result;
    return JSON.stringify(toLists(JSON.parse(text), buffers)[0]);
  };
  for (const { method_name: name } of functions) {
    api[name] = (...values) => then(host.send(0, name, true, encode(values, name)), plain);
  }
  return api;
}

function failure({ error, type, traceback }) {
  return new LoomError(error, type, traceback && { cause: traceback });
}

function parse(text, name) {
  if (!text) return [];
  const wanted = `${name}: expected a JSON array of parameters`;
  let values;
  try {
    values = JSON.parse(text);
  } catch (error) {
    throw new LoomError(`${wanted}, got text that is no JSON: ${error.message}.`, "WireError");
  }
  if (Array.isArray(values)) return values;
  throw new LoomError(`${wanted}, got ${text.slice(0, 40)}. Put it in [ ].`, "WireError");
}
