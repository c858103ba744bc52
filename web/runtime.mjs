// Boots Pyodide with NumPy and our wheel, and reports the bytes as they come.
import { LoomError } from "./errors.mjs";
import { dropStarts, findStart, goOn } from "./kept.mjs";
import { findRest, importScripts, startPython } from "./packs.mjs";

/**
 * @typedef {object} Progress
 * @property {"download" | "start" | "ready"} stage
 * @property {string} label        words for people
 * @property {number} loadedBytes  of all files together, unpacked
 * @property {number} totalBytes
 * @property {{name: string, loadedBytes: number, totalBytes: number}[]} parts
 */

/** One runtime in a page or worker for each base URL. @type {Map<string, Promise>} */
const runtimes = new Map();

/**
 * @param {object} options
 * @param {string} options.baseURL  the folder of this file, as it is served
 * @param {(progress: Progress) => void} [options.onProgress]
 * @returns {Promise<{pyodide: any, bridge: any}>}  bridge is Python's loom.browser
 */
export async function startRuntime({ baseURL, onProgress = () => {} }) {
  if (!runtimes.has(baseURL)) {
    const starting = boot(baseURL, onProgress);
    runtimes.set(baseURL, starting);
    starting.catch(() => runtimes.delete(baseURL));
  }
  return runtimes.get(baseURL);
}

async function boot(baseURL, onProgress) {
  const indexURL = new URL("runtime/", baseURL).href;
  const scripts = importScripts(indexURL); // every start needs them, so they go first
  const { files, build } = await fetchJSON(new URL("files.json", baseURL));
  const sizes = new Map(
    Object.entries(files).map(([path, bytes]) => [new URL(path, baseURL).href, bytes]),
  );
  const progress = progressOf(sizes, onProgress);
  progress.report("download", "Downloading");
  for (const [url, script] of Object.entries(scripts)) {
    script.then(() => progress.received(url, sizes.get(url)));
  }
  const kept = await findStart(build);
  const uncount = kept ? () => {} : countFetches(sizes, progress.received);
  try {
    const pyodide = await (kept
      ? goOn({ indexURL, scripts, kept }).catch((error) => anew({ indexURL, scripts }, error))
      : begin({ indexURL, scripts }));
    pyodide.registerJsModule("loom_webgpu", { open, later });
    progress.finish();
    progress.report("start", "Starting");
    const bridge = pyodide.pyimport("loom.browser");
    progress.report("ready", "Ready");
    return { pyodide, bridge };
  } catch (cause) {
    throw new LoomError(`Loom could not start from ${baseURL}: ${cause.message}`, "LoomError", {
      cause,
    });
  } finally {
    uncount();
  }
}

/** The GPU, for Python. */
const open = async () => (await import("./webgpu.mjs")).open();

/**
 * A promise for Python. Of one that a call returns Pyodide makes another: awaiting that
 * takes half a millisecond more, and what it rejects with is not the error that was thrown.
 */
const later = (target, name, ...values) => ({ promise: target[name](...values) });

async function begin(options) {
  const pyodide = await startPython(options);
  findRest(pyodide, options.indexURL);
  return pyodide;
}

/** Nothing is lost with a start that was kept: what does not fit is forgotten, and told. */
async function anew(options, error) {
  console.warn(`Loom: a start that was kept is dropped: ${error.message}`);
  await dropStarts().catch(() => {}); // another page has it open
  return begin(options);
}

/** What each file belongs to, for people. */
const partOf = (url) => {
  if (url.includes("/numpy-")) return "NumPy";
  return url.includes("/loom_nn-") ? "Loom" : "Python";
};

/** Counts the bytes of `sizes`' files, and tells `onProgress`. */
function progressOf(sizes, onProgress) {
  const parts = new Map(["Python", "NumPy", "Loom"].map((name) => [name, { name }]));
  for (const part of parts.values()) part.loadedBytes = part.totalBytes = 0;
  for (const [url, bytes] of sizes) parts.get(partOf(url)).totalBytes += bytes;
  const sum = (key) => [...parts.values()].reduce((total, part) => total + part[key], 0);
  const report = (stage, label) =>
    onProgress({
      stage,
      label,
      loadedBytes: sum("loadedBytes"),
      totalBytes: sum("totalBytes"),
      parts: [...parts.values()].map((part) => ({ ...part })),
    });
  return {
    report,
    received(url, bytes) {
      const part = parts.get(partOf(url));
      part.loadedBytes += bytes;
      report("download", `Downloading ${part.name}`);
    },
    finish() {
      for (const part of parts.values()) part.loadedBytes = part.totalBytes;
    },
  };
}

async function fetchJSON(url) {
  const reply = await fetch(url);
  if (!reply.ok) {
    throw new LoomError(
      `Loom is not at ${url.href}: the server answered ${reply.status}. ` +
        "Serve the folder web/dist whole, or pass its address as baseURL.",
    );
  }
  return reply.json();
}

/**
 * Count the bytes of `sizes`' files as they stream in. Pyodide fetches them itself and
 * offers no hook, so the global fetch is wrapped until the returned function is called;
 * requests for anything else pass through untouched.
 */
function countFetches(sizes, received) {
  const original = globalThis.fetch;
  let counting = true;
  const count = async (url, reader) => {
    for (;;) {
      const { value, done } = await reader.read();
      if (done || !counting) return;
      received(url, value.byteLength);
    }
  };
  const wrapper = async (input, init) => {
    const reply = await original(input, init);
    const url = typeof input === "string" ? input : (input.url ?? input.href);
    if (counting && reply.ok && reply.body && sizes.has(url)) {
      // A copy is read, since only an original has the browser's compiled code kept with
      // it: the next start compiles nothing. A failure is told to who reads the original.
      count(url, reply.clone().body.getReader()).catch(() => {});
    }
    return reply;
  };
  globalThis.fetch = wrapper;
  return () => {
    counting = false;
    if (globalThis.fetch === wrapper) globalThis.fetch = original;
  };
}
