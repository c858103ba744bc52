"""The installed wheel, away from the checkout: shaders, data, kernels and command."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 420 * 1024  # bytes without what is compiled, and what an export copies
COPIED = "loom/kernels/", "loom/export/"

PROGRAM = """
import loom, loom.data, loom.examples
from loom.gpu import shaders
from pathlib import Path

print(Path(loom.__file__).parent)
print([len(loom.data.digits()[1]), len(loom.data.iris().inputs), len(loom.data.text())])
families = sorted(path.stem for path in shaders.folder().glob("*.wgsl"))
print(len(families), all("fn " in shaders.source(name) for name in ("matmul", "loss")))
net, task = loom.examples.example("digits").build(1)
settings = {"Epochs": 2, "BatchSize": 32, "LossType": "softmax_cross_entropy"}
print(net.train(task.training, settings).steps)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built as anybody would, by hatchling."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder that pip puts the wheel into; its dependencies are ours."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index"]
    command += ["--quiet", "--target", folder, wheel]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return folder


def run(installed: Path, *words: str, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(installed), "LOOM_GPU": "none"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_is_small_and_for_every_platform(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as file:
        sizes = {row.filename: row.compress_size for row in file.infolist()}
    copied = sum(n for name, n in sizes.items() if name.startswith(COPIED))
    assert wheel.stat().st_size - copied < LIMIT
    assert not [name for name in sizes if name.startswith(("tests", "bench", "tools"))]
    shaders = {Path(name).name for name in sizes if name.startswith("loom/shaders/")}
    assert shaders == {path.name for path in (ROOT / "shaders").glob("*.wgsl")}


def test_the_installed_package_has_its_data_and_shaders(installed, tmp_path):
    where, counts, shaders, steps = run(
        installed, "-c", PROGRAM, folder=tmp_path
    ).splitlines()
    assert Path(where) == installed / "loom"
    assert counts == "[1797, 150, 31352]"
    count = len(list((ROOT / "shaders").glob("*.wgsl")))
    assert shaders == f"{count} True"
    assert steps == "90"


def test_the_installed_command_trains_evaluates_and_plays(installed, tmp_path):
    loom = (installed / "bin" / "loom").read_text()
    assert "loom.fabric.cli" in loom
    words = [str(installed / "bin" / "loom")]
    text = run(installed, *words, "train", "digits", folder=tmp_path)
    assert "goal 96%: reached" in text
    assert "accuracy 98." in run(
        installed, *words, "evaluate", "digits.loom.json", folder=tmp_path
    )
    assert "all verified" in run(installed, *words, "demo", "15", folder=tmp_path)
