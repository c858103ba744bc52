"""A start that is kept: later starts go on from Python's memory, and nothing breaks."""

import pytest
from conftest import Page
from test_trimmed import AWAITED, PROGRAMS, TRACE

IN_WORKER = """
    import { startRuntime } from "/runtime.mjs";
    self.onmessage = async ({ data }) => {
      const out = [];
      const baseURL = self.location.origin + "/";
      const { pyodide } = await startRuntime({ baseURL }).catch(
        (error) => self.postMessage([error.message]),
      );
      for (const code of data) {
        try {
          const value = await pyodide.runPythonAsync(code);
          out.push(String(value?.toJs?.() ?? value));
        } catch (error) {
          out.push(error.message);
        }
      }
      self.postMessage(out);
    };
"""
RUN = """
    const run = (codes) => new Promise((resolve, reject) => {
      const worker = new Worker("/test-worker.mjs", { type: "module" });
      worker.onmessage = ({ data }) => { worker.terminate(); resolve(data); };
      worker.onerror = reject;
      worker.postMessage(codes);
    });
"""
KEEP = """
    const { keepOffline } = await import("/offline.mjs");
    return await keepOffline();
"""
FILE = """
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle("loom-start");
    const files = [];
    for await (const entry of folder.values()) files.push(entry);
"""
PREDICT = """
import numpy as np, loom
net = loom.Network.stack(loom.Dense(8, 16, "tanh"), loom.Dense(16, 4), seed=5)
x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(3, 8)
net.train([(x, np.ones((3, 4), np.float32))], {"Epochs": 3, "Verbose": False})
net.forward_cpu(x)[0].tobytes().hex()
"""
BEGUN = "import sys; str('loom.page' in sys.modules)"  # whether it went on from a start
DRAWN = "import random; str(random.random())"


@pytest.fixture
def site(browser, server):
    page = Page(browser, server)
    page.context.route(
        server + "test-worker.mjs",
        lambda route: route.fulfill(content_type="text/javascript", body=IN_WORKER),
    )
    page.open("blank.html")
    yield page
    page.close()


def in_workers(site, *codes: str, count: int = 1) -> list[list[str]]:
    """What each of these codes gives, in workers that start at once."""
    started = f"Array.from({{length: {count}}}, () => run(argument))"
    return site.run(f"{RUN} return Promise.all({started});", list(codes))


def kept(site) -> None:
    assert site.run(KEEP) is True
    site.open("blank.html")  # of the service worker from here on


def test_it_goes_on_and_gives_the_same_numbers(site):
    ((begun, before),) = in_workers(site, BEGUN, PREDICT)
    assert begun == "False"
    kept(site)
    ((begun, after),) = in_workers(site, BEGUN, PREDICT)
    assert begun == "True"
    assert (len(before), after) == (2 * 3 * 4 * 4, before)


def test_nothing_that_a_user_writes_breaks(site):
    kept(site)
    codes = ["import numpy as np", *PROGRAMS.values(), TRACE, AWAITED, BEGUN]
    ((_, *values, trace, awaited, begun),) = in_workers(site, *codes)
    got = dict(zip(PROGRAMS, values, strict=True))
    assert {k: v for k, v in got.items() if v in ("False", "None") or "rror" in v} == {}
    assert ", line 4, in wrong" in trace
    assert (awaited, begun) == ("1,2", "True")


def test_no_two_starts_draw_the_same(site):
    kept(site)
    rows = [in_workers(site, DRAWN)[0][0] for _ in range(3)]
    assert len(set(rows)) == 3


def test_two_pages_may_keep_and_start_at_once(site):
    assert site.run("""
        const { keepOffline } = await import("/offline.mjs");
        return await Promise.all([keepOffline(), keepOffline()]);
    """) == [True, True]
    assert site.run(f"{FILE} return files.length;") == 1
    site.open("blank.html")
    rows = in_workers(site, PREDICT, count=2)
    assert rows[0] == rows[1]
    assert "rror" not in rows[0][0]


@pytest.mark.parametrize("size", [0, 2, 100, 4_000_000])
def test_a_file_that_is_cut_off_is_dropped(site, size):
    """As by a full disk: the start is anew, and is told where it had been taken up."""
    kept(site)
    site.run(
        f"""{FILE}
        const cut = await files[0].createWritable({{ keepExistingData: true }});
        await cut.truncate(argument);
        await cut.close();
        """,
        size,
    )
    ((begun, value),) = in_workers(site, BEGUN, PREDICT)
    assert (begun, len(value)) == ("False", 2 * 3 * 4 * 4)
    told = [p for p in site.problems if "a start that was kept is dropped" in p]
    site.problems = [p for p in site.problems if p not in told]
    assert len(told) == (1 if size > 100 else 0)  # else its head was cut


def test_another_browsers_start_is_not_taken_up(site):
    """Its functions may stand elsewhere; it is made anew."""
    kept(site)
    change = f"""{FILE}
        const [file] = files;
        const text = await (await file.getFile()).slice(0, 3000).text();
        const at = text.indexOf("Mozilla");
        const writing = await file.createWritable({{ keepExistingData: true }});
        await writing.write({{ type: "write", position: at, data: "Nozilla" }});
        await writing.close();
    """
    site.run(change)
    assert in_workers(site, BEGUN) == [["False"]]
    assert site.run(KEEP) is True
    assert in_workers(site, BEGUN) == [["True"]]
