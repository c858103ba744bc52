// A start that is kept. What Python's memory holds when NumPy and Loom are imported is
// written to a file of the browser's once for a build; later starts in a worker read it
// back and import nothing.
//
// Python's memory points into the table of WebAssembly's functions. So the libraries that
// are linked at run time (NumPy's, our kernels) are linked before Python begins, here and
// in every start from here: then each stands in the same place. Pyodide's own snapshot
// gives the references to JavaScript; it knows no libraries.
//
// The file: the length of the head (4 bytes, written last), the head as JSON, and the
// parts that the head names.
import { BASE, PAGE, fetchPacks, findRest, importScripts, startPython } from "./packs.mjs";

const FOLDER = "loom-start";
const PAGE_SIZE = 65536;

/**
 * @typedef {object} Kept
 * @property {object} head  what `made` tells, and the browser
 * @property {(at: number, into: Uint8Array) => Uint8Array} read  from the parts
 * @property {() => void} close
 */

/**
 * The start that is kept, if there is one for here: not in a page's own thread, where
 * JavaScript's globals are others.
 * @param {string | undefined} build  hash of what a start is made of
 * @returns {Promise<Kept | undefined>}
 */
export async function findStart(build) {
  if (!build || globalThis.document) return undefined;
  let file;
  try {
    const handle = await (await folder()).getFileHandle(build);
    file = await handle.createSyncAccessHandle({ mode: "read-only" });
  } catch {
    return undefined; // there is none, or a page that is about to start has it
  }
  const read = (at, into) => {
    if (file.read(into, { at }) === into.length) return into;
    throw new Error("its file is cut off");
  };
  try {
    const [length] = new Uint32Array(read(0, new Uint8Array(4)).buffer);
    const head = JSON.parse(new TextDecoder().decode(read(4, new Uint8Array(length))));
    // Another browser's functions may stand elsewhere.
    if (head.browser !== navigator.userAgent) throw new Error("it is another browser's");
    return { head, read: (at, into) => read(4 + length + at, into), close: () => file.close() };
  } catch {
    file.close();
    return undefined; // it will be made anew
  }
}

/** Whether a start has to be made: there is none of this build for this browser. */
export async function isMissing(baseURL) {
  const build = await buildOf(baseURL);
  if (!build) return false; // `loom page`, which keeps nothing
  try {
    const file = await (await (await folder()).getFileHandle(build)).getFile();
    const [length] = new Uint32Array(await file.slice(0, 4).arrayBuffer());
    const { browser, bytes } = JSON.parse(await file.slice(4, 4 + length).text());
    return browser !== navigator.userAgent || file.size !== 4 + length + bytes;
  } catch {
    return true;
  }
}

/** Forget every start that is kept. */
export async function dropStarts() {
  const root = await navigator.storage.getDirectory();
  await root.removeEntry(FOLDER, { recursive: true });
}

async function folder(options) {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, options);
}

async function buildOf(baseURL) {
  return (await (await fetch(new URL("files.json", baseURL))).json()).build;
}

/**
 * Start Python once more and keep that for later starts of workers, if it is not kept yet.
 * @param {object} options
 * @param {string} options.baseURL  the folder of this file, as it is served
 */
export async function keepStart({ baseURL }) {
  // Two pages may ask at once.
  await navigator.locks.request(FOLDER, async () => {
    if (!(await isMissing(baseURL))) return;
    const { parts, ...rest } = await made(new URL("runtime/", baseURL).href);
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    const text = JSON.stringify({ ...rest, bytes, browser: navigator.userAgent });
    const head = new TextEncoder().encode(text);
    await dropStarts().catch(() => {}); // there was none
    const create = { create: true };
    const handle = await (await folder(create)).getFileHandle(await buildOf(baseURL), create);
    const file = await handle.createSyncAccessHandle();
    try {
      let at = 4;
      for (const part of [head, ...parts]) at += file.write(part, { at });
      file.flush();
      file.write(Uint32Array.of(head.length), { at: 0 }); // from here on it counts
      file.flush();
    } finally {
      file.close();
    }
  });
}

/** A start: `parts`, which is a long list of bytes, and what is where in it. */
async function made(indexURL) {
  const scripts = importScripts(indexURL);
  const files = fetchPacks(indexURL, [...BASE, PAGE]);
  const options = (create) => ({
    createPyodideModule: linkedFirst(create, files),
    _makeSnapshot: true,
  });
  const pyodide = await startPython({ indexURL, scripts, files, options });
  const bridge = pyodide.pyimport("loom.browser");
  bridge.rehearse();
  bridge.destroy();
  const { linkedTable: table, wasmTable, LDSO } = pyodide._module;
  // Functions that were put in the table meanwhile must have left it again.
  for (let i = table; i < wasmTable.length; i++) {
    if (wasmTable.get(i)) throw new Error(`function ${i} came after the libraries`);
  }
  const snapshot = pyodide.makeMemorySnapshot();
  const before = new Uint32Array(snapshot.buffer, 0, 2)[1]; // bytes before the memory
  const memory = snapshot.slice(before);
  const runs = runsOf(memory);
  const contents = (await files).map(([, bytes]) => bytes);
  return {
    size: memory.length,
    table,
    handles: Object.entries(LDSO.loadedLibsByHandle)
      .filter(([handle]) => handle !== "0") // that is Python itself
      .map(([handle, { name }]) => [name, Number(handle)]),
    references: [...snapshot.subarray(0, before)],
    files: (await files).map(([path, bytes]) => [path, bytes.length]),
    runs,
    parts: [...contents, ...runs.map(([at, length]) => memory.subarray(at, at + length))],
  };
}

/**
 * Python as it was when the start was kept.
 * @param {object} options
 * @param {string} options.indexURL
 * @param {Record<string, Promise<any>>} options.scripts  what importScripts gave
 * @param {Kept} options.kept
 * @returns {Promise<any>}  pyodide
 */
export async function goOn({ indexURL, scripts, kept }) {
  const { references, files: rows } = kept.head;
  try {
    const contents = kept.read(0, new Uint8Array(rows.reduce((sum, [, size]) => sum + size, 0)));
    let start = 0;
    const files = Promise.resolve(
      rows.map(([path, size]) => [path, contents.subarray(start, (start += size))]),
    );
    const options = (create) => ({
      createPyodideModule: linkedFirst(create, files, { ...kept, from: contents.length }),
      _loadSnapshot: Uint8Array.from(references),
    });
    const pyodide = await startPython({ indexURL, scripts, files, options });
    findRest(pyodide, indexURL, ["loom"]);
    const random = pyodide.pyimport("random");
    random.seed(); // or every start would draw the same
    random.destroy();
    return pyodide;
  } finally {
    kept.close();
  }
}

function linkedFirst(create, files, kept) {
  const libraries = compiled(files);
  libraries.catch(() => {}); // it is awaited below
  return async (settings) => {
    const make = await create;
    let fail;
    const failed = new Promise((_, reject) => (fail = reject));
    settings.preRun.push((Module) => {
      Module.addRunDependency("libraries");
      libraries
        .then((modules) => {
          link(Module, modules, kept?.head);
          if (kept) Module.onRuntimeInitialized = () => restore(Module, kept);
          Module.removeRunDependency("libraries");
        })
        .catch(fail);
    });
    return Promise.race([make(settings), failed]);
  };
}

/** The WebAssembly among the files that this browser takes and Pyodide links. */
async function compiled(files) {
  const found = (await files).map(async ([path, bytes]) => {
    if (bytes[0] !== 0 || bytes[1] !== 0x61) return []; // "\0asm"
    try {
      const module = await WebAssembly.compile(bytes);
      const linked = WebAssembly.Module.customSections(module, "dylink.0").length > 0;
      return linked ? [[path, module]] : [];
    } catch (error) {
      if (error instanceof WebAssembly.CompileError) return []; // no relaxed SIMD here
      throw error;
    }
  });
  return (await Promise.all(found)).flat();
}

function link(Module, modules, head) {
  if (head) Module.growMemory(head.size);
  for (const [path, module] of modules) {
    const options = { nodelete: true };
    Module.preloadedWasm[path] = Module.loadWebAssemblyModule(module, options, path, {});
  }
  Module.linkedTable = Module.wasmTable.length;
  if (!head) return;
  for (const [path, handle] of head.handles) {
    Module.loadDynamicLibrary(path, { global: false, nodelete: true }, {}, handle);
  }
  if (Module.linkedTable !== head.table || Module.HEAP8.length !== head.size) {
    throw new Error("its functions or its memory would stand elsewhere");
  }
}

function restore({ HEAPU8 }, { head, read, from }) {
  HEAPU8.fill(0);
  let at = from;
  for (const [start, length] of head.runs) {
    read(at, HEAPU8.subarray(start, start + length));
    at += length;
  }
}

/** Where anything is in memory: [start, length] of each run of pages. */
function runsOf(memory) {
  const words = new BigUint64Array(memory.buffer);
  const runs = [];
  for (let at = 0; at < memory.length; at += PAGE_SIZE) {
    if (words.subarray(at / 8, (at + PAGE_SIZE) / 8).every((word) => !word)) continue;
    const last = runs.at(-1);
    if (last && last[0] + last[1] === at) last[1] += PAGE_SIZE;
    else runs.push([at, PAGE_SIZE]);
  }
  return runs;
}
