// Runs the checks on every flavour of the kernels that this engine compiles.
//
// In Node: node host.mjs RUNTIME_FOLDER, the result as JSON on the last line.
// In a browser: imported by page.mjs, which posts the result.

const FILES = ["__init__", "bounds", "products", "rows", "steps"].map((name) => `${name}.py`);

/** Python: a flavour -> its worst errors, for those that WebAssembly validates. */
const CHECK = `
import json, sys
from js import WebAssembly
from pyodide.ffi import to_js
sys.path.insert(0, "/home")
import checks
from loom import kernels

json.dumps({
    "chosen": kernels.flavour(),
    "worst": {
        name: checks.run(kernels.load(name))
        for name, probe in kernels.PROBES.items()
        if WebAssembly.validate(to_js(probe))
    },
})
`;

/**
 * @param {string} runtime  path or URL of web/dist/runtime/
 * @param {(file: string) => Promise<string>} read  the text of one of our files
 * @returns {Promise<string>}  JSON {chosen, worst: {flavour: {row: error}}}
 */
export async function check(runtime, read) {
  const { loadPyodide } = await import(`${runtime}pyodide.mjs`);
  const pyodide = await loadPyodide({ indexURL: runtime, packages: ["loom-nn"] });
  pyodide.FS.mkdirTree("/home/checks");
  for (const file of FILES) pyodide.FS.writeFile(`/home/checks/${file}`, await read(file));
  return pyodide.runPython(CHECK);
}

if (globalThis.process?.versions?.node) {
  const { readFile } = await import("node:fs/promises");
  const read = (file) => readFile(new URL(file, import.meta.url), "utf8");
  console.log(await check(process.argv[2], read));
}
