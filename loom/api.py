"""The functions that stand beside Network on every bridge, under their wire names.

`__all__` is the list: NewNetwork, one initialiser for each layer type, LoadModel...
"""

from loom import initializers, serialization
from loom.activations import ACTIVATIONS
from loom.initializers import *  # noqa: F403
from loom.layers import LAYERS
from loom.network import Network


def new_network(
    input_size: int,
    grid_rows: int,
    grid_cols: int,
    layers_per_cell: int,
    seed: int | None = None,
) -> Network:
    """A network of element-wise activation layers, to be filled by SetLayer."""
    return Network(input_size, grid_rows, grid_cols, layers_per_cell, seed)


def load_model_from_string(text: str | dict, model_id: str | None = None) -> Network:
    """The network of a bundle's JSON text; without an id the first."""
    return serialization.load_model_from_string(text, model_id)


def load_model(path: str, model_id: str | None = None) -> Network:
    """The network of a bundle file; without an id the first."""
    return serialization.load_model(path, model_id)


def list_activations() -> list[dict]:
    """The activation table: code, name and formula of each."""
    return [
        {"code": row.code, "name": row.name, "formula": row.formula}
        for row in ACTIVATIONS
    ]


def list_layers() -> list[dict]:
    """The layer table: code, name, type in bundles, and a line of text for each."""
    return [
        {
            "code": row.code,
            "name": row.__name__,
            "type": row.kind,
            "doc": (row.__doc__ or "").split("\n")[0],
        }
        for row in LAYERS
    ]


def get_version() -> str:
    """Loom's version."""
    from loom import __version__

    return __version__


__all__ = [
    "new_network",
    *(name for name in vars(initializers) if name.startswith("init_")),
    "load_model_from_string",
    "load_model",
    "list_activations",
    "list_layers",
    "get_version",
]
