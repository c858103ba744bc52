// Boots Pyodide with NumPy and our wheel, and reports the bytes as they come.
import { LoomError } from "./errors.mjs";

/**
 * @typedef {object} Progress
 * @property {"download" | "start" | "ready"} stage
 * @property {string} label        words for people
 * @property {number} loadedBytes  of all files together, unpacked
 * @property {number} totalBytes
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
  const { files } = await fetchJSON(new URL("files.json", baseURL));
  const sizes = new Map(
    Object.entries(files).map(([path, bytes]) => [new URL(path, baseURL).href, bytes]),
  );
  const totalBytes = [...sizes.values()].reduce((a, b) => a + b, 0);
  let loadedBytes = 0;
  const report = (stage, label) => onProgress({ stage, label, loadedBytes, totalBytes });
  const received = (bytes) => {
    loadedBytes += bytes;
    report("download", "Downloading Python and NumPy");
  };
  report("download", "Downloading Python and NumPy");

  const indexURL = new URL("runtime/", baseURL).href;
  const imported = async (name) => {
    const module = await import(indexURL + name);
    received(sizes.get(indexURL + name));
    return module;
  };
  const uncount = countFetches(sizes, received);
  try {
    const [{ loadPyodide }] = await Promise.all([
      imported("pyodide.mjs"),
      imported("pyodide.asm.mjs"),
    ]);
    const pyodide = await loadPyodide({
      indexURL,
      packages: ["loom-nn"],
      env: { HOME: "/home/loom" },
    });
    loadedBytes = totalBytes;
    report("start", "Starting Loom");
    const bridge = pyodide.pyimport("loom.browser");
    report("ready", "Ready");
    return { pyodide, bridge };
  } catch (cause) {
    throw new LoomError(`Loom could not start from ${baseURL}: ${cause.message}`, "LoomError", {
      cause,
    });
  } finally {
    uncount();
  }
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
  const wrapper = async (input, init) => {
    const reply = await original(input, init);
    const url = typeof input === "string" ? input : (input.url ?? input.href);
    if (!counting || !reply.ok || !reply.body || !sizes.has(url)) return reply;
    const counter = new TransformStream({
      transform(chunk, controller) {
        received(chunk.byteLength);
        controller.enqueue(chunk);
      },
    });
    // WebAssembly compiles while it streams only if the type is kept.
    return new Response(reply.body.pipeThrough(counter), {
      status: reply.status,
      statusText: reply.statusText,
      headers: { "Content-Type": reply.headers.get("Content-Type") ?? "" },
    });
  };
  globalThis.fetch = wrapper;
  return () => {
    counting = false;
    if (globalThis.fetch === wrapper) globalThis.fetch = original;
  };
}
