"""`loom page` of the installed wheel, in Chromium: the page, trained and drawn on."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import Page

import loom
from loom.fabric import vendor
from tools.wasm.sources import cache


@pytest.fixture
def address(installed, server, tmp_path):
    """Served from a cache of just what it needs, which the build has filled."""
    kept = tmp_path / "cache" / "vendor"
    kept.mkdir(parents=True)
    numpy = vendor.python_package("numpy", cache("vendor"))
    for file in (*vendor.RUNTIME, *vendor.CHARTS, vendor.LOCK, numpy):
        shutil.copy(cache("vendor", file.name), kept)
    env = os.environ | {"PYTHONPATH": str(installed), "LOOM_CACHE": str(kept.parent)}
    command = [sys.executable, installed / "bin" / "loom"]
    with subprocess.Popen(
        [*command, "page", "--no-browser", "--port", "0"],
        cwd=tmp_path,
        env=env | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process.stdout.readline().split()[3]
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert errors == ""  # nothing was fetched
    assert process.returncode == 0
    assert not list(tmp_path.glob("loom-page-*"))


def test_the_page_of_the_installed_wheel(browser, address, installed, tmp_path):
    page = Page(browser, address).open_demo()
    window = page.page
    assert window.inner_text("#version") == loom.__version__
    window.fill("#epochs", "12")
    window.click("#start")
    window.wait_for_selector("#stop:not([disabled])", state="attached")
    window.wait_for_selector("#stop[disabled]", state="attached")
    assert float(window.inner_text("#metric").rstrip("%")) > 96
    window.click("#sample")
    window.wait_for_selector("#verdict:not(:empty)")
    # On the GPU it compiles the wheel's shaders.
    window.wait_for_selector("#compare-run:not([disabled])")
    page.run("""
        const net = await loom.NewNetwork(6, 1, 1, 1, 1);
        await net.SetLayer(0, 0, 0, await loom.InitDenseLayer(6, 3, "tanh"));
        const x = Float32Array.of(1, 2, 3, 4, 5, 6);
        const [cpu] = await net.ForwardCPU(x);
        await net.call("InitGPU");
        const [gpu] = await net.ForwardGPU(x);
        if (Math.max(...cpu.map((v, i) => Math.abs(v - gpu[i]))) > 1e-5)
          throw new Error(`${cpu} and ${gpu}`);
        net.free();
    """)
    assert page.run("return (await caches.keys()).length") == 0
    page.close()  # no request to elsewhere, no line in the console
