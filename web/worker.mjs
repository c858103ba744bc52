// The worker's end of remote.mjs: a LocalHost that answers messages.
import { keepStart } from "./kept.mjs";
import { LocalHost } from "./local.mjs";
// Named here to be asked for at once, not one after the other.
import "./runtime.mjs";
import "./packs.mjs";
import "./errors.mjs";

/** Nothing is drawn in a worker: only messages wait. */
const SLICE = 50;

/** @type {LocalHost} */
let host;

const operations = {
  async start({ baseURL }, onProgress) {
    host = await LocalHost.start({ baseURL, onProgress });
  },
  keep: keepStart,
  describe: () => host.describe(),
  send: ({ handle, name, finite, text, buffers }) =>
    host.send(handle, name, finite, { text, buffers }),
  train: ({ handle, text, buffers }, onProgress) =>
    host.train(handle, { text, buffers }, onProgress, SLICE),
  stop: ({ handle }) => host.stop(handle),
  pause: ({ handle }) => host.pause(handle),
  resume: ({ handle }) => host.resume(handle),
  free: ({ handle }) => host.free(handle),
};

self.onmessage = async ({ data }) => {
  const { id, op, progress } = data;
  const onProgress = progress ? (event) => self.postMessage({ id, progress: event }) : undefined;
  try {
    const value = await operations[op](data, onProgress);
    if (id === undefined) return;
    const buffers = Array.isArray(value) ? value.slice(1).map((array) => array.buffer) : [];
    self.postMessage({ id, value }, buffers);
  } catch (error) {
    const failure = { message: error.message, kind: error.kind ?? error.name };
    self.postMessage({ id, failure });
  }
};
