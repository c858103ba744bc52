"""SRU: simple recurrent unit."""

import numpy as np

from loom.activations import Activation, activation
from loom.gpu.kernels.forget import sru_pool, sru_pool_backward
from loom.gpu.kernels.matmul import matmul as gpu_matmul
from loom.gpu.kernels.reduce import column_sum
from loom.layers.base import EVALUATE, Array, Field, Run, Shape, Weight
from loom.layers.forget import forget_backward, forget_forward
from loom.layers.recurrent import FIELDS, Recurrent, gate_weights
from loom.linalg import matmul

SIGMOID = activation("sigmoid")


class SRU(Recurrent):
    """Simple recurrent unit: gates that see x alone, and a highway around them.

        z    = W_z x_t
        f, r = sigmoid(W x_t + b), each with its own W and b
        c_t  = f c_{t-1} + (1 - f) z,    c_0 = 0
        y_t  = r g(c_t) + (1 - r) p,    p = x_t where C = H, else W_p x_t

    Every product is over all of time at once.

    Fields:  as every Recurrent, and activation g
    Shapes:  x (B, T, C), weight (3 H, C) with the parts z, f, r, or (4 H, C) with
             z, f, r, p where C is not H, bias (2 H,) of f, r -> y (B, T, H), or the
             last step's (B, H) without return_sequences
    Cache:   x, the products and gates, c, g(c)
    Raises:  ShapeError when x is neither (B, T, C) nor (B, T * C)
    Source:  Lei et al. 2017 (arXiv 1709.02755, first version: later ones let the gates
             see c_{t-1}, which is then no longer parallel over time). The forget gate's
             bias begins at 1, as in LSTM.
    """

    kind = "sru"
    code = 20
    fields = (*FIELDS, Field("activation", "Activation", Activation, "tanh"))
    weights = (
        *gate_weights("zfrp", "weight", "Weight_*", "weight_*"),
        *gate_weights("fr", "bias", "Bias_*", "bias_*", bias=True),
    )

    def weight_rows(self) -> tuple[Weight, ...]:
        """Without weight_p where x itself is the highway."""
        own = self.input_size == self.hidden_size
        return tuple(r for r in self.weights if not (own and r.name == "weight_p"))

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """weight (3 H or 4 H, C), bias (2 H,)."""
        c, h = self.input_size, self.hidden_size
        parts = 3 if c == h else 4
        return {"weight": ((parts * h, c), c), "bias": ((2 * h,), 0)}

    def initialize(self, seed: int, dtype=np.float32) -> None:
        """As every layer, and 1 in the forget gate's bias."""
        fresh = "bias" not in self.parameters
        super().initialize(seed, dtype)
        if fresh:
            self.parameters["bias"][: self.hidden_size] = 1

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, tuple]:
        """One product for all gates of all steps, then the pooling."""
        h = self.hidden_size
        gates = matmul(x, self.parameters["weight"].T)
        fr = gates[..., h : 3 * h]
        fr += self.parameters["bias"]
        SIGMOID.forward(fr, fr)
        z, f, r, p = self._parts(gates, x)
        c = forget_forward(f, z)
        if not self.return_sequences:
            r, p = r[:, -1], p[:, -1]
        g = self.activation(c if self.return_sequences else c[:, -1])
        y = g - p
        y *= r
        y += p
        return y, (x, gates, c, g)

    def backward(self, dy: Array, cache: tuple, need_dx: bool = True):
        """The pooling backwards, then one product a gradient."""
        x, gates, c, g = cache
        h, last = self.hidden_size, not self.return_sequences
        z, f, r, p = self._parts(gates, x)
        # Without return_sequences only the last step's output meets a gradient.
        at, empty = (np.s_[:, -1], np.zeros_like) if last else (np.s_[:], np.empty_like)
        own = self.input_size == h
        d, highway = empty(gates), empty(c) if own else None
        dz, df, dr, dp = self._parts(d, highway)
        dg = dy * r[at]
        np.subtract(dy, dg, out=dp[at])
        np.subtract(g, p[at], out=dr[at])
        dr[at] *= dy
        dc = self._dy_steps(self.activation.backward(dg, c[at], g), c.shape[1])
        forget_backward(dc, f, z, c, df, dz)
        fr = gates[..., h : 3 * h]
        slope = fr * fr
        np.subtract(fr, slope, out=slope)
        d[..., h : 3 * h] *= slope
        rows = d.reshape(-1, d.shape[-1])
        gradients = {
            "weight": matmul(rows.T, x.reshape(-1, self.input_size)),
            "bias": rows[:, h : 3 * h].sum(axis=0),
        }
        if not need_dx:
            return None, gradients
        dx = matmul(d, self.parameters["weight"])
        if own:
            dx += highway
        return dx, gradients

    def lower_forward(self, b, x):
        """One product, the pooling, the activation, the highway."""
        v = gpu_matmul(b, x, b.weight(self, "weight"), transpose_b=True)
        bias = b.weight(self, "bias")
        y, cache = sru_pool(b, v, bias, x, self.activation, self.return_sequences)
        return y, (x, cache)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """The same backwards, then one product a gradient."""
        x, pooled = cache
        h, bias = self.hidden_size, b.weight(self, "bias")
        dv, dx = sru_pool_backward(b, dy, pooled, bias, x, self.return_sequences)
        rows = dv.reshape(-1, dv.shape[-1])
        flat = x.reshape(-1, self.input_size)
        gpu_matmul(b, rows, flat, transpose_a=True, out=b.gradient(self, "weight"))
        column_sum(b, rows, out=b.gradient(self, "bias"), columns=(h, 2 * h))
        if not need_dx:
            return None
        weight = b.weight(self, "weight")
        return gpu_matmul(b, dv, weight, out=dx, accumulate=dx is not None)

    def _parts(self, a: Array, own: Array) -> tuple[Array, ...]:
        """z, f, r of an array (..., 3 H or 4 H), and p: its fourth part or `own`."""
        h = self.hidden_size
        p = a[..., 3 * h :] if a.shape[-1] > 3 * h else own
        return a[..., :h], a[..., h : 2 * h], a[..., 2 * h : 3 * h], p
