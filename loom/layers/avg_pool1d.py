"""Average pooling over time."""

from loom.layers.pool import AvgPool


class AvgPool1D(AvgPool):
    """The mean of each window of time, for each channel.

        y[t, c] = sum over k < K of x[t * stride + k, c] / K

    kernel_size 0 is the whole sequence (global pooling); stride 0 is kernel_size.
    The zeros of the padding count.

    Shapes:  x (B, T, C) -> y (B, OT, C), OT = (T + 2 padding - K) // stride + 1
    Cache:   shapes alone
    Raises:  ConfigError when padding is more than K // 2; ShapeError when x is another
             shape or shorter than a window
    Source:  Waibel et al. 1989; as torch.nn.AvgPool1d, channels last
    """

    kind = "avg_pool1d"
    code = 22
    axes = (("length", 0),)
    form = "(B, T, C)"
