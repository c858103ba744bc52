"""Cases: dense and element-wise layers."""

from hypothesis import strategies as st

from loom.activations import NAMES
from loom.layers import Dense, Elementwise
from tests.cases.case import Case, torch_activation


def draw_dense(draw):
    c, f = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    layer = Dense(c, f, draw(st.sampled_from(NAMES)))
    lead = draw(st.lists(st.integers(1, 3), max_size=2))
    return layer, (*lead, c)


def dense_twin(layer, w, x, run):
    return torch_activation(layer.activation.name, x @ w["weight"] + w["bias"])


def draw_elementwise(draw):
    layer = Elementwise(draw(st.sampled_from(NAMES)))
    return layer, tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))


def elementwise_twin(layer, w, x, run):
    return torch_activation(layer.activation.name, x)


CASES = (
    Case(
        Dense,
        draw_dense,
        {
            name: lambda name=name: (Dense(12, 7, name), (12,))
            for name in ("scaled_relu", "tanh", "linear", "softmax", "gelu")
        }
        | {"time": lambda: (Dense(6, 5, "sigmoid"), (4, 6))},
        dense_twin,
    ),
    Case(
        Elementwise,
        draw_elementwise,
        {name: lambda name=name: (Elementwise(name), (4, 5)) for name in NAMES},
        elementwise_twin,
    ),
)
