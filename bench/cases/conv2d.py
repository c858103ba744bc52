"""Conv2D 3x3, 3 to 16 channels, 64x64, batch 32, padding 1: forward, and backward."""

import numpy as np

import loom
from bench.timing import Line, torch_or_none

B, C, F, S, K = 32, 3, 16, 64, 3


def network() -> loom.Network:
    """One convolution with weights from a seed."""
    layer = loom.Conv2D(S, S, C, K, 1, 1, F, "linear")
    return loom.Network.stack(layer, seed=1)


def data() -> tuple[np.ndarray, np.ndarray]:
    """x (B, C, H, W) and dL/dy (B, F, H, W)."""
    rng = np.random.default_rng(1)
    return (
        rng.standard_normal((B, C, S, S), np.float32),
        rng.standard_normal((B, F, S, S), np.float32),
    )


def windows(x: np.ndarray) -> np.ndarray:
    """(B, C * K * K, H * W) of padded x, as a careful person writes it."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (K, K), (2, 3))
    return view.transpose(0, 1, 4, 5, 2, 3).reshape(len(x), C * K * K, S * S)


def by_hand(weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Image by image, so that the windows stay in cache."""
    y = np.empty((B, F, S * S), np.float32)
    for i in range(B):
        np.matmul(weight.reshape(F, -1), windows(x[i : i + 1])[0], out=y[i])
        y[i] += bias[:, None]
    return y.reshape(B, F, S, S)


def by_hand_back(weight, dy, x):
    """dx, dW, db."""
    dx = np.zeros((B, C, S + 2, S + 2), np.float32)
    dw = np.zeros((F, C * K * K), np.float32)
    rows = dy.reshape(B, F, S * S)
    for i in range(B):
        dw += rows[i] @ windows(x[i : i + 1])[0].T
        spread = (weight.reshape(F, -1).T @ rows[i]).reshape(C, K, K, S, S)
        for h in range(K):
            for w in range(K):
                dx[i, :, h : h + S, w : w + S] += spread[:, h, w]
    return dx[:, :, 1:-1, 1:-1], dw.reshape(weight.shape), dy.sum(axis=(0, 2, 3))


def forward() -> dict:
    """forward_cpu, checks included."""
    net, (x, _) = network(), data()
    weight, bias = net.parameters()[0].values()
    found = {
        "loom": lambda: net.forward_cpu(x)[0],
        "numpy": lambda: by_hand(weight, bias, x),
    }
    torch = torch_or_none()
    if torch is not None:
        w, b, tx = (torch.tensor(a) for a in (weight, bias, x))

        def eager():
            with torch.no_grad():
                return torch.nn.functional.conv2d(tx, w, b, padding=1)

        found["torch"] = eager
    return found


def backward() -> dict:
    """forward_cpu and backward_cpu: dx, dW, db."""
    net, (x, dy) = network(), data()
    weight, bias = net.parameters()[0].values()

    def ours():
        net.forward_cpu(x)
        dx, _ = net.backward_cpu(dy)
        return dx, *net.gradients()[0].values()

    def numpy():
        by_hand(weight, bias, x)
        return by_hand_back(weight, dy, x)

    found = {"loom": ours, "numpy": numpy}
    torch = torch_or_none()
    if torch is not None:
        leaves = [torch.tensor(a, requires_grad=True) for a in (x, weight, bias)]
        tdy = torch.tensor(dy)

        def eager():
            y = torch.nn.functional.conv2d(*leaves, padding=1)
            return torch.autograd.grad(y, leaves, tdy)

        found["torch"] = eager
    return found


LINES = (
    Line(
        "Conv2D 3x3, 3 to 16, 64x64, batch 32, forward",
        forward,
        {"torch": 2.5},
        memory=2.0,
    ),
    Line(
        "Conv2D 3x3, 3 to 16, 64x64, batch 32, forward and backward",
        backward,
        {"torch": 2.0},
        memory=2.0,
        tolerance=3e-5,  # dW sums 131,072 products
    ),
)
