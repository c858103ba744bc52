"""What init_gpu may be asked for, and the session that it opens."""

from loom.errors import ConfigError, known
from loom.gpu.session import Session

PRECISIONS = ("f32", "f16", "auto")
DEVICES = ("one", "all")


def check_options(precision: str, devices: str) -> None:
    """Raise ConfigError for a name that init_gpu does not know."""
    if precision not in PRECISIONS:
        raise ConfigError(f"init_gpu: {known(precision, PRECISIONS, 'precision')}")
    if devices not in DEVICES:
        raise ConfigError(f"init_gpu: {known(devices, DEVICES, 'devices')}")


def open_session(net, precision: str, devices: str) -> Session:
    """A session on the GPU that LOOM_GPU chooses, or on all of its kind.

    The one that is open is closed, unless there is no such GPU.
    """
    from loom.gpu.detector import adapters, choose, kind

    check_options(precision, devices)
    first = choose()
    net.release_gpu()
    if devices == "all":
        same = [row for row in adapters() if kind(row) == kind(first)]
        if len(same) > 1:
            from loom.gpu.team import Team

            return Team(net, same, precision).opened_as(precision, devices)
    return Session(net, first, precision).opened_as(precision, devices)
