"""RNN, LSTM and GRU, 64 to 128, T 50, batch 32: forward, and forward with backward."""

from functools import partial

import numpy as np

import loom
from bench.timing import Line, torch_or_none

C, H, T, B = 64, 128, 50, 32


def build(kind: str, backward: bool) -> dict:
    """forward_cpu and backward_cpu beside the module of torch.nn of that name."""
    net = loom.Network.stack(getattr(loom, kind)(C, H, T), seed=1)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((B, T, C), np.float32)
    dy = rng.standard_normal((B, T, H), np.float32)

    def ours():
        y, _ = net.forward_cpu(x)
        if not backward:
            return y
        dx, _ = net.backward_cpu(dy)
        return y, dx, net.gradients()[0]["weight_hh"]

    found = {"loom": ours}
    torch = torch_or_none()
    if torch is not None:
        model = twin(torch, kind, net.parameters()[0])
        tx, tdy = torch.from_numpy(x), torch.from_numpy(dy)

        def eager():
            if not backward:
                with torch.no_grad():
                    return model(tx)[0]
            leaf = tx.clone().requires_grad_()
            model.zero_grad()
            y = model(leaf)[0]
            y.backward(tdy)
            return y, leaf.grad, model.weight_hh_l0.grad

        found["torch"] = eager
    return found


def twin(torch, kind: str, w: dict[str, np.ndarray]):
    """The same weights as a PyTorch module; its second bias is zero, as ours begin."""
    model = getattr(torch.nn, kind)(C, H, batch_first=True)
    model.weight_ih_l0.data = torch.from_numpy(w["weight_ih"].copy())
    model.weight_hh_l0.data = torch.from_numpy(w["weight_hh"].copy())
    model.bias_ih_l0.data = torch.from_numpy(w["bias"].copy())
    model.bias_hh_l0.data = torch.zeros_like(model.bias_hh_l0)
    return model


LINES = tuple(
    Line(
        f"{kind} {C} to {H}, T {T}, batch {B}, {what}",
        partial(build, kind, backward),
        {"torch": bar},
        tolerance=3e-5,
    )
    for kind, bars in (("RNN", (1.0, 1.0)), ("LSTM", (2.5, 1.7)), ("GRU", (1.0, 1.0)))
    for what, backward, bar in (
        ("forward", False, bars[0]),
        ("forward + backward", True, bars[1]),
    )
)
