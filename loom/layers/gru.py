"""GRU: gated recurrent unit."""

import numpy as np

from loom.gpu.kernels import recurrent as gpu
from loom.layers.base import EVALUATE, Array, Run, Shape, Weight
from loom.layers.recurrent import (
    Recurrent,
    flat_columns,
    gate_weights,
    input_gradient,
)
from loom.linalg import by_kernel, matmul

GATES = "rzn"


class GRU(Recurrent):
    """Gated recurrent unit, back-propagated through all of time.

        r, z = sigmoid(W x_t + U h_{t-1} + b), each with its own W, U and b
        n    = tanh(W_n x_t + b_n + r (U_n h_{t-1} + b_hn))
        h_t  = (1 - z) n + z h_{t-1},    h_0 = 0,    y_t = h_t

    Shapes:  x (B, T, C), weight_ih (3 H, C), weight_hh (3 H, H), bias (3 H,), gates in
             the order r, z, n, and bias_hn (H,) -> y (B, T, H), or the last state
             (B, H) without return_sequences
    Cache:   every state and gate, as columns
    Raises:  ShapeError when x is neither (B, T, C) nor (B, T * C)
    Source:  Cho et al. 2014, with the reset gate after the product; as torch.nn.GRU,
             the bias of r and z its two biases' sum
    """

    kind = "gru"
    code = 18
    weights = (
        *gate_weights(GATES, "weight_ih", "WeightIH_*", "weight_i*"),
        *gate_weights(GATES, "weight_hh", "WeightHH_*", "weight_h*"),
        *gate_weights(GATES, "bias", "BiasH_*", "bias_*", bias=True),
        Weight("bias_hn", "BiasHH_n", "bias_hn", bias=True),
    )

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """weight_ih (3 H, C), weight_hh (3 H, H), bias (3 H,), bias_hn (H,)."""
        c, h = self.input_size, self.hidden_size
        return {
            "weight_ih": ((3 * h, c), c),
            "weight_hh": ((3 * h, h), 3 * h),
            "bias": ((3 * h,), 0),
            "bias_hn": ((h,), 0),
        }

    def _packed(self) -> Array:
        """(4 H, H + 1 + C) over [h; 1; x]: r, z, n's part of h, n's part of x."""
        p, h = self.parameters, self.hidden_size
        w = np.zeros((4 * h, h + 1 + self.input_size), p["bias"].dtype)
        w[: 3 * h, :h] = p["weight_hh"]
        w[: 2 * h, h] = p["bias"][: 2 * h]
        w[2 * h : 3 * h, h] = p["bias_hn"]
        w[3 * h :, h] = p["bias"][2 * h :]
        w[: 2 * h, h + 1 :] = p["weight_ih"][: 2 * h]
        w[3 * h :, h + 1 :] = p["weight_ih"][2 * h :]
        return w

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, tuple]:
        """n's part of x for all steps at once; sigmoid(v) = (1 + tanh(v / 2)) / 2."""
        h = self.hidden_size
        columns = self._columns(x)
        t, b = columns.shape[0] - 1, columns.shape[2]
        w = self._packed()
        gates = np.empty((t, 4 * h, b), w.dtype)
        if by_kernel("gru_forward", w, columns, gates):
            return self._output(columns), (columns, gates)
        half = w.dtype.type(0.5)
        w[: 2 * h] *= half
        matmul(w[3 * h :, h:], columns[:-1, h:], gates[:, 3 * h :])
        w = w[: 3 * h]
        steps = zip(columns[:-1], columns[:-1, :h], columns[1:, :h], gates, strict=True)
        for now, old, state, v in steps:
            matmul(w, now, v[: 3 * h])
            sigmoids = v[: 2 * h]
            np.tanh(sigmoids, sigmoids)
            sigmoids *= half
            sigmoids += half
            r, z, hidden, n = v.reshape(4, h, b)
            np.multiply(r, hidden, state)
            n += state
            np.tanh(n, n)
            np.subtract(old, n, state)
            state *= z
            state += n
        return self._output(columns), (columns, gates)

    def backward(self, dy: Array, cache: tuple, need_dx: bool = True):
        """Only the recurrence step by step; then one product a gradient."""
        columns, gates = cache
        h = self.hidden_size
        t, b = columns.shape[0] - 1, columns.shape[2]
        dy = self._dy_columns(dy, t)
        w = self._packed()
        dv = np.empty((4 * h, t, b), w.dtype)
        if not by_kernel("gru_backward", w, columns, gates, dy, dv):
            self._steps_back(w, columns, gates, dy, dv)
        dv = dv.reshape(4 * h, t * b)
        dw = matmul(dv, flat_columns(columns).T)
        of_x = np.r_[: 2 * h, 3 * h : 4 * h]
        gradients = {
            "weight_ih": dw[of_x, h + 1 :],
            "weight_hh": dw[: 3 * h, :h].copy(),
            "bias": dw[of_x, h],
            "bias_hn": dw[2 * h : 3 * h, h].copy(),
        }
        return input_gradient(dv, w[:, h + 1 :], t) if need_dx else None, gradients

    def _steps_back(self, w, columns, gates, dy, dv) -> None:
        """The recurrence backward through time: dL/d(pre-activations) to dv."""
        t, h, b = dy.shape
        recurrent = np.ascontiguousarray(w[: 3 * h, :h].T)
        d = np.empty((4 * h, b), w.dtype)
        d_r, d_z, d_hidden, d_n = d.reshape(4, h, b)
        dh, carried, scratch = np.zeros((3, h, b), w.dtype)
        for k in range(t - 1, -1, -1):
            v = gates[k]
            r, z, hidden, n = v.reshape(4, h, b)
            dh += dy[k]
            np.multiply(dh, z, carried)
            # n's slope 1 - n^2 and the sigmoids' s (1 - s), times what each meets.
            np.subtract(dh, carried, scratch)
            np.multiply(n, n, d_n)
            np.subtract(1, d_n, d_n)
            d_n *= scratch
            np.multiply(d_n, r, d_hidden)
            sigmoids = v[: 2 * h]
            slopes = d[: 2 * h]
            np.multiply(sigmoids, sigmoids, slopes)
            np.subtract(sigmoids, slopes, slopes)
            d_r *= hidden
            d_r *= d_n
            np.subtract(columns[k, :h], n, scratch)
            d_z *= scratch
            d_z *= dh
            dv[:, k] = d
            matmul(recurrent, d[: 3 * h], dh)
            dh += carried

    def lower_forward(self, b, x):
        """As every recurrent layer."""
        return self._lower_forward(b, x, gpu.GRU)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """As every recurrent layer."""
        return self._lower_backward(b, dy, cache, need_dx, gpu.GRU)
