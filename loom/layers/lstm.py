"""LSTM: long short-term memory."""

import numpy as np

from loom.gpu.kernels import recurrent as gpu
from loom.layers.base import EVALUATE, Array, Run, Shape
from loom.layers.recurrent import (
    Recurrent,
    flat_columns,
    gate_weights,
    input_gradient,
)
from loom.linalg import by_kernel, matmul

GATES = "ifgo"


class LSTM(Recurrent):
    """Long short-term memory, back-propagated through all of time.

        i, f, o = sigmoid(W x_t + U h_{t-1} + b), each with its own W, U and b
        g       = tanh(W_g x_t + U_g h_{t-1} + b_g)
        c_t     = f c_{t-1} + i g
        h_t     = o tanh(c_t),    h_0 = c_0 = 0,    y_t = h_t

    Shapes:  x (B, T, C), weight_ih (4 H, C), weight_hh (4 H, H), bias (4 H,), gates in
             the order i, f, g, o -> y (B, T, H), or the last state (B, H) without
             return_sequences
    Cache:   x, every state and gate, as columns
    Raises:  ShapeError when x is neither (B, T, C) nor (B, T * C)
    Source:  Hochreiter and Schmidhuber 1997; Gers et al. 2000 (forget gate); as
             torch.nn.LSTM, bias its two biases' sum. The forget gate's bias begins at 1
             (Jozefowicz et al. 2015): a new cell remembers.
    """

    kind = "lstm"
    code = 4
    weights = (
        *gate_weights(GATES, "weight_ih", "WeightIH_*", "weight_i*"),
        *gate_weights(GATES, "weight_hh", "WeightHH_*", "weight_h*"),
        *gate_weights(GATES, "bias", "BiasH_*", "bias_*", bias=True),
    )

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """weight_ih (4 H, C), weight_hh (4 H, H), bias (4 H,)."""
        c, h = self.input_size, self.hidden_size
        return {
            "weight_ih": ((4 * h, c), c),
            "weight_hh": ((4 * h, h), 3 * h),
            "bias": ((4 * h,), 0),
        }

    def initialize(self, seed: int, dtype=np.float32) -> None:
        """As every layer, and 1 in the forget gate's bias."""
        fresh = "bias" not in self.parameters
        super().initialize(seed, dtype)
        if fresh:
            h = self.hidden_size
            self.parameters["bias"][h : 2 * h] = 1

    def _packed(self) -> Array:
        """(4 H, H + 1 + C) in the order o, i, f, g: the three sigmoids side by side."""
        p, h = self.parameters, self.hidden_size
        w = np.empty((4 * h, h + 1 + self.input_size), p["bias"].dtype)
        for to, of in ((w[h:], slice(0, 3 * h)), (w[:h], slice(3 * h, None))):
            to[:, :h] = p["weight_hh"][of]
            to[:, h] = p["bias"][of]
            to[:, h + 1 :] = p["weight_ih"][of]
        return w

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, tuple]:
        """One product a step; sigmoid(v) = (1 + tanh(v / 2)) / 2: one tanh for all."""
        h = self.hidden_size
        columns = self._columns(x)
        t, b = columns.shape[0] - 1, columns.shape[2]
        w = self._packed()
        gates = np.empty((t, 4 * h, b), w.dtype)
        cells = np.empty((t + 1, h, b), w.dtype)
        squashed = np.empty((t, h, b), w.dtype)  # tanh(c)
        cells[0] = 0
        if by_kernel("lstm_forward", w, columns, gates, cells, squashed):
            return self._output(columns), (columns, gates, cells, squashed)
        half = w.dtype.type(0.5)
        w[: 3 * h] *= half
        scratch = np.empty((h, b), w.dtype)
        rows = (columns[:-1], columns[1:, :h], gates, cells[:-1], cells[1:], squashed)
        for now, state, v, old, cell, tanh_c in zip(*rows, strict=True):
            matmul(w, now, v)
            np.tanh(v, v)
            sigmoids = v[: 3 * h]
            sigmoids *= half
            sigmoids += half
            o, i, f, g = v.reshape(4, h, b)
            np.multiply(f, old, cell)
            np.multiply(i, g, scratch)
            cell += scratch
            np.tanh(cell, tanh_c)
            np.multiply(o, tanh_c, state)
        return self._output(columns), (columns, gates, cells, squashed)

    def backward(self, dy: Array, cache: tuple, need_dx: bool = True):
        """Only the recurrence step by step; then one product a gradient."""
        columns, gates, cells, squashed = cache
        h = self.hidden_size
        t, b = columns.shape[0] - 1, columns.shape[2]
        dy = self._dy_columns(dy, t)
        w = self._packed()
        dv = np.empty((4 * h, t, b), w.dtype)
        if not by_kernel("lstm_backward", w, gates, cells, squashed, dy, dv):
            self._steps_back(w, gates, cells, squashed, dy, dv)
        dv = dv.reshape(4 * h, t * b)
        dw = matmul(dv, flat_columns(columns).T)
        gradients = {
            "weight_ih": np.concatenate((dw[h:, h + 1 :], dw[:h, h + 1 :])),
            "weight_hh": np.concatenate((dw[h:, :h], dw[:h, :h])),
            "bias": np.concatenate((dw[h:, h], dw[:h, h])),
        }
        return input_gradient(dv, w[:, h + 1 :], t) if need_dx else None, gradients

    def _steps_back(self, w, gates, cells, squashed, dy, dv) -> None:
        """The recurrence backward through time: dL/d(pre-activations) to dv."""
        t, h, b = squashed.shape
        recurrent = np.ascontiguousarray(w[:, :h].T)
        d = np.empty((4 * h, b), w.dtype)
        d_o, d_i, d_f, d_g = blocks = d.reshape(4, h, b)
        dh, dc, scratch = np.zeros((3, h, b), w.dtype)
        for k in range(t - 1, -1, -1):
            v, tanh_c = gates[k], squashed[k]
            o, i, f, g = v.reshape(4, h, b)
            # The activations' slopes, s (1 - s) and 1 - g^2, times what each meets.
            np.multiply(v, v, d)
            np.subtract(v[: 3 * h], d[: 3 * h], d[: 3 * h])
            np.subtract(1, d_g, d_g)
            d_o *= tanh_c
            d_i *= g
            d_f *= cells[k]
            d_g *= i
            dh += dy[k]
            np.multiply(tanh_c, tanh_c, scratch)
            np.subtract(1, scratch, scratch)
            scratch *= o
            scratch *= dh
            dc += scratch
            d_o *= dh
            blocks[1:] *= dc
            dc *= f
            dv[:, k] = d
            matmul(recurrent, d, dh)

    def lower_forward(self, b, x):
        """As every recurrent layer."""
        return self._lower_forward(b, x, gpu.LSTM)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """As every recurrent layer."""
        return self._lower_backward(b, dy, cache, need_dx, gpu.LSTM)
