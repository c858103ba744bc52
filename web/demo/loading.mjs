// The start of the page: what is being loaded, in bytes, and what to do if it fails.
import { loadLoom } from "../loom.mjs";
import { $, make, megabytes, notice, show } from "./dom.mjs";

/** The latest that was told, and who is told of it: no one until the page is there. */
let latest;
let tell = () => {};
let loading = begin(); // at once: Python starts while the page is drawn

function begin() {
  const onProgress = (event) => tell((latest = event));
  const started = loadLoom({ worker: true, onProgress });
  started.catch(() => {}); // load() tells of it
  return started;
}

/**
 * Loom in a worker, showing each part's bytes meanwhile.
 * @returns {Promise<object>}  the API
 */
export async function load() {
  for (;;) {
    tell = display();
    if (latest) tell(latest);
    try {
      return await loading;
    } catch (error) {
      notice($("loading-message"), error);
      show($("loading-error"));
      await new Promise((resolve) => $("retry").addEventListener("click", resolve, { once: true }));
      show($("loading-error"), false);
      loading = begin();
    }
  }
}

/** What shows progress, from nothing. */
function display() {
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
  return ({ stage: now, parts, loadedBytes, totalBytes }) => {
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
  };
}
