"""The trimmed runtime: small, quick, and nothing that a user writes breaks."""

import statistics

import pytest

from loom.fabric import site
from tools.wasm.assemble import DIST

PROGRAMS = {
    "random": "np.random.default_rng(1).standard_normal(3).shape == (3,)",
    "legacy random": "np.random.seed(0) or 0 <= np.random.rand() < 1",
    "fft": "bool(abs(np.fft.fft(np.ones(4))[0] - 4) < 1e-6)",
    "linalg": "np.linalg.solve(np.eye(2), [1, 2]).tolist() == [1, 2]",
    "svd": "np.linalg.svd(np.ones((2, 2)))[1].shape == (2,)",
    "savez": """(lambda f: (np.savez(f, a=np.arange(3)), f.seek(0),
        np.load(f)["a"].tolist())[2])(__import__("io").BytesIO()) == [0, 1, 2]""",
    "masked": "np.ma.masked_less([1, 2], 2).count() == 1",
    "polynomial": "np.polynomial.Polynomial([1, 2])(2) == 5",
    "strings": "np.strings.upper(np.array(['a']))[0] == 'A'",
    "testing": "np.testing.assert_allclose(1, 1) is None",
    "unique": "np.unique([2, 1, 2]).tolist() == [1, 2]",
    "histogram": "np.histogram([1, 2], bins=2)[0].tolist() == [1, 1]",
    "re": "__import__('re').sub('a+', 'b', 'caat') == 'cbt'",
    "decimal": "str(__import__('decimal').Decimal('0.1') * 3) == '0.3'",
    "fractions": "str(__import__('fractions').Fraction(1, 3)) == '1/3'",
    "json": "__import__('json').loads('[1]') == [1]",
    "json.tool": "hasattr(__import__('json.tool').tool, 'main')",
    "csv": "list(__import__('csv').reader(['1,2'])) == [['1', '2']]",
    "datetime": "__import__('datetime').date(2020, 1, 2).isoformat() == '2020-01-02'",
    "asyncio": "__import__('asyncio').Queue().empty()",
    "email": "__import__('email.message').message.EmailMessage()['a'] is None",
    "unittest": "hasattr(__import__('unittest.mock').mock, 'Mock')",
    "zipfile": "hasattr(__import__('zipfile'), 'ZipFile')",
    "importlib.metadata": "__import__('importlib.metadata').metadata.version('numpy')",
    "loom.data": "len(__import__('loom.data').data.__doc__) > 0",
}
RUN = """
    const { startRuntime } = await import("/runtime.mjs");
    const { pyodide } = await startRuntime({ baseURL: new URL("/", location).href });
    const out = {};
    pyodide.runPython("import numpy as np");
    for (const [name, code] of Object.entries(argument)) {
      try {
        out[name] = String(pyodide.runPython(code));
      } catch (error) {
        out[name] = error.message;
      }
    }
    return out;
"""
IN_WORKER = """
    import { startRuntime } from "/runtime.mjs";
    const { pyodide } = await startRuntime({ baseURL: self.location.origin + "/" });
    const code = "np.random.rand(2).size + decimal.Decimal(1)";
    self.postMessage(String(pyodide.runPython(`import numpy as np, decimal; ${code}`)));
"""
TRACE = """
import traceback
def wrong():
    raise ValueError("here")
try:
    wrong()
except ValueError:
    text = traceback.format_exc()
text
"""
AWAITED = """
import asyncio
async def one(n):
    await asyncio.sleep(0.01)
    return n
await asyncio.gather(one(1), one(2))
"""


def fresh(browser, server):
    from conftest import Page

    return Page(browser, server).open("blank.html")


def test_everything_is_there_when_it_is_imported(browser, server):
    page = fresh(browser, server)
    got = page.run(RUN, PROGRAMS)
    assert {k: v for k, v in got.items() if v in ("False", "None") or "rror" in v} == {}
    wanted = {f"{server}runtime/rest-{n}.pack" for n in ("stdlib", "numpy", "random")}
    assert wanted <= set(page.requests)
    page.problems = [p for p in page.problems if "Synchronous XMLHttpRequest" not in p]
    page.close()


def test_imports_in_a_worker(browser, server):
    page = fresh(browser, server)
    page.context.route(
        server + "test-worker.mjs",
        lambda route: route.fulfill(content_type="text/javascript", body=IN_WORKER),
    )
    got = page.run("""
        const worker = new Worker("/test-worker.mjs", { type: "module" });
        const { data, message } = await new Promise((resolve) => {
          worker.onmessage = worker.onerror = resolve;
        });
        worker.terminate();
        return data ?? message;
    """)
    assert got == "3"
    page.close()


def test_a_start_fetches_nothing_of_the_rest(browser, server):
    page = fresh(browser, server)
    page.run("""
        const { loadLoom } = await import("/loom.mjs");
        const loom = await loadLoom();
        const network = loom.NewNetwork(4, 1, 1, 2, 1);
        network.SetLayer(0, 0, 0, loom.InitDenseLayer(4, 4, "tanh"));
        network.ForwardCPU(new Float32Array(4));
        network.Train([{ Input: [1, 2, 3, 4], Target: [0, 0, 0, 1] }], { Epochs: 2 });
        network.SaveModelToString("m");
        network.GetMethods();
    """)
    assert [url for url in page.requests if "rest-" in url or ".whl" in url] == []
    page.close()


def test_tracebacks_keep_their_lines_and_asyncio_runs(browser, server):
    page = fresh(browser, server)
    text, awaited, missing = page.run(
        """
        const { startRuntime } = await import("/runtime.mjs");
        const baseURL = new URL("/", location).href;
        const { pyodide } = await startRuntime({ baseURL });
        const text = pyodide.runPython(argument.trace);
        const awaited = (await pyodide.runPythonAsync(argument.awaited)).toJs();
        let missing = "";
        try { pyodide.runPython("import not_a_module"); }
        catch (error) { missing = error.message; }
        return [text, awaited, missing];
        """,
        {"trace": TRACE, "awaited": AWAITED},
    )
    assert ", line 6, in <module>" in text
    assert ", line 4, in wrong" in text
    assert text.endswith("ValueError: here\n")
    assert awaited == [1, 2]
    assert "No module named 'not_a_module'" in missing
    page.problems = [p for p in page.problems if "Synchronous XMLHttpRequest" not in p]
    page.close()


@pytest.mark.parametrize("name", site.START)
def test_the_base_is_small(name, server):
    most = {"python-base.zip": 0.8, "numpy-base.pack": 1.05, "loom_nn-base.pack": 0.3}
    assert (DIST / "runtime" / f"{name}.br").stat().st_size < most[name] * 1e6


def test_half_the_time_of_the_untrimmed_runtime(browser, server):
    """Cold starts to a first prediction, in turn; the medians of three."""
    untrimmed = """
        const { loadPyodide } = await import("/runtime/pyodide.mjs");
        const pyodide = await loadPyodide({ packages: ["loom-nn"] });
        const code = "loom.Network(4, 1, 1, 1, 1).forward_cpu([1] * 4)";
        pyodide.runPython(`import loom; ${code}`);
    """
    trimmed = """
        const { loadLoom } = await import("/loom.mjs");
        const loom = await loadLoom();
        loom.NewNetwork(4, 1, 1, 1, 1).ForwardCPU(new Float32Array(4));
    """
    times = {untrimmed: [], trimmed: []}
    for _ in range(3):
        for code, seen in times.items():
            page = fresh(browser, server)
            timed = f"const start = performance.now(); {code} return performance.now()"
            seen.append(page.run(f"{timed} - start;"))
            page.close()
    before, after = map(statistics.median, times.values())
    assert after <= 0.5 * before, f"{after:.0f} ms, untrimmed {before:.0f} ms"
