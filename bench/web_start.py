"""How long does a start take, to the first prediction, and what does it transfer?

Cold: the API in a worker, and the whole page, with nothing kept. Then the page again as
a visitor meets it: the first start fills a profile, and each later start is a Chromium
that is launched anew with that profile. Times count from when the page is asked for; a
prediction is made as soon as the page says that it is ready.
"""

import statistics
import sys
import tempfile
import time

from bench import timing
from tools.wasm import chromium

MOST = 1.0  # s that a second start may take
API = "API in a worker, cold"
PAGE = ("whole page, cold", "whole page, second start", "whole page, third start")
FIRST = """
    const start = performance.now();
    const { loadLoom } = await import("/loom.mjs");
    const { NewNetwork } = await loadLoom({ worker: true });
    const network = await NewNetwork(64, 1, 1, 5, 1);
    const [y] = await network.ForwardCPU(new Float32Array(64));
    return performance.now() - start + 0 * y.length;
"""
# In the page, since to ask from outside takes as long as a frame does.
WATCH = """
    new MutationObserver(async (rows, observer) => {
      if (!("ready" in document.documentElement.dataset)) return;
      observer.disconnect();
      await network.ForwardCPU(new Float32Array(64));
      globalThis.predicted = performance.now();
    }).observe(document, { attributes: true, subtree: true });
"""
KEEP = """
    const { keepOffline } = await import("/offline.mjs");
    return await keepOffline();
"""


def measure(browser, site, options) -> list[dict]:
    """Print the table, medians of 5; a row a kind of start."""
    times = 1 if options.quick else 5
    taken: dict[str, list[tuple[float, int]]] = {}
    wanted = [name for name in (API, *PAGE) if (options.only or "") in name]
    for _ in range(times if API in wanted else 0):
        print(f"{API} ...", file=sys.stderr, flush=True)
        taken.setdefault(API, []).append(api(browser, site))
    for _ in range(times if {*wanted} & {*PAGE} else 0):
        print("whole page ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as profile:
            for name in PAGE:
                figures = page(browser, site, profile, keep=name == PAGE[0])
                taken.setdefault(name, []).append(figures)
    rows = []
    for name in wanted:
        milliseconds, sizes = zip(*taken[name], strict=True)
        middle = statistics.median(milliseconds)
        rows.append(
            {
                "line": name,
                "ms": middle,
                "least_ms": min(milliseconds),
                "bytes": int(statistics.median(sizes)),
                "missed": name == PAGE[1] and middle > 1e3 * MOST,
            }
        )
    if rows:
        print(table(rows))
    return rows


def api(browser, site) -> tuple[float, int]:
    """Milliseconds and bytes of a start in an empty page."""
    blank = chromium.blank(browser, site)
    before = site.sent
    spent = chromium.evaluate(blank, FIRST)
    blank.context.close()
    return spent, site.sent - before


def page(browser, site, profile: str, keep: bool) -> tuple[float, int]:
    """The same of the page, in a Chromium of its own with this profile."""
    context = browser.browser_type.launch_persistent_context(
        profile, executable_path=chromium.found(), args=list(chromium.FLAGS)
    )
    time.sleep(1)  # the browser's own start is not asked for
    tab = context.new_page()
    tab.add_init_script(WATCH)
    before = site.sent
    tab.goto(site.address)
    while not (spent := tab.evaluate("globalThis.predicted ?? 0")):
        time.sleep(0.05)
    sent = site.sent - before
    if keep and not chromium.evaluate(tab, KEEP):
        sys.exit("the build was not kept: there is no second start.")
    tab.wait_for_timeout(1000)  # what was compiled is being written down
    context.close()
    return spent, sent


def table(rows: list[dict]) -> str:
    """Bytes over the wire, and time."""
    cells = [["first prediction", "time", "fastest", "transferred", ""]]
    for row in rows:
        cells.append(
            [
                row["line"],
                timing.duration(row["ms"] / 1e3),
                timing.duration(row["least_ms"] / 1e3),
                f"{row['bytes'] / 1e6:.2f} MB",
                f"at most {MOST:g} s" if row["missed"] else "",
            ]
        )
    return timing.columns(cells)
