"""One-dimensional convolution, over time."""

from loom.errors import ConfigError, ShapeError
from loom.gpu.kernels.conv import Sizes
from loom.layers.base import ACTIVATION, Field, Shape, too_large
from loom.layers.convolution import Convolution
from loom.layers.sequence import sequence_shape
from loom.linalg import SequenceWindows


class Conv1D(Convolution):
    """Convolution over time, followed by an activation.

        y[t, f] = f(b[f] + sum over c, k of W[f, c, k] * x[t * stride + k, c])

    x is padded with `padding` zeros at both ends; with `causal` it is padded with K - 1
    zeros in front instead, so that y[t] sees nothing after x[t * stride].

    Shapes:  x (B, T, C), W (F, C, K), b (F,) -> y (B, OT, F), with
             OT = (T + 2 padding - K) // stride + 1, or (T - 1) // stride + 1 if causal.
             A flat sample of T * C values becomes (T, C). seq_length fixes T; 0: any.
    Cache:   x and the pre-activation or y, whichever f's derivative reads
    Raises:  ConfigError when padding is given with causal, or the kernel is longer than
             seq_length padded; ShapeError when x is another shape or too short
    Source:  Waibel et al. 1989 (time-delay networks); van den Oord et al. 2016
             (causal); as torch.nn.Conv1d, channels last
    """

    kind = "conv1d"
    code = 6
    fields = (
        Field("input_channels", "InputChannels"),
        Field("filters", "Filters"),
        Field("kernel_size", "KernelSize"),
        Field("stride", "Stride", default=1),
        Field("padding", "Padding", default=0, minimum=0),
        Field("causal", "Causal", bool, False),
        Field("seq_length", "SeqLength", default=0, minimum=0),
        ACTIVATION,
    )
    windows = SequenceWindows

    def __init__(
        self,
        input_channels: int,
        filters: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        causal: bool = False,
        seq_length: int | None = 0,
        activation="scaled_relu",
    ):
        super().__init__(
            input_channels=input_channels,
            filters=filters,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            causal=causal,
            seq_length=0 if seq_length is None else seq_length,
            activation=activation,
        )

    def check(self) -> None:
        """Causal sets the padding itself; the kernel fits where T is known."""
        if self.causal and self.padding:
            raise ConfigError(
                f"Conv1D: expected padding 0 with causal, which pads with kernel_size "
                f"- 1 zeros in front, got {self.padding}. Leave one of them out."
            )
        t = self.seq_length
        if t and (problem := self._problem(t)):
            raise ConfigError(f"Conv1D: {problem}")

    def _padding(self) -> tuple[int, int]:
        """Zeros before and after."""
        return (self.kernel_size - 1, 0) if self.causal else (self.padding,) * 2

    def _problem(self, t: int) -> str:
        """What is wrong with a sequence of t steps, or ""."""
        k, most = self.kernel_size, t + sum(self._padding())
        if k > most:
            return (
                f"expected kernel_size of at most {most}, a sequence of {t} with "
                f"padding {self.padding}, got {k}. Use a smaller kernel or more "
                "padding."
            )
        problem = too_large(most * max(self.input_channels, self.filters))
        return problem and f"{problem} Use less padding or fewer filters."

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """W (F, C, K) and b (F,)."""
        f, c, k = self.filters, self.input_channels, self.kernel_size
        return {"weight": ((f, c, k), c * k), "bias": ((f,), 0)}

    def declared_input_shape(self) -> Shape | None:
        """(T, C) where seq_length is set."""
        return (self.seq_length, self.input_channels) if self.seq_length else None

    def input_shape(self, previous: Shape) -> Shape:
        """(T, C) as it is; a flat sample of T * C values becomes (T, C)."""
        shape = sequence_shape(
            previous, self.seq_length, self.input_channels, "input_channels"
        )
        if problem := self._problem(shape[0]):
            raise ShapeError(problem)
        return shape

    def output_shape(self, shape: Shape) -> Shape:
        """(OT, F)."""
        t = shape[0] + sum(self._padding())
        return (t - self.kernel_size) // self.stride + 1, self.filters

    def _sizes(self, shape: Shape) -> Sizes:
        return Sizes(
            self.input_channels,
            self.filters,
            size=(1, shape[0]),
            out=(1, self.output_shape(shape)[0]),
            kernel=(1, self.kernel_size),
            stride=(1, self.stride),
            padding=(0, self._padding()[0]),
            last=True,
        )
