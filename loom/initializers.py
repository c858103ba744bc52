"""Wire twins of the layer classes: each gives a layer's configuration as an object.

The configuration holds no weights: the network that it is set in draws them from its
seed, unless the caller adds them (`Kernel`, `Bias`, ...).
"""

from loom.layers import (
    GRU,
    LSTM,
    QRNN,
    RNN,
    SRU,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    MaxPool1D,
    MaxPool2D,
    MultiHeadAttention,
    PositionalEncoding,
    Reshape,
    Residual,
    RMSNorm,
    Softmax,
)
from loom.layers.base import Field

# Kept by no layer, as a batch of any size runs; a wrong one is a mistake all the same.
_BATCH_SIZE = Field("batch_size", "BatchSize")


def init_dense_layer(
    input_size: int, output_size: int, activation: int | str = 0
) -> dict:
    """Configuration of a dense layer, y = f(x @ W + b)."""
    return Dense(input_size, output_size, activation).wire_config(arrays=False)


def init_multi_head_attention_layer(
    d_model: int,
    num_heads: int,
    seq_length: int = 0,
    activation: int | str = "linear",
    causal: bool = False,
    positions: str = "none",
) -> dict:
    """Configuration of multi-head attention over (T, D); positions none or rotary."""
    layer = MultiHeadAttention(
        d_model, num_heads, seq_length, activation, causal, positions
    )
    return layer.wire_config(arrays=False)


def init_rnn_layer(
    input_size: int,
    hidden_size: int,
    batch_size: int = 1,
    seq_length: int = 0,
    return_sequences: bool = True,
) -> dict:
    """Configuration of an Elman network over (T, C); a batch of any size runs."""
    _BATCH_SIZE.check(batch_size, "RNN")
    layer = RNN(input_size, hidden_size, seq_length, return_sequences)
    return layer.wire_config(arrays=False)


def init_lstm_layer(
    input_size: int,
    hidden_size: int,
    batch_size: int = 1,
    seq_length: int = 0,
    return_sequences: bool = True,
) -> dict:
    """Configuration of an LSTM over (T, C); a batch of any size runs."""
    _BATCH_SIZE.check(batch_size, "LSTM")
    layer = LSTM(input_size, hidden_size, seq_length, return_sequences)
    return layer.wire_config(arrays=False)


def init_gru_layer(
    input_size: int,
    hidden_size: int,
    batch_size: int = 1,
    seq_length: int = 0,
    return_sequences: bool = True,
) -> dict:
    """Configuration of a GRU over (T, C); a batch of any size runs."""
    _BATCH_SIZE.check(batch_size, "GRU")
    layer = GRU(input_size, hidden_size, seq_length, return_sequences)
    return layer.wire_config(arrays=False)


def init_qrnn_layer(
    input_size: int,
    hidden_size: int,
    batch_size: int = 1,
    seq_length: int = 0,
    return_sequences: bool = True,
    kernel_size: int = 2,
) -> dict:
    """Configuration of a quasi-recurrent layer over (T, C), gates kernel_size wide."""
    _BATCH_SIZE.check(batch_size, "QRNN")
    layer = QRNN(
        input_size,
        hidden_size,
        seq_length,
        return_sequences,
        kernel_size=kernel_size,
    )
    return layer.wire_config(arrays=False)


def init_sru_layer(
    input_size: int,
    hidden_size: int,
    batch_size: int = 1,
    seq_length: int = 0,
    return_sequences: bool = True,
    activation: int | str = "tanh",
) -> dict:
    """Configuration of a simple recurrent unit with highway over (T, C)."""
    _BATCH_SIZE.check(batch_size, "SRU")
    layer = SRU(
        input_size, hidden_size, seq_length, return_sequences, activation=activation
    )
    return layer.wire_config(arrays=False)


def init_softmax_layer(axis: int = -1, temperature: float = 1.0) -> dict:
    """Configuration of softmax along an axis of a sample."""
    return Softmax(axis, temperature).wire_config(arrays=False)


def init_layer_norm_layer(size: int, epsilon: float = 1e-5) -> dict:
    """Configuration of layer normalisation over a last axis of `size`."""
    return LayerNorm(size, epsilon).wire_config(arrays=False)


def init_rms_norm_layer(size: int, epsilon: float = 1e-5) -> dict:
    """Configuration of root-mean-square normalisation over a last axis of `size`."""
    return RMSNorm(size, epsilon).wire_config(arrays=False)


def init_residual_layer(source_row: int, source_col: int, source_layer: int) -> dict:
    """Configuration of a residual connection from an earlier grid position."""
    source = source_row, source_col, source_layer
    return Residual(source).wire_config(arrays=False)


def init_positional_encoding_layer(
    d_model: int, seq_length: int = 0, positions: str = "sinusoidal"
) -> dict:
    """Configuration of added positions over (T, D), sinusoidal or learned."""
    layer = PositionalEncoding(d_model, seq_length, positions)
    return layer.wire_config(arrays=False)


def init_conv2d_layer(
    input_height: int,
    input_width: int,
    input_channels: int,
    kernel_size: int,
    stride: int,
    padding: int,
    filters: int,
    activation: int | str = 0,
) -> dict:
    """Configuration of a convolution of images (B, C, H, W)."""
    return Conv2D(
        input_height,
        input_width,
        input_channels,
        kernel_size,
        stride,
        padding,
        filters,
        activation,
    ).wire_config(arrays=False)


def init_conv1d_layer(
    input_channels: int,
    filters: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    causal: bool = False,
    seq_length: int = 0,
    activation: int | str = 0,
) -> dict:
    """Configuration of a convolution over time, x (B, T, C)."""
    return Conv1D(
        input_channels,
        filters,
        kernel_size,
        stride,
        padding,
        causal,
        seq_length,
        activation,
    ).wire_config(arrays=False)


def init_max_pool2d_layer(kernel_size: int, stride: int = 0, padding: int = 0) -> dict:
    """Configuration of maximum pooling of images; kernel_size 0 is the whole image."""
    return MaxPool2D(kernel_size, stride, padding).wire_config(arrays=False)


def init_avg_pool2d_layer(kernel_size: int, stride: int = 0, padding: int = 0) -> dict:
    """Configuration of average pooling of images; kernel_size 0 is the whole image."""
    return AvgPool2D(kernel_size, stride, padding).wire_config(arrays=False)


def init_max_pool1d_layer(kernel_size: int, stride: int = 0, padding: int = 0) -> dict:
    """Configuration of maximum pooling over time; kernel_size 0 is the whole of it."""
    return MaxPool1D(kernel_size, stride, padding).wire_config(arrays=False)


def init_avg_pool1d_layer(kernel_size: int, stride: int = 0, padding: int = 0) -> dict:
    """Configuration of average pooling over time; kernel_size 0 is the whole of it."""
    return AvgPool1D(kernel_size, stride, padding).wire_config(arrays=False)


def init_flatten_layer() -> dict:
    """Configuration of a layer that makes each sample one row of values."""
    return Flatten().wire_config(arrays=False)


def init_reshape_layer(shape: list[int]) -> dict:
    """Configuration of a layer that gives each sample another shape."""
    return Reshape(shape).wire_config(arrays=False)


def init_dropout_layer(rate: float = 0.5) -> dict:
    """Configuration of dropout: in training, `rate` of the values become zero."""
    return Dropout(rate).wire_config(arrays=False)


def init_batch_norm_layer(
    size: int, epsilon: float = 1e-5, momentum: float = 0.1
) -> dict:
    """Configuration of batch normalisation of `size` channels."""
    return BatchNorm(size, epsilon, momentum).wire_config(arrays=False)


def init_embedding_layer(vocabulary_size: int, embedding_size: int) -> dict:
    """Configuration of a table with a row for each token id."""
    return Embedding(vocabulary_size, embedding_size).wire_config(arrays=False)
