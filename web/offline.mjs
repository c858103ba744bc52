// Keeps this build for starts without a network; see service-worker.js.
import { isMissing } from "./kept.mjs";

/**
 * Call it when the page is ready, so that nothing is fetched twice at once. Where service
 * workers are not to be had (no HTTPS, a private window) it does nothing. A start is kept
 * too (kept.mjs), made in a worker of its own.
 * @param {string | URL} [baseURL]  where web/dist is served; this file's folder
 * @returns {Promise<boolean>}  whether the build is kept
 */
export async function keepOffline(baseURL = import.meta.url) {
  const { serviceWorker } = globalThis.navigator ?? {};
  if (!serviceWorker) return false;
  try {
    const script = new URL("service-worker.js", baseURL);
    const { active, installing, waiting } = await serviceWorker.register(script);
    const worker = installing ?? waiting ?? active;
    while (!["activated", "redundant"].includes(worker.state)) {
      if (worker.state === "installed" && active) break; // it waits for the next start
      await new Promise((resolve) =>
        worker.addEventListener("statechange", resolve, { once: true }),
      );
    }
    if (worker.state === "redundant") return false;
    const folder = new URL(".", baseURL).href;
    if (await isMissing(folder)) await keepStart(folder);
    return true;
  } catch {
    return false; // storage denied or full: the page works, with a network
  }
}

async function keepStart(baseURL) {
  const worker = new Worker(new URL("worker.mjs", baseURL), { type: "module" });
  try {
    await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (data.failure ? reject(data.failure) : resolve());
      worker.onerror = reject;
      worker.postMessage({ id: 0, op: "keep", baseURL });
    });
  } finally {
    worker.terminate();
  }
}
