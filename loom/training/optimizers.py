"""The optimizer table, with PyTorch's formulas, in place on the parameters.

g is dL/dw after clipping; t counts steps from 1. Each optimizer keeps the arrays named
in `slots`, of the shape of w, for each parameter. Updates run over blocks that stay in
the cache, without temporaries.

Clipping (torch.nn.utils.clip_grad_norm_): g *= min(1, clip / (norm + 1e-6)), with the
norm over the gradients of all parameters together.
"""

from math import isfinite, sqrt

import numpy as np

from loom.errors import TrainingError
from loom.linalg import by_kernel, square_sum

Array = np.ndarray
_BLOCK = 1 << 15  # values: five float32 arrays of it fit a 1 MB cache


class Optimizer:
    """What all optimizers share: places, state, clipping and the finiteness check."""

    name = ""
    code = -1
    formula = ""
    slots: tuple[str, ...] = ()

    def __init__(self, net, config):
        self.config = config
        self.steps = 0
        self.state: dict[tuple[int, str], tuple[Array, ...]] = {}
        self._layers = []
        largest, dtype = 1, np.float32
        for index, layer in enumerate(net.layers):
            for name, w in layer.parameters.items():
                self.state[index, name] = tuple(np.zeros_like(w) for _ in self.slots)
                largest, dtype = max(largest, w.size), w.dtype
            if layer.parameters:
                self._layers.append((index, layer.parameters))
        size = min(largest, _BLOCK)
        self._scratch = np.empty(size, dtype), np.empty(size, dtype)

    def step(self, gradients: list[dict[str, Array]], rate: float) -> float:
        """Clip, check and apply one step; the gradients' global norm.

        Raises TrainingError when a gradient is not finite; nothing is changed then.
        """
        norm = global_norm(gradients)
        clip = self.config.gradient_clip
        scale = clip / (norm + 1e-6) if clip else 1.0
        if scale < 1:
            for row in gradients:
                for g in row.values():
                    g *= scale
        self.steps += 1
        self.prepare(rate)
        a, b = self._scratch
        for index, parameters in self._layers:
            row = gradients[index]
            for name, w in parameters.items():
                if not w.flags.c_contiguous:
                    w = parameters[name] = np.ascontiguousarray(w)
                state = self.state[index, name]
                w, g = w.reshape(-1), row[name].reshape(-1)
                n = w.size
                flat = [s.reshape(-1) for s in state]
                if self.at_once(w, g, *flat):
                    continue
                if n <= _BLOCK:
                    self.update(w, g, a[:n], b[:n], *flat)
                    continue
                for start in range(0, n, _BLOCK):
                    cut = slice(start, start + _BLOCK)
                    part = w[cut]
                    k = part.size
                    self.update(part, g[cut], a[:k], b[:k], *(s[cut] for s in flat))
        return norm

    def prepare(self, rate: float) -> None:
        """Compute the scalars of a step."""
        self.rate = rate

    def at_once(self, w, g, *state) -> bool:
        """The whole of an array by one kernel; False where none does it."""
        return False

    def update(self, w, g, a, b, *state) -> None:
        """One block: flat parameters, gradients, two scratch arrays, the slots."""
        raise NotImplementedError


class SGD(Optimizer):
    """Gradient descent with momentum, Nesterov's too."""

    name, code = "sgd", 0
    formula = (
        "g += decay w; m = momentum m + g; "
        "w -= rate m, or rate (g + momentum m) with nesterov"
    )

    def __init__(self, net, config):
        self.slots = ("momentum",) if config.momentum else ()
        super().__init__(net, config)

    def at_once(self, w, g, m=None):
        """See `formula`."""
        config = self.config
        scalars = self.rate, config.weight_decay, config.momentum, config.nesterov
        return by_kernel("sgd", w, g, m, *scalars)

    def update(self, w, g, a, b, m=None):
        """See `formula`."""
        config = self.config
        if config.weight_decay:
            np.multiply(w, config.weight_decay, out=a)
            g = np.add(g, a, out=a)
        if m is not None:
            m *= config.momentum
            m += g
            if config.nesterov:
                np.multiply(m, config.momentum, out=b)
                g = np.add(g, b, out=b)
            else:
                g = m
        np.multiply(g, self.rate, out=b)
        w -= b


class Adam(Optimizer):
    """Kingma and Ba 2015; weight decay is added to the gradient."""

    name, code = "adam", 1
    formula = (
        "g += decay w; m += (1 - beta1)(g - m); v = beta2 v + (1 - beta2) g^2; "
        "w -= rate / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)"
    )
    slots = ("first", "second")
    decoupled = False

    def prepare(self, rate):
        """Bias corrections."""
        config = self.config
        self.rate = rate
        self.step_size = rate / (1 - config.beta1**self.steps)
        self.root = sqrt(1 - config.beta2**self.steps)

    def at_once(self, w, g, m, v):
        """See `formula`."""
        config = self.config
        decay, shrink = config.weight_decay, 1.0
        if self.decoupled:
            decay, shrink = 0.0, 1 - self.rate * decay
        scalars = self.step_size, self.root, config.beta1, config.beta2, config.epsilon
        return by_kernel("adam", w, g, m, v, *scalars, decay, shrink)

    def update(self, w, g, a, b, m, v):
        """See `formula`."""
        config = self.config
        if config.weight_decay and self.decoupled:
            w *= 1 - self.rate * config.weight_decay
        elif config.weight_decay:
            np.multiply(w, config.weight_decay, out=b)
            g = np.add(g, b, out=b)
        np.subtract(g, m, out=a)
        a *= 1 - config.beta1
        m += a
        np.multiply(g, g, out=a)
        a *= 1 - config.beta2
        v *= config.beta2
        v += a
        np.sqrt(v, out=a)
        a /= self.root
        a += config.epsilon
        np.divide(m, a, out=a)
        a *= self.step_size
        w -= a


class AdamW(Adam):
    """Loshchilov and Hutter 2019: weight decay apart from the gradient."""

    name, code = "adamw", 2
    formula = "w *= 1 - rate decay; then as adam without decay"
    decoupled = True


OPTIMIZERS: tuple[type[Optimizer], ...] = (SGD, Adam, AdamW)
BY_NAME = {row.name: row for row in OPTIMIZERS}


def global_norm(gradients: list[dict[str, Array]]) -> float:
    """The Euclidean norm over all gradients; TrainingError when one is not finite."""
    total = 0.0
    for row in gradients:
        for g in row.values():
            total += square_sum(g)
    if isfinite(total):
        return sqrt(total)
    for index, row in enumerate(gradients):
        for name, g in row.items():
            if not np.isfinite(g).all():
                raise TrainingError(
                    f"the gradient of layer {index}'s {name} is not finite"
                )
    # Finite values whose squares overflow.
    return float(
        np.sqrt(
            sum(
                (g.astype(np.float64) ** 2).sum() for r in gradients for g in r.values()
            )
        )
    )
