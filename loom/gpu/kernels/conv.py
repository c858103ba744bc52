"""Convolutions of images and sequences, and their gradients (shaders/conv.wgsl).

Each is a tiled product whose windows are read from the image; where a processor plays
the GPU, the kernel without tiles of shaders/conv_alone.wgsl.
"""

from dataclasses import dataclass

from loom.activations import Activation
from loom.gpu.kernels.matmul import (
    LINEAR,
    Epilogue,
    Operand,
    choose,
    combine,
    round_up,
    spread,
)
from loom.gpu.kernels.reduce import channel_sum
from loom.gpu.program import ROUNDS, Tensor

FORWARD, INPUT, WEIGHTS = 0, 1, 2
ROWS = 16  # of the product, to a thread of the kernel without tiles
Pair = tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """One convolution: pairs are (height, width); a sequence has height 1.

    last: channels come last, (B, T, C); else (B, C, H, W).
    """

    channels: int
    filters: int
    size: Pair
    out: Pair
    kernel: Pair
    stride: Pair
    padding: Pair
    last: bool = False

    def overrides(self) -> dict[str, int]:
        """The shader's."""
        names = ["C", "F", "H", "W", "OH", "OW", "KH", "KW", "SH", "SW", "PH", "PW"]
        pairs = (self.size, self.out, self.kernel, self.stride, self.padding)
        values = [self.channels, self.filters, *(n for pair in pairs for n in pair)]
        return dict(zip(names, values, strict=True)) | {"LAST": self.last}


def conv(
    b,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    sizes: Sizes,
    *,
    activation: Activation | None = None,
    keep: bool = False,
):
    """y = f(x * weight + bias); (y, v) with keep, v before f.

    Shapes:  x (B, C, H, W), weight (F, C, KH, KW), bias (F,) -> (B, F, OH, OW); with
             sizes.last x (B, T, C), weight (F, C, K) -> (B, OT, F)
    """
    batch, out = x.shape[0], sizes.out[0] * sizes.out[1]
    if sizes.last:
        shape = (batch, out, sizes.filters)
    else:
        shape = (batch, sizes.filters, *sizes.out)
    y = b.tensor(shape)
    before = b.tensor(shape) if keep else None
    overrides = {"MODE": FORWARD, "BIAS": True, "KEEP": keep}
    overrides |= {"VEC": not sizes.last and out % 4 == 0}
    if activation is not None and activation.code != LINEAR:
        overrides["ACTIVATION"] = activation.code
    inside = weight.size // sizes.filters
    _run(
        b,
        (sizes.filters, batch * out, inside),
        sizes,
        [weight, x, bias],
        [y, before],
        overrides,
    )
    return (y, before) if keep else y


def conv_backward(
    b,
    dv: Tensor,
    x: Tensor,
    weight: Tensor,
    sizes: Sizes,
    dweight: Tensor,
    dbias: Tensor,
    need_dx: bool = True,
) -> Tensor | None:
    """dx; dweight and dbias are written. dv is the gradient before the activation."""
    batch, f = x.shape[0], sizes.filters
    out, size = sizes.out[0] * sizes.out[1], sizes.size[0] * sizes.size[1]
    channel_sum(b, dv, f, dbias, run=1 if sizes.last else out)
    _weights(b, dv, x, sizes, dweight)
    if not need_dx:
        return None
    dx = b.tensor(x.shape)
    taps = sizes.kernel[0] * sizes.kernel[1]
    _run(
        b,
        (sizes.channels, batch * size, f * taps),
        sizes,
        [weight, dv, None],
        [dx, None],
        {"MODE": INPUT, "VEC": not sizes.last and size % 4 == 0},
    )
    return dx


def _weights(b, dv: Tensor, x: Tensor, sizes: Sizes, dweight: Tensor) -> None:
    f = sizes.filters
    n = dweight.size // f
    batch, out = x.shape[0], sizes.out[0] * sizes.out[1]
    fours = -(-sizes.out[1] // 4)  # rounds of a row
    alone = b.limits.alone(fours)
    if alone:
        tile, k = None, batch * sizes.out[0]  # a step is a row of a sample
        groups = -(-f // ROWS) * -(-sizes.channels * sizes.kernel[0] // 4)
        splits = max(1, min(256 // groups, k), -(-k // (ROUNDS // fours)))
        k_split = -(-k // splits)
    else:
        tile, _ = choose(b.limits, f, n, 1, 1)
        k = batch * round_up(out, tile.bk)
        # The sum is over the whole batch: as many splits as keep the device busy.
        splits = max(1, min(512 // tile.count(f, n), k // 256, 256))
        k_split = round_up(round_up(k, splits) // splits, tile.bk)
    splits = -(-k // k_split)
    # The kernel writes sums in float32; as halves `combine` writes them.
    direct = splits == 1 and dweight.dtype == "f32"
    part = dweight if direct else b.scratch((splits, f, n))
    _run(
        b,
        (f, n, k),
        sizes,
        [dv, x, None],
        [part, None],
        {"MODE": WEIGHTS, "VEC": n % 4 == 0},
        alone=alone,
        tile=tile,
        splits=(splits, k_split),
    )
    if not direct:
        combine(b, part, Operand(dweight, n), (f, n), splits, Epilogue())


def _run(
    b, size, sizes, reads, writes, overrides, *, alone=None, tile=None, splits=None
) -> None:
    m, n, k = size
    splits, k_split = splits or (1, k)
    features: tuple[str, ...] = ()
    if b.limits.alone(k) if alone is None else alone:
        entry = "alone"
        n, kind = _alone(sizes, m, n, overrides["MODE"])
        groups = -(-m // kind["TM"]) * round_up(n, 4)
        blocks = -(-groups // 8)
        overrides = overrides | kind
        if b.limits.subgroups:
            features, overrides["QUADS"] = ("subgroups",), True
    else:
        entry = "tiled"
        tile = tile or choose(b.limits, m, n, 1, 1)[0]
        blocks = groups = tile.count(m, n)
        overrides = overrides | tile.overrides()
    b.dispatch(
        "conv",
        entry,
        reads=reads,
        writes=writes,
        params=[m, n, k, groups, k_split],
        groups=(*spread(b, blocks), splits),
        overrides={k: v for k, v in overrides.items() if v is not False}
        | sizes.overrides(),
        features=features,
    )


def _alone(sizes: Sizes, m: int, n: int, mode: int) -> tuple[int, dict[str, int]]:
    """Places of the threads of the kernel without tiles, and its overrides."""
    height, width = sizes.kernel
    chunks = -(-width // 4)
    kind = {"ALONE": True, "TM": -(-m // -(-m // ROWS)), "TAPS": -(-width // chunks)}
    if mode == WEIGHTS:
        return sizes.channels * height * chunks, kind | {"VEC": False}
    across = (sizes.out if mode == FORWARD else sizes.size)[1]
    kind["VEC"] = not sizes.last and across % 4 == 0
    return n // across * -(-across // 4), kind
