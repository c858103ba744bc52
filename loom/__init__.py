"""Loom: one neural network, the same in a browser page, on any GPU and in C.

import loom

net = loom.Network.stack(loom.Dense(64, 32), loom.Dense(32, 10, "linear"))
result = net.train((images, labels), {"Epochs": 20, "BatchSize": 32})
net.save_model("digits.loom.json")
"""

__version__ = "0.1.0"

from loom import pods
from loom.activations import ACTIVATIONS, Activation, activation
from loom.api import *  # noqa: F403
from loom.api import __all__ as _functions
from loom.errors import (
    ConfigError,
    DeviceError,
    FormatError,
    InputError,
    LoomError,
    ShapeError,
    TrainingError,
    WireError,
)
from loom.layers import *  # noqa: F403
from loom.layers import __all__ as _layers
from loom.network import Network
from loom.serialization import (
    load_bundle,
    load_bundle_from_string,
    save_bundle,
    save_bundle_to_string,
    save_model,
    save_model_to_string,
    serialize_model,
)

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ConfigError",
    "DeviceError",
    "FormatError",
    "InputError",
    "LoomError",
    "Network",
    "ShapeError",
    "TrainingError",
    "WireError",
    "activation",
    "load_bundle",
    "load_bundle_from_string",
    "pods",
    "save_bundle",
    "save_bundle_to_string",
    "save_model",
    "save_model_to_string",
    "serialize_model",
    *_functions,
    *_layers,
]
