"""The MLP 784-392-10 (ScaledReLU, sigmoid): forward, and a training step."""

from functools import partial

import numpy as np

import loom
from bench.timing import Line, torch_or_none
from loom.training import Trainer, TrainingConfig

C, H, F, RATE = 784, 392, 10, 0.01


def network() -> loom.Network:
    """The network with weights from a seed."""
    return loom.Network.stack(
        loom.Dense(C, H, "scaled_relu"), loom.Dense(H, F, "sigmoid"), seed=1
    )


def data(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (B, 784) and targets (B, 10)."""
    rng = np.random.default_rng(1)
    return (
        rng.random((batch, C), np.float32),
        rng.random((batch, F), np.float32),
    )


def weights(net: loom.Network) -> list[np.ndarray]:
    """Copies of W1, b1, W2, b2."""
    return [w.copy() for row in net.parameters() for w in row.values()]


def forward(batch: int) -> dict:
    """forward_cpu, checks included, beside the bare formulas."""
    net, (x, _) = network(), data(batch)
    w1, b1, w2, b2 = weights(net)

    def numpy():
        h = x @ w1
        h += b1
        np.maximum(h, 0, out=h)
        h *= 1.1
        y = h @ w2
        y += b2
        np.negative(y, out=y)
        np.exp(y, out=y)
        y += 1
        return np.reciprocal(y, out=y)

    found = {"loom": lambda: net.forward_cpu(x)[0], "numpy": numpy}
    torch = torch_or_none()
    if torch is not None:
        model, tx = twin(torch, net), torch.from_numpy(x)

        def eager():
            with torch.no_grad():
                return model(tx)

        found["torch"] = eager
    return found


def training(batch: int) -> dict:
    """One step of mse and SGD through the Trainer; the weights afterwards."""
    net, (x, t) = network(), data(batch)
    w1, b1, w2, b2 = weights(net)
    config = TrainingConfig(epochs=10**9, learning_rate=RATE, shuffle=False)
    steps = Trainer(net, [(x, t)], config).run()

    def ours():
        while next(steps).kind != "batch":
            pass
        return [list(row.values()) for row in net.parameters()]

    def numpy():
        h = x @ w1
        h += b1
        np.maximum(h, 0, out=h)
        h *= 1.1
        y = h @ w2
        y += b2
        np.negative(y, out=y)
        np.exp(y, out=y)
        y += 1
        np.reciprocal(y, out=y)
        dy = y - t
        np.vdot(dy, dy) / dy.size
        dy *= 2 / dy.size
        dy *= y * (1 - y)
        dh = dy @ w2.T
        dh *= h > 0
        dh *= 1.1
        dw2, db2 = h.T @ dy, dy.sum(axis=0)
        dw1, db1 = x.T @ dh, dh.sum(axis=0)
        for w, g in ((w1, dw1), (b1, db1), (w2, dw2), (b2, db2)):
            g *= RATE
            np.subtract(w, g, out=w)
        return w1, b1, w2, b2

    found = {"loom": ours, "numpy": numpy}
    torch = torch_or_none()
    if torch is not None:
        model = twin(torch, net)
        tx, tt = torch.from_numpy(x), torch.from_numpy(t)
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
        mse = torch.nn.MSELoss()

        def eager():
            optimizer.zero_grad()
            mse(model(tx), tt).backward()
            optimizer.step()
            a, b, c, d = model.parameters()
            return a.T, b, c.T, d

        found["torch"] = eager
    return found


def twin(torch, net: loom.Network):
    """The same network as a PyTorch module."""

    class Twin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(C, H), torch.nn.Linear(H, F)
            for parameter, w in zip(self.parameters(), weights(net), strict=True):
                parameter.data = torch.from_numpy(np.ascontiguousarray(w.T))

        def forward(self, x):
            h = torch.nn.functional.relu(self.first(x)) * 1.1
            return torch.sigmoid(self.second(h))

    return Twin()


LINES = (
    Line(
        "MLP 784-392-10 forward, batch 1",
        partial(forward, 1),
        {"torch": 1.0},
        overhead={"numpy": 15},
    ),
    Line(
        "MLP 784-392-10 forward, batch 64",
        partial(forward, 64),
        {"numpy": 1.3, "torch": 1.15},
    ),
    Line(
        "MLP 784-392-10 training step, batch 64",
        partial(training, 64),
        {"numpy": 1.3, "torch": 1.0},
    ),
)
