"""Maximum pooling over time."""

from loom.layers.pool import MaxPool


class MaxPool1D(MaxPool):
    """The greatest value of each window of time, for each channel.

        y[t, c] = max over k < K of x[t * stride + k, c]

    kernel_size 0 is the whole sequence (global pooling); stride 0 is kernel_size.
    Padding never wins. Of equal values the first gets the gradient.

    Shapes:  x (B, T, C) -> y (B, OT, C), OT = (T + 2 padding - K) // stride + 1
    Cache:   x (padded) and y
    Raises:  ConfigError when padding is more than K // 2; ShapeError when x is another
             shape or shorter than a window
    Source:  Collobert et al. 2011; as torch.nn.MaxPool1d, channels last
    """

    kind = "max_pool1d"
    code = 21
    axes = (("length", 0),)
    form = "(B, T, C)"
