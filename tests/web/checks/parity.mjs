// node parity.mjs RUNTIME REPOSITORY [FLAVOUR]: tests/parity in Pyodide, on the kernels.
import { resolve } from "node:path";

const [runtime, repository, flavour] = process.argv.slice(2);
const { loadPyodide } = await import(`${resolve(runtime)}/pyodide.mjs`);
const pyodide = await loadPyodide({
  indexURL: `${resolve(runtime)}/`,
  packages: ["loom-nn"],
  env: { HOME: "/home/loom", ...(flavour && { LOOM_KERNELS: flavour }) },
});
pyodide.FS.mkdirTree("/all/tests");
pyodide.mountNodeFS("/all/tests", `${resolve(repository)}/tests`);
const result = pyodide.runPython(`
import json, sys, types
from loom import kernels

# Only what test_parity.py and the cases ask of them when they are imported.
class Mark:
    def parametrize(self, names, values, ids=None):
        def decorate(function):
            function.rows = [v if isinstance(v, tuple) else (v,) for v in values]
            return function
        return decorate

pytest = types.ModuleType("pytest")
pytest.mark = Mark()
sys.modules["pytest"] = pytest
hypothesis = types.ModuleType("hypothesis")
hypothesis.strategies = types.ModuleType("strategies")
sys.modules["hypothesis"] = hypothesis
sys.modules["hypothesis.strategies"] = hypothesis.strategies
sys.path.append("/all")
from tests.parity import test_parity

count, failures = 0, []
for name, function in vars(test_parity).items():
    if name.startswith("test_"):
        for row in getattr(function, "rows", [()]):
            count += 1
            try:
                function(*row)
            except AssertionError as error:
                failures.append(f"{name}: {error}"[:500])
json.dumps({
    "kernels": kernels.simd and kernels.flavour(),
    "count": count,
    "failures": failures,
})
`);
console.log(result);
