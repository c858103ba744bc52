// Runs kernel_checks.py on every flavour of the kernels that this engine compiles.
//
// In Node: node kernel_host.mjs RUNTIME_FOLDER, the result as JSON on the last line.
// In a browser: imported by kernel_host.html, which posts the result.

/** Python: a flavour -> its worst errors, for those that WebAssembly validates. */
const CHECK = `
import json, sys
from js import WebAssembly
from pyodide.ffi import to_js
sys.path.insert(0, "/checks")
import kernel_checks
from loom import kernels

json.dumps({
    "chosen": kernels.flavour(),
    "worst": {
        name: kernel_checks.run(kernels.load(name))
        for name, probe in kernels.PROBES.items()
        if WebAssembly.validate(to_js(probe))
    },
})
`;

/**
 * @param {string} runtime  path or URL of web/dist/runtime/
 * @param {string} checks   the text of kernel_checks.py
 * @returns {Promise<string>}  JSON {chosen, worst: {flavour: {row: error}}}
 */
export async function check(runtime, checks) {
  const { loadPyodide } = await import(`${runtime}pyodide.mjs`);
  const pyodide = await loadPyodide({ indexURL: runtime, packages: ["loom-nn"] });
  pyodide.FS.mkdirTree("/checks");
  pyodide.FS.writeFile("/checks/kernel_checks.py", checks);
  return pyodide.runPython(CHECK);
}

if (globalThis.process?.versions?.node) {
  const { readFile } = await import("node:fs/promises");
  const file = new URL("kernel_checks.py", import.meta.url);
  console.log(await check(process.argv[2], await readFile(file, "utf8")));
}
