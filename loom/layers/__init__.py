"""The layer registry: one row a layer, in the order of its permanent wire code."""

from numbers import Real

from loom.errors import ConfigError, known
from loom.layers.attention import MultiHeadAttention
from loom.layers.avg_pool1d import AvgPool1D
from loom.layers.avg_pool2d import AvgPool2D
from loom.layers.base import EVALUATE, Field, Layer, Run, Weight
from loom.layers.batch_norm import BatchNorm
from loom.layers.conv1d import Conv1D
from loom.layers.conv2d import Conv2D
from loom.layers.dense import Dense
from loom.layers.dropout import Dropout
from loom.layers.elementwise import Elementwise
from loom.layers.embedding import Embedding
from loom.layers.flatten import Flatten
from loom.layers.gru import GRU
from loom.layers.layer_norm import LayerNorm
from loom.layers.lstm import LSTM
from loom.layers.max_pool1d import MaxPool1D
from loom.layers.max_pool2d import MaxPool2D
from loom.layers.positions import PositionalEncoding
from loom.layers.qrnn import QRNN
from loom.layers.reshape import Reshape
from loom.layers.residual import Residual
from loom.layers.rms_norm import RMSNorm
from loom.layers.rnn import RNN
from loom.layers.softmax import Softmax
from loom.layers.sru import SRU

LAYERS: tuple[type[Layer], ...] = (
    Dense,
    Conv2D,
    MultiHeadAttention,
    RNN,
    LSTM,
    Elementwise,
    Conv1D,
    MaxPool2D,
    AvgPool2D,
    Flatten,
    Reshape,
    Softmax,
    Dropout,
    BatchNorm,
    LayerNorm,
    RMSNorm,
    Embedding,
    Residual,
    GRU,
    QRNN,
    SRU,
    MaxPool1D,
    AvgPool1D,
    PositionalEncoding,
)

BY_CODE = {row.code: row for row in LAYERS}
BY_KIND = {name: row for row in LAYERS for name in (row.kind, *row.aliases)}

__all__ = [
    "BY_CODE",
    "BY_KIND",
    "EVALUATE",
    "GRU",
    "LAYERS",
    "LSTM",
    "QRNN",
    "RNN",
    "SRU",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNorm",
    "Conv1D",
    "Conv2D",
    "Dense",
    "Dropout",
    "Elementwise",
    "Embedding",
    "Field",
    "Flatten",
    "Layer",
    "LayerNorm",
    "MaxPool1D",
    "MaxPool2D",
    "MultiHeadAttention",
    "PositionalEncoding",
    "RMSNorm",
    "Reshape",
    "Residual",
    "Run",
    "Softmax",
    "Weight",
    "layer_from_bundle",
    "layer_from_wire",
]


def layer_from_wire(config: dict) -> Layer:
    """The layer of a wire configuration {Type, ...}."""
    if not isinstance(config, dict):
        raise ConfigError(
            f"expected a layer configuration (an object), got {type(config).__name__}."
        )
    code = config.get("Type")
    number = isinstance(code, Real) and not isinstance(code, bool)
    if not number or code not in BY_CODE:
        rows = [f"{row.code} {row.__name__}" for row in LAYERS]
        raise ConfigError(known(code, rows, "layer Type"))
    return BY_CODE[code].from_wire_config(config)


def layer_from_bundle(config: dict) -> Layer:
    """The layer of a bundle's configuration {type, ...}."""
    kind = config.get("type") if isinstance(config, dict) else None
    if not isinstance(kind, str) or kind not in BY_KIND:
        raise ConfigError(known(kind, BY_KIND, "layer type"))
    return BY_KIND[kind].from_bundle_config(config)
