"""QRNN: quasi-recurrent layer."""

import numpy as np

from loom.activations import activation
from loom.gpu.kernels.conv import Sizes, conv, conv_backward
from loom.gpu.kernels.forget import qrnn_pool, qrnn_pool_backward
from loom.layers.base import EVALUATE, Array, Field, Run, Shape
from loom.layers.forget import forget_backward, forget_forward
from loom.layers.recurrent import FIELDS, Recurrent, gate_weights
from loom.linalg import matmul

GATES = "zfo"
SIGMOID, TANH = activation("sigmoid"), activation("tanh")


class QRNN(Recurrent):
    """Quasi-recurrent layer: gates by a convolution over time, then fo-pooling.

        z    = tanh(W_z * x + b_z)
        f, o = sigmoid(W * x + b), each with its own W and b
        c_t  = f_t c_{t-1} + (1 - f_t) z_t,    c_0 = 0,    y_t = o_t c_t

    (W * x)_t = sum_k W[:, :, k] x_{t - K + 1 + k}, x zero before the first step: no
    gate sees what comes later. Every product is over all of time at once.

    Fields:  as every Recurrent, and kernel_size K
    Shapes:  x (B, T, C), weight (3 H, C, K), bias (3 H,), gates in the order z, f, o
             -> y (B, T, H), or the last step's (B, H) without return_sequences
    Cache:   x's windows, the gates, c
    Raises:  ShapeError when x is neither (B, T, C) nor (B, T * C)
    Source:  Bradbury et al. 2016, "Quasi-recurrent neural networks". The forget gate's
             bias begins at 1, as in LSTM.
    """

    kind = "qrnn"
    code = 19
    fields = (*FIELDS, Field("kernel_size", "KernelSize", default=2))
    weights = (
        *gate_weights(GATES, "weight", "Weight_*", "weight_*"),
        *gate_weights(GATES, "bias", "Bias_*", "bias_*", bias=True),
    )

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """weight (3 H, C, K), bias (3 H,)."""
        c, h, k = self.input_size, self.hidden_size, self.kernel_size
        return {"weight": ((3 * h, c, k), c * k), "bias": ((3 * h,), 0)}

    def initialize(self, seed: int, dtype=np.float32) -> None:
        """As every layer, and 1 in the forget gate's bias."""
        fresh = "bias" not in self.parameters
        super().initialize(seed, dtype)
        if fresh:
            h = self.hidden_size
            self.parameters["bias"][h : 2 * h] = 1

    def _product_weight(self) -> Array:
        """(K C, 3 H): what windows are multiplied by."""
        weight = self.parameters["weight"]
        return weight.transpose(2, 1, 0).reshape(-1, weight.shape[0])

    def _windows(self, x: Array) -> Array:
        """(B, T, K C): each step's last K inputs, the oldest first."""
        b, t, c = x.shape
        k = self.kernel_size
        windows = np.zeros((b, t, k, c), x.dtype)
        for late in range(min(k, t)):
            windows[:, late:, k - 1 - late] = x[:, : t - late]
        return windows.reshape(b, t, k * c)

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, tuple]:
        """One product for all gates of all steps, then the pooling."""
        h = self.hidden_size
        windows = self._windows(x)
        gates = matmul(windows, self._product_weight())
        gates += self.parameters["bias"]
        z, fo = gates[..., :h], gates[..., h:]
        TANH.forward(z, z)
        SIGMOID.forward(fo, fo)
        c = forget_forward(fo[..., :h], z)
        o = fo[..., h:]
        y = o * c if self.return_sequences else o[:, -1] * c[:, -1]
        return y, (windows, gates, c)

    def backward(self, dy: Array, cache: tuple, need_dx: bool = True):
        """The pooling backwards, then one product a gradient."""
        windows, gates, c = cache
        h, k = self.hidden_size, self.kernel_size
        b, t, _ = windows.shape
        dy = self._dy_steps(dy, t)
        z, f, o = gates[..., :h], gates[..., h : 2 * h], gates[..., 2 * h :]
        d = np.empty_like(gates)
        dz, df, do = d[..., :h], d[..., h : 2 * h], d[..., 2 * h :]
        forget_backward(dy * o, f, z, c, df, dz)
        np.multiply(dy, c, out=do)
        # The slopes 1 - z^2 and s (1 - s).
        slopes = gates * gates
        np.subtract(1, slopes[..., :h], out=slopes[..., :h])
        np.subtract(gates[..., h:], slopes[..., h:], out=slopes[..., h:])
        d *= slopes
        rows = d.reshape(b * t, 3 * h)
        dw = matmul(rows.T, windows.reshape(b * t, -1)).reshape(3 * h, k, -1)
        gradients = {
            "weight": np.ascontiguousarray(dw.transpose(0, 2, 1)),
            "bias": rows.sum(axis=0),
        }
        if not need_dx:
            return None, gradients
        dwindows = matmul(rows, self._product_weight().T).reshape(b, t, k, -1)
        dx = dwindows[:, :, k - 1].copy()
        for late in range(1, min(k, t)):
            dx[:, : t - late] += dwindows[:, late:, k - 1 - late]
        return dx, gradients

    def lower_forward(self, b, x):
        """A causal convolution for all gates of all steps, then the pooling."""
        v = conv(b, x, b.weight(self, "weight"), b.weight(self, "bias"), self._sizes(x))
        y, cache = qrnn_pool(b, v, self.return_sequences)
        return y, (x, cache)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """The pooling backwards, then the convolution's gradients."""
        x, pooled = cache
        return conv_backward(
            b,
            qrnn_pool_backward(b, dy, pooled, self.return_sequences),
            x,
            b.weight(self, "weight"),
            self._sizes(x),
            b.gradient(self, "weight"),
            b.gradient(self, "bias"),
            need_dx,
        )

    def _sizes(self, x) -> Sizes:
        """The convolution whose windows end at each step."""
        k, t = self.kernel_size, x.shape[1]
        return Sizes(
            self.input_size,
            3 * self.hidden_size,
            size=(1, t),
            out=(1, t),
            kernel=(1, k),
            stride=(1, 1),
            padding=(0, k - 1),
            last=True,
        )
