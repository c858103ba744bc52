"""Maximum pooling of images."""

from loom.layers.pool import MaxPool


class MaxPool2D(MaxPool):
    """The greatest value of each window of an image.

        y[c, h, w] = max over i, j < K of x[c, h * stride + i, w * stride + j]

    kernel_size 0 is the whole image (global pooling); stride 0 is kernel_size.
    Padding never wins. Of equal values the first, row by row, gets the gradient.

    Shapes:  x (B, C, H, W) -> y (B, C, OH, OW), with
             OH = (H + 2 padding - K) // stride + 1, OW likewise
    Cache:   x (padded), and each stage's result
    Raises:  ConfigError when padding is more than K // 2; ShapeError when x is another
             shape or smaller than a window
    Source:  Ranzato et al. 2007; as torch.nn.MaxPool2d
    """

    kind = "max_pool2d"
    code = 7
    axes = (("width", 2), ("height", 1))
    form = "(B, C, H, W)"
