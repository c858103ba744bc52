// Loom in the browser.
//
//     import { loadLoom } from "./loom.mjs";
//     const { NewNetwork } = await loadLoom({ onProgress: console.log });
//     const network = NewNetwork(784, 1, 1, 2);
//
// Types and the list of methods: loom.d.mts, made by build_wasm.py from the reflection.
import { createAPI } from "./api.mjs";
import { LoomError } from "./errors.mjs";
import { RemoteHost } from "./remote.mjs";

export { LoomError };

/**
 * Load Python, NumPy and Loom.
 * @param {object} [options]
 * @param {boolean} [options.worker]  run in a worker: every method returns a promise
 * @param {string | URL} [options.baseURL]  where web/dist is served; this file's folder
 * @param {(progress: import("./runtime.mjs").Progress) => void} [options.onProgress]
 */
export async function loadLoom({ worker = false, baseURL = import.meta.url, onProgress } = {}) {
  const folder = new URL(".", new URL(baseURL, globalThis.location?.href)).href;
  // In a worker's page nothing of local.mjs is needed.
  const Host = worker ? RemoteHost : (await import("./local.mjs")).LocalHost;
  const host = await Host.start({ baseURL: folder, onProgress });
  return createAPI(host, JSON.parse(await host.describe()));
}
