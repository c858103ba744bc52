"""Two-dimensional convolution."""

from math import prod

from loom.errors import ConfigError, ShapeError
from loom.gpu.kernels.conv import Sizes
from loom.layers.base import ACTIVATION, Field, Shape, batch_text, too_large
from loom.layers.convolution import Convolution
from loom.linalg import ImageWindows


class Conv2D(Convolution):
    """Convolution of images with square kernels, followed by an activation.

        y[f, h, w] = f(b[f] + sum over c, i, j of
                       W[f, c, i, j] * x[c, h * stride + i, w * stride + j])

    x is padded with `padding` zeros on each side. As everywhere in the field this is a
    cross-correlation: the kernel is not flipped.

    Shapes:  x (B, C, H, W), W (F, C, K, K), b (F,) -> y (B, F, OH, OW), with
             OH = (H + 2 padding - K) // stride + 1, OW likewise; what the stride
             leaves over at the far sides is not looked at. A flat x of C * H * W values
             is taken as (B, C, H, W), one of (B, H, W) where C is 1.
    Cache:   x and the pre-activation or y, whichever f's derivative reads
    Raises:  ConfigError when the kernel is larger than the padded image; ShapeError
             when x is another shape
    Source:  LeCun et al. 1989; as torch.nn.Conv2d
    """

    kind = "conv2d"
    code = 1
    fields = (
        Field("input_height", "InputHeight"),
        Field("input_width", "InputWidth"),
        Field("input_channels", "InputChannels"),
        Field("kernel_size", "KernelSize"),
        Field("stride", "Stride", default=1),
        Field("padding", "Padding", default=0, minimum=0),
        Field("filters", "Filters"),
        ACTIVATION,
    )
    derived = (
        Field("output_height", "OutputHeight"),
        Field("output_width", "OutputWidth"),
    )
    windows = ImageWindows

    def __init__(
        self,
        input_height: int,
        input_width: int,
        input_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        filters: int = 1,
        activation="scaled_relu",
    ):
        super().__init__(
            input_height=input_height,
            input_width=input_width,
            input_channels=input_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            filters=filters,
            activation=activation,
        )

    def check(self) -> None:
        """The kernel fits into the padded image, and the image into memory."""
        c, h, w = self.declared_input_shape()
        p, k = self.padding, self.kernel_size
        if k > min(h, w) + 2 * p:
            raise ConfigError(
                f"Conv2D: expected kernel_size of at most {min(h, w) + 2 * p}, the "
                f"smaller side of an image of {h} x {w} with padding {p}, got {k}. "
                "Use a smaller kernel or more padding."
            )
        padded = c * (h + 2 * p) * (w + 2 * p)
        out = self.filters * self.output_height * self.output_width
        if problem := too_large(max(padded, out)):
            raise ConfigError(f"Conv2D: {problem} Use less padding or fewer filters.")

    @property
    def output_height(self) -> int:
        """OH = (H + 2 padding - K) // stride + 1."""
        return self._positions(self.input_height)

    @property
    def output_width(self) -> int:
        """OW = (W + 2 padding - K) // stride + 1."""
        return self._positions(self.input_width)

    def _positions(self, size: int) -> int:
        return (size + 2 * self.padding - self.kernel_size) // self.stride + 1

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """W (F, C, K, K) and b (F,)."""
        f, c, k = self.filters, self.input_channels, self.kernel_size
        return {"weight": ((f, c, k, k), c * k * k), "bias": ((f,), 0)}

    def declared_input_shape(self) -> Shape:
        """(C, H, W)."""
        return self.input_channels, self.input_height, self.input_width

    def input_shape(self, previous: Shape) -> Shape:
        """(C, H, W) as it is; as many values in one axis; (H, W) where C is 1."""
        wanted = self.declared_input_shape()
        if previous == wanted or (1, *previous) == wanted:
            return wanted
        values = prod(wanted)
        if previous == (values,):
            return wanted
        advice = "Reshape it to (C, H, W) first."
        if len(previous) == 1:
            advice = f"Give it {values} values."
        elif len(previous) == 3:
            advice = (
                f"Set input_channels={previous[0]}, input_height={previous[1]}, "
                f"input_width={previous[2]}."
            )
        raise ShapeError(
            f"expected x of shape {batch_text(wanted)}, got {batch_text(previous)}. "
            f"{advice}"
        )

    def output_shape(self, shape: Shape) -> Shape:
        """(F, OH, OW)."""
        return self.filters, self.output_height, self.output_width

    def _sizes(self, shape: Shape) -> Sizes:
        return Sizes(
            self.input_channels,
            self.filters,
            size=shape[1:],
            out=self.output_shape(shape)[1:],
            kernel=(self.kernel_size,) * 2,
            stride=(self.stride,) * 2,
            padding=(self.padding,) * 2,
        )
