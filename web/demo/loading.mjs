// The start of the page: what is being loaded, in bytes, and what to do if it fails.
import { loadLoom } from "../loom.mjs";
import { $, make, megabytes, notice, show } from "./dom.mjs";

/**
 * Load Loom in a worker, showing each part's bytes.
 * @returns {Promise<object>}  the API
 */
export async function load() {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      notice($("loading-message"), error);
      show($("loading-error"));
      await new Promise((resolve) => $("retry").addEventListener("click", resolve, { once: true }));
      show($("loading-error"), false);
    }
  }
}

async function attempt() {
  const stages = new Map();
  $("stages").replaceChildren();
  $("loading").setAttribute("aria-busy", "true");
  const stage = (name) => {
    if (!stages.has(name)) {
      const bar = make("progress", { max: 1, value: 0, "aria-label": name });
      const figure = make("span", { text: "–" });
      const title = make("span", { text: name });
      $("stages").append(make("li", {}, make("div", { class: "name" }, title, figure), bar));
      stages.set(name, { bar, figure });
    }
    return stages.get(name);
  };
  return loadLoom({
    worker: true,
    onProgress({ stage: now, parts, loadedBytes, totalBytes }) {
      for (const part of parts) {
        const { bar, figure } = stage(part.name);
        const share = part.loadedBytes / part.totalBytes;
        bar.value = share;
        figure.textContent =
          share >= 1
            ? megabytes(part.totalBytes)
            : `${(part.loadedBytes / 1e6).toFixed(1)} of ${megabytes(part.totalBytes)}`;
      }
      const { bar, figure } = stage("Start");
      if (now === "start") bar.removeAttribute("value"); // under way, no one knows how long
      if (now === "ready") bar.value = 1;
      figure.textContent = { download: "–", start: "starting", ready: "ready" }[now];
      $("loading-bytes").textContent = `${megabytes(loadedBytes)} of ${megabytes(totalBytes)}`;
    },
  });
}
