// node inside.mjs RUNTIME OUT REST: runs inside.py in the Pyodide of RUNTIME.
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";

const [runtime, out, rest] = process.argv.slice(2).map((path) => resolve(path));
const { loadPyodide } = await import(`${runtime}/pyodide.mjs`);
const pyodide = await loadPyodide({
  indexURL: `${runtime}/`,
  packages: ["loom-nn"],
  env: { HOME: "/home/loom", PYTHONNODEBUGRANGES: "1" },
});
pyodide.FS.mkdirTree("/out");
pyodide.mountNodeFS("/out", out);
pyodide.FS.writeFile("/tmp/rest.py", await readFile(rest));
const script = await readFile(new URL("inside.py", import.meta.url), "utf8");
pyodide.runPython(`${script}\nmain(Path("/out"), Path("/tmp/rest.py"))\n`);
