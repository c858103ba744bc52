"""Every gradient of whole random networks, residuals included, in float64."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loom.activations import NAMES
from loom.layers import Embedding
from tests.cases import fill
from tests.cases.networks import draw_network, values
from tests.compare import assert_close
from tests.gradients.differences import central

# Kinks between layers would have most examples looked for in vain.
SMOOTH = [name for name in NAMES if "relu" not in name]


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data())
def test_gradients(data):
    net = draw_network(data.draw, SMOOTH).astype(np.float64)
    seed = data.draw(st.integers(0, 9999), label="seed")
    training = data.draw(st.booleans(), label="training")
    rng = np.random.default_rng(seed)
    for layer in net.layers:
        fill(layer, rng)
    x = values(rng, net, 3)

    def forward() -> np.ndarray:
        net.step = 7  # the same masks each time
        return net.forward(x, training=training)

    y = forward()
    r = rng.standard_normal(y.shape)
    dx = net.backward(r)
    found = [dict(row) for row in net.gradients()]

    def check(what, array, gradient):
        at, expected = central(lambda: float((forward() * r).sum()), array, rng)
        layers = [repr(layer) for layer in net.layers]
        what = f"{what}, training={training} seed={seed} of {layers}"
        assert_close(gradient.reshape(-1)[at], expected, "difference", what, "float64")

    if not isinstance(net.layers[0], Embedding):
        check("dx", x, dx)
    for index, (layer, gradients) in enumerate(zip(net.layers, found, strict=True)):
        assert gradients.keys() == layer.parameters.keys()
        for name, array in layer.parameters.items():
            check(f"layer {index} d{name}", array, gradients[name])
