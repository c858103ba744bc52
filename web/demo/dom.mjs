// Small helpers for elements and for numbers as people read them.

/** @param {string} id */
export const $ = (id) => document.getElementById(id);

/**
 * A new element: properties (`class`, `text`, `data-…` and `aria-…` among them), then
 * children.
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") element.className = value;
    else if (key === "text") element.textContent = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && !key.startsWith("aria")) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Set a control to what an address says, unless that is none of its values. */
export function fill(control, value) {
  const before = control.value;
  if (control.type === "number" && !Number.isFinite(Number(value))) return;
  if (value) control.value = value;
  if (!control.checkValidity() || control.value === "") control.value = before;
}

/** Show or hide an element. */
export const show = (element, shown = true) => {
  element.hidden = !shown;
};

/** Show an error in a notice, or hide it when there is none. */
export function notice(element, error) {
  element.textContent = error ? (error.message ?? String(error)) : "";
  element.hidden = !error;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12,345 */
export const count = (value) => whole.format(value);

/** 97.5% */
export const percent = (value, digits = 1) => `${(100 * value).toFixed(digits)}%`;

/** Three digits that say something: 0.0123, 1.23, 12.3, 1,234. */
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return count(value);
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4);
}

/** 12.3 MB */
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** A function that runs at most once a frame, with its latest arguments. */
export function eachFrame(draw) {
  let waiting = null;
  return (...values) => {
    if (!waiting) {
      requestAnimationFrame(() => {
        const latest = waiting;
        waiting = null;
        draw(...latest);
      });
    }
    waiting = values;
  };
}
