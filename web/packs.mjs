// Starts Pyodide with what a first prediction needs of Python, NumPy and Loom; the rest
// of them is fetched when something imports it. tools/wasm/trim makes the packs.

export const BASE = ["numpy-base.pack", "loom_nn-base.pack"];
/** Loom's own rest, which the page imports at once. */
export const PAGE = "rest-loom.pack";
const SCRIPTS = ["pyodide.mjs", "pyodide.asm.mjs"];
const SITE = "/lib/python3.14/site-packages/";

/** @typedef {[string, Uint8Array][]} Files  paths, and what is in the files */

/**
 * @param {string} indexURL  the folder runtime/, with its slash
 * @returns {Record<string, Promise<any>>}  Pyodide's modules, by URL
 */
export function importScripts(indexURL) {
  const urls = SCRIPTS.map((name) => indexURL + name);
  const scripts = urls.map((url) => import(url));
  for (const script of scripts) script.catch(() => {}); // they are awaited by startPython
  return Object.fromEntries(urls.map((url, i) => [url, scripts[i]]));
}

/**
 * @param {object} options
 * @param {string} options.indexURL
 * @param {Record<string, Promise<any>>} options.scripts  what importScripts gave
 * @param {Promise<Files>} [options.files]  what Python finds as its site-packages
 * @param {(create: Promise<Function>) => object} [options.options]
 *   further options of loadPyodide
 * @returns {Promise<any>}  pyodide, before findRest
 */
export async function startPython({
  indexURL,
  scripts,
  files = fetchPacks(indexURL, BASE),
  options = (create) => ({ createPyodideModule: async (settings) => (await create)(settings) }),
}) {
  const [first, second] = Object.values(scripts);
  const create = second.then((module) => module.default);
  for (const promise of [create, files]) promise.catch(() => {}); // awaited below
  const putBack = compileNow(`${indexURL}pyodide.asm.wasm`);
  let pyodide;
  try {
    const { loadPyodide } = await first;
    pyodide = await loadPyodide({
      indexURL,
      stdLibURL: `${indexURL}python-base.zip`,
      env: { HOME: "/home/loom" },
      ...options(create),
    });
  } finally {
    putBack();
  }
  const made = new Set();
  for (const [path, bytes] of await files) {
    const folder = path.slice(0, path.lastIndexOf("/"));
    if (!made.has(folder)) pyodide.FS.mkdirTree(folder);
    made.add(folder);
    pyodide.FS.writeFile(path, bytes, { canOwn: true });
  }
  return pyodide;
}

/**
 * Compile Pyodide's WebAssembly while its JavaScript is still on the way. Pyodide begins
 * after that, and offers no hook but the global functions that it calls.
 * @returns {() => void}  puts them back
 */
function compileNow(url) {
  const { fetch } = globalThis;
  const { instantiateStreaming } = WebAssembly;
  const compiled = WebAssembly.compileStreaming(fetch(url));
  compiled.catch(() => {}); // Pyodide tells of it
  globalThis.fetch = (input, init) => (String(input) === url ? compiled : fetch(input, init));
  WebAssembly.instantiateStreaming = async (source, imports) => {
    const module = await source;
    if (!(module instanceof WebAssembly.Module)) return instantiateStreaming(module, imports);
    return { module, instance: await WebAssembly.instantiate(module, imports) };
  };
  return () => {
    globalThis.fetch = fetch;
    WebAssembly.instantiateStreaming = instantiateStreaming;
  };
}

/**
 * Let imports find the rest, and Pyodide know what is there.
 * @param {any} pyodide
 * @param {string} indexURL
 * @param {string[]} there  packs that were unpacked already
 */
export function findRest(pyodide, indexURL, there = []) {
  for (const name of ["numpy", "loom-nn"]) pyodide.loadedPackages[name] = "trimmed";
  const rest = pyodide.pyimport("_loom_rest");
  try {
    rest.install((name) => fetchNow(`${indexURL}rest-${name}.pack`), ...there);
  } finally {
    rest.destroy();
  }
}

/**
 * @param {string} indexURL
 * @param {string[]} names  of packs
 * @returns {Promise<Files>}
 */
export async function fetchPacks(indexURL, names) {
  const packs = await Promise.all(names.map((name) => fetchBytes(indexURL + name)));
  return packs.flatMap(filesOf);
}

async function fetchBytes(url) {
  const reply = await fetch(url);
  if (!reply.ok) throw new Error(`${url}: the server answered ${reply.status}`);
  return new Uint8Array(await reply.arrayBuffer());
}

/** The length of an index (4 bytes), the index [[path, size]] as JSON, and the files. */
function filesOf(bytes) {
  let start = 4 + new DataView(bytes.buffer).getUint32(0, true);
  const index = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  return index.map(([path, size]) => [SITE + path, bytes.subarray(start, (start += size))]);
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
