"""80 element-wise layers over 4,096 values: what a new network is made of."""

import numpy as np

import loom
from bench.timing import Line, torch_or_none

N, GRID = 4096, (4, 4, 5)


def data() -> tuple[np.ndarray, np.ndarray]:
    """x and dL/dy (1, 4096)."""
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((2, 1, N), np.float32)
    return x, dy


def chain(torch, x):
    """The five activations in turn, as PyTorch has them."""
    functional = torch.nn.functional
    for _ in range(GRID[0] * GRID[1]):
        x = functional.relu(x) * 1.1
        x = torch.sigmoid(x)
        x = torch.tanh(x)
        x = functional.softplus(x)
        x = functional.leaky_relu(x, 0.1)
    return x


def forward() -> dict:
    """forward_cpu, checks included."""
    net, (x, _) = loom.Network(N, *GRID, seed=1), data()
    found = {"loom": lambda: net.forward_cpu(x)[0]}
    torch = torch_or_none()
    if torch is not None:
        tx = torch.tensor(x)

        def eager():
            with torch.no_grad():
                return chain(torch, tx)

        found["torch"] = eager
    return found


def backward() -> dict:
    """forward_cpu and backward_cpu."""
    net, (x, dy) = loom.Network(N, *GRID, seed=1), data()

    def ours():
        net.forward_cpu(x)
        return net.backward_cpu(dy)[0]

    found = {"loom": ours}
    torch = torch_or_none()
    if torch is not None:
        leaf, tdy = torch.tensor(x, requires_grad=True), torch.tensor(dy)
        found["torch"] = lambda: torch.autograd.grad(chain(torch, leaf), leaf, tdy)[0]
    return found


LINES = (
    Line("80 element-wise layers over 4,096 values, forward", forward, {"torch": 1.3}),
    Line(
        "80 element-wise layers over 4,096 values, forward and backward",
        backward,
        {"torch": 1.3},
        tolerance=1e-4,  # 80 slopes multiplied
    ),
)
