// Light, dark, or as the system has it; what is drawn on canvases is told.
import { $ } from "./dom.mjs";

const dark = matchMedia("(prefers-color-scheme: dark)");

const current = () =>
  document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");

/** @param {() => void} redraw  called when the colours have changed */
export function startTheme(redraw) {
  const tell = () => {
    $("theme-label").textContent = current() === "dark" ? "Light colours" : "Dark colours";
  };
  $("theme").addEventListener("click", () => {
    const next = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("loom-theme", next);
    } catch {
      // Storage is blocked: the choice lasts as long as the page.
    }
    tell();
    redraw();
  });
  dark.addEventListener("change", () => {
    tell();
    redraw();
  });
  tell();
}
