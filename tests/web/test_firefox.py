"""Firefox through WebDriver BiDi: the page trains on the CPU; networks on its GPU."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from agreement import BOTH, CASES, agree, prepared

from loom import examples
from tools.wasm.sources import npm_tree

HERE = Path(__file__).parent / "firefox"
NAMES = ("firefox-esr", "firefox")
TRAINS = """
    const samples = await loom.call("page.Samples", "digits", 1);
    const network = await loom.call("page.NewNetwork", "digits", 1);
    const { input, target } = samples.train;
    const result = await network.TrainAsync([input, target], argument);
    const info = await network.call("GPUInfo");
    await network.ReleaseGPU();
    network.free();
    return { history: result.LossHistory, backend: info.backend };
"""


def driven(script: str, server: str, home: Path, given: object = None) -> dict:
    """What a script of tests/web/firefox prints; `given` is its standard input."""
    found = os.environ.get("LOOM_FIREFOX") or next(
        filter(None, map(shutil.which, NAMES)), None
    )
    if not found:
        message = "no Firefox found: install one, or set LOOM_FIREFOX to its path"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    done = subprocess.run(
        ["node", npm_tree(HERE) / script, server, found],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"HOME": str(home), "TMPDIR": str(home)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_firefox_loads_the_page_and_trains(server, tmp_path):
    result = driven("firefox.mjs", server, tmp_path)
    assert result["problems"] == []
    assert result["foreign"] == []
    assert float(result["metric"].rstrip("%")) >= 96
    assert result["verdict"].startswith("7")
    assert result["version"].startswith("firefox/")
    assert result["kept"] is True
    assert result["again"] == {"missing": False, "y": [0, 0, 0, 0]}


def test_firefox_agrees_and_trains_on_its_gpu(server, tmp_path):
    kinds = {row[0].partition("-")[0]: row for row in reversed(CASES)}  # one of each
    rows = kinds.values()
    cases = [(name, case, prepared(name, case, make)) for name, case, make, _ in rows]
    config = {"BatchSize": 32, "LearningRate": 0.01, "Optimizer": "adam", "Epochs": 2}
    config["LossType"] = "softmax_cross_entropy"
    scripts = [{"script": BOTH, "argument": sent} for _, _, (sent, _) in cases]
    scripts.append({"script": TRAINS, "argument": config | {"UseGPU": True}})
    result = driven("gpu.mjs", server, tmp_path, scripts)
    if not result["adapter"]:
        message = f"{result['version']} gives no WebGPU adapter here"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    *agreeing, trained = result["results"]
    for (name, case, (_, native)), found in zip(cases, agreeing, strict=True):
        agree(found, native, name, case)
    net, task = examples.example("digits").build(1)
    expected = net.train(task.training, config)
    np.testing.assert_allclose(trained["history"], expected.loss_history, rtol=2e-3)
    assert trained["backend"] == "WebGPU"
