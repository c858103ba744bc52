"""Attention, d 512, 8 heads, T 256: forward, and forward with backward."""

from functools import partial

import numpy as np

import loom
from bench.timing import Line, torch_or_none

D, N, T = 512, 8, 256


def build(batch: int, backward: bool) -> dict:
    """forward_cpu and backward_cpu beside torch.nn.MultiheadAttention."""
    net = loom.Network.stack(loom.MultiHeadAttention(D, N, T), seed=1)
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((2, batch, T, D), np.float32)

    def ours():
        y, _ = net.forward_cpu(x)
        if not backward:
            return y
        dx, _ = net.backward_cpu(dy)
        return y, dx, net.gradients()[0]["qkv_weight"]

    found = {"loom": ours}
    torch = torch_or_none()
    if torch is not None:
        model = twin(torch, net.parameters()[0])
        tx, tdy = torch.from_numpy(x), torch.from_numpy(dy)

        def eager():
            if not backward:
                with torch.no_grad():
                    return model(tx, tx, tx, need_weights=False)[0]
            leaf = tx.clone().requires_grad_()
            model.zero_grad()
            y = model(leaf, leaf, leaf, need_weights=False)[0]
            y.backward(tdy)
            return y, leaf.grad, model.in_proj_weight.grad.T

        found["torch"] = eager
    return found


def twin(torch, w: dict[str, np.ndarray]):
    """The same weights as a PyTorch module; in training it takes its general path."""
    model = torch.nn.MultiheadAttention(D, N, batch_first=True)
    turned = {name: torch.from_numpy(a.T.copy()) for name, a in w.items()}
    model.in_proj_weight.data = turned["qkv_weight"]
    model.in_proj_bias.data = turned["qkv_bias"]
    model.out_proj.weight.data = turned["output_weight"]
    model.out_proj.bias.data = turned["output_bias"]
    return model


LINES = tuple(
    Line(
        f"attention d {D}, {N} heads, T {T}, batch {batch}, {what}",
        partial(build, batch, backward),
        {"torch": bar},
        memory=2.0,
        tolerance=3e-5,
    )
    for batch in (4, 32)
    for what, backward, bar in (
        ("forward", False, 1.3),
        ("forward + backward", True, 1.1),
    )
)
