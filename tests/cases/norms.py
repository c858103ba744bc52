"""Cases: softmax, the norms over the last axis, and the residual connection."""

from hypothesis import strategies as st

from loom.layers import LayerNorm, Residual, RMSNorm, Softmax
from tests.cases.case import Case


def draw_shape(draw, least=1):
    return tuple(draw(st.lists(st.integers(1, 5), min_size=least, max_size=3)))


def draw_softmax(draw):
    """Any axis from either end, hot and cold."""
    shape = draw_shape(draw)
    axis = draw(st.integers(-len(shape), len(shape) - 1), label="axis")
    return Softmax(axis, draw(st.sampled_from([1.0, 0.5, 3.0]))), shape


def softmax_twin(layer, w, x, run):
    axis = layer.axis + 1 if layer.axis >= 0 else layer.axis
    return (x / layer.temperature).softmax(dim=axis)


def draw_norm(kind, draw):
    """A row of one value has no variance: epsilon alone carries it.

    Near zero a norm bends within sqrt(epsilon), which has to be wide beside the step of
    the differences; the default epsilon is for parity.
    """
    shape = draw_shape(draw)
    return kind(shape[-1], draw(st.sampled_from([1e-3, 0.1]))), shape


def layer_norm_twin(layer, w, x, run):
    import torch.nn.functional as F

    size, epsilon = (layer.size,), layer.epsilon
    return F.layer_norm(x, size, w["weight"], w["bias"], epsilon)


def rms_norm_twin(layer, w, x, run):
    import torch.nn.functional as F

    return F.rms_norm(x, (layer.size,), w["weight"], layer.epsilon)


def draw_residual(draw):
    return Residual((0, 0, 0)), draw_shape(draw)


def residual_twin(layer, w, x, run, source):
    return x + source


CASES = (
    Case(
        Softmax,
        draw_softmax,
        {
            "last": lambda: (Softmax(), (4, 5)),
            "first": lambda: (Softmax(0), (4, 5)),
            "hot": lambda: (Softmax(-2, 2.5), (3, 4, 2)),
        },
        softmax_twin,
    ),
    Case(
        LayerNorm,
        lambda draw: draw_norm(LayerNorm, draw),
        {
            "flat": lambda: (LayerNorm(12), (12,)),
            "time": lambda: (LayerNorm(6, 1e-3), (4, 6)),
        },
        layer_norm_twin,
    ),
    Case(
        RMSNorm,
        lambda draw: draw_norm(RMSNorm, draw),
        {
            "flat": lambda: (RMSNorm(12), (12,)),
            "time": lambda: (RMSNorm(6, 1e-3), (4, 6)),
        },
        rms_norm_twin,
    ),
    Case(
        Residual,
        draw_residual,
        {"time": lambda: (Residual((0, 0, 0)), (4, 5))},
        residual_twin,
    ),
)
