"""RNN: the plain (Elman) recurrent layer."""

import numpy as np

from loom.gpu.kernels import recurrent as gpu
from loom.layers.base import EVALUATE, Array, Run, Shape, Weight
from loom.layers.recurrent import Recurrent, flat_columns, input_gradient
from loom.linalg import by_kernel, matmul


class RNN(Recurrent):
    """Elman network with tanh, back-propagated through all of time.

        h_t = tanh(W_ih x_t + W_hh h_{t-1} + b),  h_0 = 0,  y_t = h_t

    Shapes:  x (B, T, C), W_ih (H, C), W_hh (H, H), b (H,) -> y (B, T, H), or the last
             state (B, H) without return_sequences
    Cache:   x and every state, as columns
    Raises:  ShapeError when x is neither (B, T, C) nor (B, T * C)
    Source:  Elman 1990, "Finding structure in time"; as torch.nn.RNN, b its two biases'
             sum
    """

    kind = "rnn"
    code = 3
    weights = (
        Weight("weight_ih", "WeightIH", "weight_ih"),
        Weight("weight_hh", "WeightHH", "weight_hh"),
        Weight("bias", "BiasH", "bias_h", bias=True),
    )

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """W_ih (H, C), W_hh (H, H) within +-1/sqrt(H) at first, b (H,)."""
        c, h = self.input_size, self.hidden_size
        return {
            "weight_ih": ((h, c), c),
            "weight_hh": ((h, h), 3 * h),
            "bias": ((h,), 0),
        }

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, Array]:
        """One product and one tanh a step, straight into the next step's input."""
        columns = self._columns(x)
        p, h = self.parameters, self.hidden_size
        w = np.concatenate((p["weight_hh"], p["bias"][:, None], p["weight_ih"]), axis=1)
        if not by_kernel("rnn_forward", w, columns):
            for now, state in zip(columns[:-1], columns[1:, :h], strict=True):
                matmul(w, now, state)
                np.tanh(state, state)
        return self._output(columns), columns

    def backward(self, dy: Array, cache: Array, need_dx: bool = True):
        """dv_t = (1 - h_t^2) (dy_t + W_hh^T dv_{t+1}); then one product a gradient."""
        p, h = self.parameters, self.hidden_size
        t, b = cache.shape[0] - 1, cache.shape[2]
        dh = self._dy_columns(dy, t)
        dv = np.empty((h, t, b), dh.dtype)
        if not by_kernel("rnn_backward", p["weight_hh"], cache, dh, dv):
            self._steps_back(cache, dh, dv)
        dv = dv.reshape(h, t * b)
        dw = matmul(dv, flat_columns(cache).T)
        gradients = {
            "weight_ih": dw[:, h + 1 :].copy(),
            "weight_hh": dw[:, :h].copy(),
            "bias": dw[:, h].copy(),
        }
        return input_gradient(dv, p["weight_ih"], t) if need_dx else None, gradients

    def _steps_back(self, columns: Array, dy: Array, dv: Array) -> None:
        """The recurrence backward through time: dL/d(pre-activations) to dv."""
        h, t, b = dv.shape
        now, carried = np.empty((2, h, b), dy.dtype)
        w = np.ascontiguousarray(self.parameters["weight_hh"].T)
        carried[:] = 0
        for k in range(t - 1, -1, -1):
            state = columns[k + 1, :h]
            carried += dy[k]
            np.multiply(state, state, now)
            np.subtract(1, now, now)
            now *= carried
            dv[:, k] = now
            matmul(w, now, carried)

    def lower_forward(self, b, x):
        """As every recurrent layer."""
        return self._lower_forward(b, x, gpu.RNN)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """As every recurrent layer."""
        return self._lower_backward(b, dy, cache, need_dx, gpu.RNN)
