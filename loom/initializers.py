"""Wire twins of the layer classes: each gives a layer's configuration as an object.

The configuration holds no weights: the network that it is set in draws them from its
seed, unless the caller adds them (`Kernel`, `Bias`, ...).
"""

from loom.layers import (
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    MaxPool1D,
    MaxPool2D,
    Reshape,
)


def init_dense_layer(
    input_size: int, output_size: int, activation: int | str = 0
) -> dict:
    """Configuration of a dense layer, y = f(x @ W + b)."""
    return Dense(input_size, output_size, activation).wire_config(arrays=False)


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
