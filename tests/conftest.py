"""What every test shares: strict NumPy errors and a quick, repeatable Hypothesis."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

settings.register_profile(
    "loom",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("loom")


@pytest.fixture(autouse=True)
def numpy_errors_raise():
    """Overflow, division by zero and invalid values fail; underflow to zero is fine."""
    with np.errstate(all="raise", under="ignore"):
        yield


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """Built as anybody would, by hatchling."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder that pip puts the wheel into; its dependencies are ours."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index"]
    command += ["--quiet", "--target", folder, wheel]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return folder
