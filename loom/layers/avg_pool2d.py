"""Average pooling of images."""

from loom.layers.pool import AvgPool


class AvgPool2D(AvgPool):
    """The mean of each window of an image.

        y[c, h, w] = sum over i, j < K of x[c, h * stride + i, w * stride + j] / K^2

    kernel_size 0 is the whole image (global pooling); stride 0 is kernel_size.
    The zeros of the padding count.

    Shapes:  x (B, C, H, W) -> y (B, C, OH, OW), with
             OH = (H + 2 padding - K) // stride + 1, OW likewise
    Cache:   shapes alone
    Raises:  ConfigError when padding is more than K // 2; ShapeError when x is another
             shape or smaller than a window
    Source:  LeCun et al. 1989; as torch.nn.AvgPool2d
    """

    kind = "avg_pool2d"
    code = 8
    axes = (("width", 2), ("height", 1))
    form = "(B, C, H, W)"
