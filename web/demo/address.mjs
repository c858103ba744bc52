// The page's state in its address: whoever opens the link sees the same.
//
// A seed decides every weight and order, so a few numbers are a whole trained network.

const query = new URLSearchParams(location.search);

/** @returns {Record<string, string>} what the address says */
export const fromAddress = () => Object.fromEntries(query);

/** Put values into the address; null takes one out. */
export function toAddress(values) {
  for (const [key, value] of Object.entries(values)) {
    if (value === null || value === "") query.delete(key);
    else query.set(key, value);
  }
  write();
}

// Going back to another section is no way back to settings of then.
addEventListener("popstate", write);

function write() {
  const text = query.toString();
  if (text === location.search.slice(1)) return;
  history.replaceState(null, "", `${location.pathname}${text && `?${text}`}${location.hash}`);
}

/** Points as the address can hold them: on a grid of 255 x 255. */
export const onGrid = (values) => values.map((value) => Math.round(127 * value) / 127);

/** Points (x, y, class) as text: two signed bytes and a class each, base64url. */
export function packPoints(input, target) {
  const bytes = Uint8Array.from({ length: 3 * target.length }, (_, i) => {
    const [point, part] = [Math.floor(i / 3), i % 3];
    return part < 2 ? Math.round(127 * input[2 * point + part]) + 127 : target[point];
  });
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The reverse of packPoints; null for text that is none. */
export function unpackPoints(text, classes) {
  let bytes;
  try {
    bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return null;
  }
  const total = Math.floor(bytes.length / 3);
  if (!total || bytes.length % 3) return null;
  const input = new Float32Array(2 * total);
  const target = new Float32Array(total);
  for (let i = 0; i < total; i++) {
    for (const part of [0, 1]) {
      input[2 * i + part] = Math.min(1, (bytes.charCodeAt(3 * i + part) - 127) / 127);
    }
    target[i] = bytes.charCodeAt(3 * i + 2);
    if (target[i] >= classes) return null;
  }
  return { input, target };
}
