"""What tests on a GPU share: the adapter (lavapipe where there is no other)."""

import os

import pytest

os.environ.setdefault("LOOM_GPU", "software")
os.environ.setdefault("XDG_RUNTIME_DIR", "/tmp")  # or Mesa's Wayland part complains

from loom.errors import DeviceError
from loom.gpu import detector


@pytest.fixture(scope="session")
def adapter():
    """The adapter that LOOM_GPU chooses; a missing one fails in CI, skips elsewhere."""
    try:
        return detector.choose()
    except DeviceError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def device(adapter):
    """That adapter, opened; anew where a module before has lost it."""
    from loom.gpu import native

    return native.opened(adapter)


@pytest.fixture
def net(adapter):
    """A small network on the device."""
    from tests.gpu.nets import make

    net = make()
    net.init_gpu()
    yield net
    net.release_gpu()
