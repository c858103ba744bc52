"""What every test shares: strict NumPy errors and a quick, repeatable Hypothesis."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

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
