// Starts Pyodide with what a first prediction needs of Python, NumPy and Loom; the rest
// of them is fetched when something imports it. tools/wasm/trim makes the packs.

const BASE = ["numpy-base.pack", "loom_nn-base.pack"];
const SITE = "/lib/python3.14/site-packages/";

/**
 * @param {object} options
 * @param {Function} options.loadPyodide
 * @param {string} options.indexURL  the folder runtime/, with its slash
 * @param {Record<string, string>} options.env
 * @returns {Promise<any>}  pyodide
 */
export async function startPython({ loadPyodide, indexURL, env }) {
  const packs = Promise.all(BASE.map((name) => fetchBytes(indexURL + name)));
  packs.catch(() => {}); // it is awaited below, after Python's own failures
  const pyodide = await loadPyodide({ indexURL, stdLibURL: `${indexURL}python-base.zip`, env });
  for (const bytes of await packs) unpack(pyodide.FS, bytes);
  for (const name of ["numpy", "loom-nn"]) pyodide.loadedPackages[name] = "trimmed";
  const rest = pyodide.pyimport("_loom_rest");
  try {
    rest.install((name) => fetchNow(`${indexURL}rest-${name}.pack`));
  } finally {
    rest.destroy();
  }
  return pyodide;
}

async function fetchBytes(url) {
  const reply = await fetch(url);
  if (!reply.ok) throw new Error(`${url}: the server answered ${reply.status}`);
  return new Uint8Array(await reply.arrayBuffer());
}

/** The length of an index (4 bytes), the index [[path, size]] as JSON, and the files. */
function unpack(FS, bytes) {
  let start = 4 + new DataView(bytes.buffer).getUint32(0, true);
  const index = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  const made = new Set();
  for (const [path, size] of index) {
    const folder = SITE + path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (!made.has(folder)) FS.mkdirTree(folder);
    made.add(folder);
    FS.writeFile(SITE + path, bytes.subarray(start, (start += size)), { canOwn: true });
  }
}

/** A file at once: an import cannot wait. Outside of workers only text may come so. */
function fetchNow(url) {
  const request = new XMLHttpRequest();
  request.open("GET", url, false);
  const inWorker = globalThis.document === undefined;
  if (inWorker) request.responseType = "arraybuffer";
  else request.overrideMimeType("text/plain; charset=x-user-defined");
  request.send();
  if (request.status !== 200) throw new Error(`the server answered ${request.status}`);
  if (inWorker) return new Uint8Array(request.response);
  const text = request.responseText;
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i); // its low 8 bits
  return bytes;
}
