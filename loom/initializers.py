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
    Dense,
    LayerNorm,
    MultiHeadAttention,
    PositionalEncoding,
    Residual,
    RMSNorm,
    Softmax,
)


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
