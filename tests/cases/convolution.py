"""Cases: convolutions and pooling."""

from hypothesis import strategies as st

from loom.activations import NAMES
from loom.layers import (
    AvgPool1D,
    AvgPool2D,
    Conv1D,
    Conv2D,
    MaxPool1D,
    MaxPool2D,
)
from tests.cases.case import Case, torch_activation


def draw_conv2d(draw):
    h, w = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    padding = draw(st.integers(0, 2))
    kernel = draw(st.integers(1, min(h, w) + 2 * padding))
    c, f = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    stride = draw(st.integers(1, 3))
    name = draw(st.sampled_from(NAMES))
    return Conv2D(h, w, c, kernel, stride, padding, f, name), (c, h, w)


def conv2d_twin(layer, w, x, run):
    import torch.nn.functional as F

    v = F.conv2d(x, w["weight"], w["bias"], layer.stride, layer.padding)
    return torch_activation(layer.activation.name, v)


def draw_conv1d(draw):
    t, c, f = draw(st.integers(1, 7)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    causal = draw(st.booleans())
    padding = 0 if causal else draw(st.integers(0, 2))
    kernel = draw(st.integers(1, 5 if causal else min(5, t + 2 * padding)))
    stride, name = draw(st.integers(1, 3)), draw(st.sampled_from(NAMES))
    seq_length = draw(st.sampled_from([0, t]))
    layer = Conv1D(c, f, kernel, stride, padding, causal, seq_length, name)
    return layer, (t, c)


def conv1d_twin(layer, w, x, run):
    import torch.nn.functional as F

    before = after = layer.padding
    if layer.causal:
        before, after = layer.kernel_size - 1, 0
    x = F.pad(x.transpose(1, 2), (before, after))
    v = F.conv1d(x, w["weight"], w["bias"], layer.stride).transpose(1, 2)
    return torch_activation(layer.activation.name, v)


def draw_pool(kind, rank):
    def draw_layer(draw):
        sizes = draw(st.lists(st.integers(1, 6), min_size=rank, max_size=rank))
        c = draw(st.integers(1, 3))
        shape = (c, *sizes) if rank == 2 else (*sizes, c)
        if draw(st.booleans()) and draw(st.booleans()):
            return kind(0), shape
        padding = draw(st.integers(0, 2))
        least, most = max(1, 2 * padding), min(sizes) + 2 * padding
        kernel = draw(st.integers(least, most))
        return kind(kernel, draw(st.integers(0, 3)), padding), shape

    return draw_layer


def pool_twin(name, rank):
    def twin(layer, w, x, run):
        import torch.nn.functional as F

        pool = getattr(F, f"{name}_pool{rank}d")
        x = x if rank == 2 else x.transpose(1, 2)
        kernel = layer.kernel_size or x.shape[2:]
        y = pool(x, kernel, layer.stride or kernel, layer.padding)
        return y if rank == 2 else y.transpose(1, 2)

    return twin


def pool_case(kind, name, rank):
    shape = (2, 7, 6) if rank == 2 else (9, 3)
    return Case(
        kind,
        draw_pool(kind, rank),
        {
            "halves": lambda: (kind(2), shape),
            "overlap": lambda: (kind(3, 2, 1), shape),
            "global": lambda: (kind(0), shape),
        },
        pool_twin(name, rank),
    )


CASES = (
    Case(
        Conv2D,
        draw_conv2d,
        {
            "same": lambda: (Conv2D(8, 8, 3, 3, 1, 1, 4, "scaled_relu"), (3, 8, 8)),
            "stride": lambda: (Conv2D(9, 7, 2, 3, 2, 0, 3, "tanh"), (2, 9, 7)),
            "large": lambda: (Conv2D(34, 33, 1, 5, 1, 2, 2, "gelu"), (1, 34, 33)),
            "point": lambda: (Conv2D(4, 5, 6, 1, 1, 0, 5, "linear"), (6, 4, 5)),
            "wide": lambda: (Conv2D(4, 4, 2, 5, 3, 2, 3, "softplus"), (2, 4, 4)),
        },
        conv2d_twin,
    ),
    Case(
        Conv1D,
        draw_conv1d,
        {
            "same": lambda: (Conv1D(4, 5, 3, 1, 1, activation="silu"), (10, 4)),
            "stride": lambda: (Conv1D(3, 4, 4, 3, activation="sigmoid"), (11, 3)),
            "causal": lambda: (Conv1D(4, 3, 3, causal=True), (8, 4)),
        },
        conv1d_twin,
    ),
    pool_case(MaxPool2D, "max", 2),
    pool_case(AvgPool2D, "avg", 2),
    pool_case(MaxPool1D, "max", 1),
    pool_case(AvgPool1D, "avg", 1),
)
