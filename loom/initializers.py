"""Wire twins of the layer classes: each gives a layer's configuration as an object.

The configuration holds no weights: the network that it is set in draws them from its
seed, unless the caller adds them (`Kernel`, `Bias`, ...).
"""

from loom.layers import Dense


def init_dense_layer(
    input_size: int, output_size: int, activation: int | str = 0
) -> dict:
    """Configuration of a dense layer, y = f(x @ W + b)."""
    return Dense(input_size, output_size, activation).wire_config(arrays=False)
