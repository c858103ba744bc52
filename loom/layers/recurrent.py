"""What the recurrent layers share: their fields, shapes and the work array.

The parameters of all gates lie in one array, gate after gate along the first axis, each
gate [hidden][in] as in PyTorch and on the wire; files and the wire name the gates one
by one (`parts.py`). RNN, LSTM and GRU run on columns: a sample is a column, so that a
step's gates are contiguous blocks, and one product W @ [h; 1; x] gives all of them with
their biases.
"""

import numpy as np

from loom.gpu.kernels import recurrent as gpu
from loom.layers.base import REQUIRED, Array, Field, Shape, Weight
from loom.layers.parts import Parted
from loom.layers.sequence import sequence_shape
from loom.linalg import matmul

FIELDS = (
    Field("input_size", "RNNInputSize", bundle="input_size"),
    Field("hidden_size", "HiddenSize"),
    Field("seq_length", "SeqLength", default=0, minimum=0),
    Field("return_sequences", "ReturnSequences", bool, True),
)


def gate_weights(gates: str, of: str, wire: str, bundle: str, bias=False):
    """One `Weight` a gate; `*` in the wire and bundle names is the gate's letter."""
    return tuple(
        Weight(bundle.replace("*", g), wire.replace("*", g), bundle.replace("*", g),
               bias=bias, of=of)
        for g in gates
    )  # fmt: skip


class Recurrent(Parted):
    """The base of the layers over time: x (B, T, C) -> y (B, T, H) or (B, H).

    Fields:  input_size C, hidden_size H; seq_length T, 0 for any; return_sequences:
             every hidden state (B, T, H), or the last alone (B, H)
    Raises:  ShapeError when x is neither (B, T, C) nor (B, T * C)
    """

    fields = FIELDS

    def __init__(
        self,
        input_size: int = REQUIRED,
        hidden_size: int = REQUIRED,
        seq_length: int | None = 0,
        return_sequences: bool = True,
        **config,
    ):
        given = {"input_size": input_size, "hidden_size": hidden_size}
        super().__init__(
            **{name: value for name, value in given.items() if value is not REQUIRED},
            seq_length=0 if seq_length is None else seq_length,
            return_sequences=return_sequences,
            **config,
        )

    # Shapes ----------------------------------------------------------------------

    def declared_input_shape(self) -> Shape | None:
        """(T, C) where seq_length is set."""
        return (self.seq_length, self.input_size) if self.seq_length else None

    def input_shape(self, previous: Shape) -> Shape:
        """(T, C) as it is; a flat sample of T * C values becomes (T, C)."""
        return sequence_shape(previous, self.seq_length, self.input_size, "input_size")

    def output_shape(self, shape: Shape) -> Shape:
        """(T, H), or (H,) without return_sequences."""
        h = self.hidden_size
        return (shape[0], h) if self.return_sequences else (h,)

    # On the GPU: RNN, LSTM and GRU -----------------------------------------------

    def _lower_forward(self, b, x, cell: int):
        """All of time in one dispatch where the weights fit (kernels/recurrent.py)."""
        weights = (b.weight(self, name) for name in self.weight_shapes())
        return gpu.forward(b, cell, x, *weights, every=self.return_sequences)

    def _lower_backward(self, b, dy, cache, need_dx: bool, cell: int):
        """The recurrence back through time, then one product a gradient."""
        return gpu.backward(
            b,
            cell,
            dy,
            cache,
            b.weight(self, "weight_ih"),
            b.weight(self, "weight_hh"),
            gpu.Gradients(*(b.gradient(self, name) for name in self.weight_shapes())),
            every=self.return_sequences,
            need_dx=need_dx,
        )

    # Columns: what RNN, LSTM and GRU compute on ------------------------------------

    def _columns(self, x: Array) -> Array:
        """(T + 1, H + 1 + C, B): [h; 1; x] of each step, h of the first zero."""
        b, t, c = x.shape
        h = self.hidden_size
        columns = np.empty((t + 1, h + 1 + c, b), self.parameters["bias"].dtype)
        columns[0, :h] = 0
        columns[:, h] = 1
        columns[:t, h + 1 :] = x.transpose(1, 2, 0)
        return columns

    def _output(self, columns: Array) -> Array:
        """The hidden states in `columns` as (B, T, H), or the last as (B, H)."""
        h = self.hidden_size
        if self.return_sequences:
            return np.ascontiguousarray(columns[1:, :h].transpose(2, 0, 1))
        return np.ascontiguousarray(columns[-1, :h].T)

    def _dy_columns(self, dy: Array, t: int) -> Array:
        """dL/dy as (T, H, B); zeros before the last step if only that was given."""
        if self.return_sequences:
            return np.ascontiguousarray(dy.transpose(1, 2, 0))
        out = np.zeros((t, dy.shape[1], dy.shape[0]), dy.dtype)
        out[-1] = dy.T
        return out

    # Rows: what QRNN and SRU compute on ---------------------------------------------

    def _dy_steps(self, dy: Array, t: int) -> Array:
        """dL/dy as (B, T, H); zeros before the last step if only that was given."""
        if self.return_sequences:
            return dy
        out = np.zeros((dy.shape[0], t, dy.shape[1]), dy.dtype)
        out[:, -1] = dy
        return out


def flat_columns(columns: Array) -> Array:
    """(T + 1, K, B) -> (K, T * B): every step's inputs side by side."""
    t, k, b = columns.shape
    return columns[:-1].transpose(1, 0, 2).reshape(k, (t - 1) * b)


def input_gradient(dv: Array, weight: Array, steps: int) -> Array:
    """dx (B, T, C) = W^T dv in one product; dv (G, T * B), W (G, C)."""
    dx = matmul(dv.T, weight).reshape(steps, -1, weight.shape[1])
    return np.ascontiguousarray(dx.transpose(1, 0, 2))
