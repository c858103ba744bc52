"""Networks on the GPU beside PyTorch CUDA and our own CPU."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import loom
from bench.gpu_trip import Trip
from loom.gpu.builder import Builder
from loom.gpu.kernels import matmul, move
from loom.gpu.lower import lower
from loom.training import TrainingConfig

TOLERANCE = 1e-4  # of the greatest value, GPU beside CPU
CALLS = 200, 50  # of a small batch in a row; those before, while the host wakes up


@dataclass(frozen=True)
class Network:
    """A network's forward pass, and forward with backward, by the device's clock.

    Attributes:
        name: what it is.
        make: () -> the network.
        rows: samples of a batch.
        twin: torch -> the same network there, of random weights.
        backward: both passes, or forward alone.
        bar: the greatest ratio to PyTorch's device time.
        verify: compare with the CPU first (what takes the CPU too long is not).
    """

    name: str
    make: Callable[[], loom.Network]
    rows: int
    twin: Callable[[Any], Any]
    backward: bool
    bar: float = 0.0
    verify: bool = True

    def measure(self, bench):
        """Verify, then time by turns: the device, PyTorch's device, our CPU."""
        from bench.gpu import Measured, wall

        net = self.make()
        rng = np.random.default_rng(1)
        x = rng.standard_normal((self.rows, *net.input_shape), np.float32)
        net.init_gpu()
        y, _ = net.forward_gpu(x)
        dy = rng.standard_normal(y.shape, np.float32)
        both = ("forward", "backward")

        def on_cpu():
            net.forward_cpu(x)
            if self.backward:
                net.backward_cpu(dy)

        if self.verify:
            self._compare("y", y, net.forward_cpu(x)[0])
        if self.backward:
            dx, _ = net.backward_gpu(dy)
            if self.verify:
                net.forward_cpu(x)
                self._compare("dx", dx, net.backward_cpu(dy)[0])
        mode = "gradients" if self.backward else "forward"
        program = bench.device.load(
            lower(net, self.rows, mode, limits=bench.device.limits)
        )
        program.write("x", x)
        parts = both if self.backward else both[:1]
        if self.backward:
            program.write("dy", dy)
        contenders = {"loom": lambda: program.measure(parts)[0] / 1e3}
        if bench.torch is not None:
            contenders["torch"] = bench.events(self._torch(bench.torch, x))
        rounds = bench.turns(contenders)
        if self.verify:
            rounds["loom cpu"] = np.full(bench.rounds, wall(on_cpu)())
        program.close()
        net.release_gpu()
        bars = {"torch": self.bar} if self.bar else {}
        bars |= {"loom cpu": 1.0} if not bench.device.limits.software else {}
        return Measured(self.name, rounds, bars)

    def _torch(self, torch, x) -> Callable[[], Any]:
        model = self.twin(torch).cuda()
        leaf = torch.from_numpy(x).cuda()
        if not self.backward:

            def forward():
                with torch.no_grad():
                    model(leaf)

            return forward
        leaf.requires_grad_()
        dy = torch.randn_like(_first(model(leaf)))

        def run():
            leaf.grad = None
            model.zero_grad()
            _first(model(leaf)).backward(dy)

        return run

    def _compare(self, what: str, actual, expected) -> None:
        apart = np.abs(actual.reshape(expected.shape) - expected).max()
        if not apart <= TOLERANCE * np.abs(expected).max():
            sys.exit(f"{self.name}: {what} is {apart:.2g} apart from the CPU's")


def _first(value):
    return value[0] if isinstance(value, tuple) else value


def _stack(shape, *layers) -> Callable[[], loom.Network]:
    return lambda: loom.Network.stack(*layers, input_shape=shape, seed=1)


def _attention(d: int, heads: int, causal: bool):
    def make(torch):
        class Attention(torch.nn.Module):
            """The four products and scaled_dot_product_attention."""

            def __init__(self):
                super().__init__()
                self.qkv, self.out = torch.nn.Linear(d, 3 * d), torch.nn.Linear(d, d)

            def forward(self, x):
                b, t, _ = x.shape
                parts = self.qkv(x).view(b, t, 3, heads, d // heads)
                q, k, v = parts.permute(2, 0, 3, 1, 4)
                y = torch.nn.functional.scaled_dot_product_attention(
                    q, k, v, is_causal=causal
                )
                return self.out(y.transpose(1, 2).reshape(b, t, d))

        return Attention()

    return make


def _chain(torch):
    class Chain(torch.nn.Module):
        """Loom's five activations in turn, 16 times."""

        def forward(self, x):
            functional = torch.nn.functional
            for _ in range(16):
                x = torch.sigmoid(functional.relu(x) * 1.1)
                x = functional.softplus(torch.tanh(x))
                x = functional.leaky_relu(x, 0.1)
            return x

    return Chain()


def _mlp(torch):
    nn = torch.nn
    return nn.Sequential(nn.Linear(784, 392), nn.ReLU(), nn.Linear(392, 10))


def device_lines(limits) -> list[Network]:
    """The issue's shapes; on a processor that plays a GPU, smaller batches."""
    small = limits.software
    b, t = (2, 32) if small else (32, 256)
    rows = [
        (
            f"attention d 512, 8 heads, T {t}, batch {b}",
            _stack((t, 512), loom.MultiHeadAttention(512, 8)),
            b,
            _attention(512, 8, False),
            (1.15, 1.4),
        ),
        (
            f"Conv2D 3 to 16, 64 x 64, batch {b}",
            _stack((3, 64, 64), loom.Conv2D(64, 64, 3, 3, 1, 1, 16, "linear")),
            b,
            lambda torch: torch.nn.Conv2d(3, 16, 3, padding=1),
            (1.5, 1.5),
        ),
        (
            "80 element-wise layers over 4,096 values",
            lambda: loom.Network(4096, 4, 4, 5, seed=1),
            1,
            _chain,
            (0.2, 0.2),
        ),
        *(
            (
                f"{kind} 64 to 128, T 50, batch {b}",
                _stack((50, 64), getattr(loom, kind)(64, 128)),
                b,
                lambda torch, kind=kind: getattr(torch.nn, kind)(
                    64, 128, batch_first=True
                ),
                (1.0, 1.0),
            )
            for kind in ("RNN", "LSTM", "GRU")
        ),
        (
            "MLP 784-392-10, batch 64",
            _stack((784,), loom.Dense(784, 392, "relu"), loom.Dense(392, 10, "linear")),
            64,
            _mlp,
            (1.0, 1.0),
        ),
    ]
    if not small:
        rows += [
            (
                f"attention d 512, 8 heads, T {t}, batch {batch}, causal",
                _stack((t, 512), loom.MultiHeadAttention(512, 8, causal=True)),
                batch,
                _attention(512, 8, True),
                (0, 0),
            )
            for t, batch in ((1024, 4), (2048, 2), (4096, 1), (16384, 1))
        ]
    return [
        Network(
            f"{name}, {'forward + backward' if backward else 'forward'}",
            make,
            batch,
            twin,
            bool(backward),
            bars[backward],
            # The CPU would take minutes for the longest sequences.
            verify="T 4096" not in name and "T 16384" not in name,
        )
        for name, make, batch, twin, bars in rows
        for backward in (0, 1)
    ]


@dataclass(frozen=True)
class SmallBatch:
    """The MLP's forward pass beside two empty round trips: submit, and read 40 bytes.

    `empty` goes by Loom's own means (recorded ahead, memory that is shared), `plain`
    the ordinary way (gpu_trip). The better one is the bar.
    """

    rows: int

    @property
    def name(self) -> str:
        """What is timed."""
        return f"MLP 784-392-10, batch {self.rows}, forward"

    def measure(self, bench):
        """Write, run and read, by turns with the empty round trips and PyTorch."""
        from bench.gpu import Measured, wall

        net = _mlp_net()
        x = np.random.default_rng(1).standard_normal((self.rows, 784), np.float32)
        net.init_gpu()
        b = Builder(limits=bench.device.limits)
        b.output("y", move.copy(b, b.input("x", (1, 10))))
        empty = bench.device.load(b.finish())
        plain = Trip(bench.device.raw)
        if not np.array_equal(plain(), np.arange(10)):
            sys.exit(f"{self.name}: the plain round trip brings something else")
        contenders = {
            "loom": wall(lambda: net.forward_gpu(x), *CALLS),
            "empty": wall(lambda: empty.run(("forward",), ("y",)), *CALLS),
            "plain": wall(plain, *CALLS),
        }
        if bench.torch is not None:
            torch = bench.torch
            model, source = _mlp(torch).cuda(), torch.from_numpy(x)

            def eager():
                with torch.no_grad():
                    return model(source.cuda()).cpu()

            contenders["torch"] = wall(eager, *CALLS)
        rounds = bench.turns(contenders, awake(bench.device))
        empty.close()
        net.release_gpu()
        # The best round trip is the bar: what disturbs it would hide our own time.
        for name in ("empty", "plain"):
            rounds[name] = np.full(bench.rounds, rounds[name].min())
        best = min(("empty", "plain"), key=lambda name: rounds[name][0])
        return Measured(self.name, rounds, {best: 1.3})


def awake(device) -> Callable[[], None]:
    """A call that brings the clocks up, which sink where all work is small."""
    size = 64 if device.limits.software else 2048
    b = Builder(limits=device.limits)
    x = y = b.input("x", (size, size))
    for _ in range(4):
        y = matmul.matmul(b, y, x)
    b.output("y", y)
    program = device.load(b.finish())

    def work() -> None:
        for _ in range(1 if device.limits.software else 8):
            program.run(("forward",))
        device.finish()

    return work


@dataclass(frozen=True)
class Step:
    """A training step of the MLP at batch 64: mse, plain gradient descent."""

    name: str = "MLP 784-392-10, batch 64, training step"
    steps: int = 50

    def measure(self, bench):
        """Steps in a row on one batch, data to the device each time."""
        from bench.gpu import Measured, wall

        net = _mlp_net()
        rng = np.random.default_rng(1)
        x = rng.standard_normal((64, 784), np.float32)
        t = rng.standard_normal((64, 10), np.float32)
        net.init_gpu()
        config = TrainingConfig(
            epochs=self.steps, learning_rate=1e-3, shuffle=False, use_gpu=True
        )
        run = wall(lambda: net.train([(x, t)], config))
        contenders = {"loom": lambda: run() / self.steps}
        if bench.torch is not None:
            contenders["torch"] = wall(self._torch(bench.torch, x, t), self.steps)
        rounds = bench.turns(contenders, awake(bench.device))
        net.release_gpu()
        return Measured(self.name, rounds, {"torch": 1.0})

    def _torch(self, torch, x, t) -> Callable[[], Any]:
        model = _mlp(torch).cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        data, target = torch.from_numpy(x), torch.from_numpy(t)

        def step():
            optimizer.zero_grad()
            y = model(data.cuda())
            loss = torch.nn.functional.mse_loss(y, target.cuda())
            loss.backward()
            optimizer.step()
            return loss.item()

        return step


def _mlp_net() -> loom.Network:
    return loom.Network.stack(
        loom.Dense(784, 392, "relu"), loom.Dense(392, 10, "linear"), seed=1
    )


def wall_lines() -> list:
    """Batches so small that the way to the device is what counts."""
    return [SmallBatch(1), SmallBatch(64), Step()]
