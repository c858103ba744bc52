"""Multi-head attention."""

import numpy as np

from loom.activations import Activation
from loom.errors import ConfigError
from loom.gpu.kernels import attention as gpu
from loom.gpu.kernels.elementwise import slope
from loom.gpu.kernels.matmul import matmul as gpu_matmul
from loom.gpu.kernels.reduce import column_sum
from loom.gpu.kernels.softmax import softmax
from loom.layers.base import EVALUATE, Array, Field, Run, Shape, Weight
from loom.layers.parts import Parted
from loom.layers.positions import rotary_table, rotate
from loom.layers.sequence import sequence_shape
from loom.layers.tiles import Tiles
from loom.linalg import matmul, row_sum


class MultiHeadAttention(Parted):
    """Each step of a sequence attends to all steps, or if causal to none after it.

        q, k, v = x W_q + b_q, x W_k + b_k, x W_v + b_v, each split into N heads of
                  d = D / N features; rotary positions turn q and k
        head    = softmax(q k^T / sqrt(d)) v, later steps masked out if causal
        y       = f(heads side by side W_o + b_o)

    Fields:  d_model D, num_heads N, a divisor of D; seq_length T, 0 for any; activation
             f; causal; positions, "none" or "rotary" (for others, see
             PositionalEncoding)
    Shapes:  x (B, T, D), qkv_weight (D, 3 D), qkv_bias (3 D,), output_weight (D, D),
             output_bias (D,) -> y (B, T, D)
    Cache:   x, q k v, the heads' outputs, 1 / sum(exp) of each row of scores; never the
             scores (B, N, T, T): backward computes them again, tile by tile
    Raises:  ConfigError when N does not divide D, ShapeError when x is neither
             (B, T, D) nor (B, T * D)
    Source:  Vaswani et al. 2017; the scores again in backward as in Dao et al. 2022;
             rotary positions Su et al. 2021. As torch.nn.MultiheadAttention.
    """

    kind = "multi_head_attention"
    code = 2
    aliases = ("mha",)
    parts_axis = -1
    fields = (
        Field("d_model", "DModel"),
        Field("num_heads", "NumHeads"),
        Field("seq_length", "SeqLength", default=0, minimum=0),
        Field("activation", "Activation", Activation, "linear"),
        Field("causal", "Causal", bool, False),
        Field("positions", "Positions", str, "none", choices=("none", "rotary")),
    )
    derived = (Field("head_dim", "HeadDim"),)
    weights = (
        Weight("q_weight", "QWeights", "q_weights", of="qkv_weight"),
        Weight("k_weight", "KWeights", "k_weights", of="qkv_weight"),
        Weight("v_weight", "VWeights", "v_weights", of="qkv_weight"),
        Weight("output_weight", "OutputWeight", "output_weight"),
        Weight("q_bias", "QBias", "q_bias", bias=True, of="qkv_bias"),
        Weight("k_bias", "KBias", "k_bias", bias=True, of="qkv_bias"),
        Weight("v_bias", "VBias", "v_bias", bias=True, of="qkv_bias"),
        Weight("output_bias", "OutputBias", "output_bias", bias=True),
    )

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        seq_length: int = 0,
        activation="linear",
        causal: bool = False,
        positions: str = "none",
    ):
        super().__init__(
            d_model=d_model,
            num_heads=num_heads,
            seq_length=seq_length,
            activation=activation,
            causal=causal,
            positions=positions,
        )

    def check(self) -> None:
        """Heads share the width evenly; rotary positions turn pairs."""
        d, n = self.d_model, self.num_heads
        if d % n:
            raise ConfigError(
                f"MultiHeadAttention: expected num_heads to divide d_model {d}, got "
                f"{n}. Possible: {', '.join(map(str, _divisors(d)))}."
            )
        if self.positions == "rotary" and self.head_dim % 2:
            raise ConfigError(
                f"MultiHeadAttention: expected an even d_model / num_heads for rotary "
                f"positions, got {d} / {n} = {d // n}. Use another num_heads, or "
                "positions='none'."
            )

    @property
    def head_dim(self) -> int:
        """Features of one head, D / N."""
        return self.d_model // self.num_heads

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """qkv_weight (D, 3 D), output_weight (D, D) and their biases.

        The activation's gain is the output's alone: a fan-in that takes it back from
        q, k and v.
        """
        d = self.d_model
        return {
            "qkv_weight": ((d, 3 * d), d * self.activation.gain),
            "output_weight": ((d, d), d),
            "qkv_bias": ((3 * d,), 0),
            "output_bias": ((d,), 0),
        }

    def declared_input_shape(self) -> Shape | None:
        """(T, D) where seq_length is set."""
        return (self.seq_length, self.d_model) if self.seq_length else None

    def input_shape(self, previous: Shape) -> Shape:
        """(T, D) as it is; a flat sample of T * D values becomes (T, D)."""
        return sequence_shape(previous, self.seq_length, self.d_model, "d_model")

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, tuple]:
        """One product for q, k and v; softmax unnormalised, its sums divide the result.

        Biases, scale and rotation are applied where a sample is in the cache anyway.
        """
        p, f = self.parameters, self.activation
        b, t, _ = x.shape
        qkv = matmul(x, p["qkv_weight"])
        context = np.empty(x.shape, qkv.dtype)
        inverse = np.empty((b, self.num_heads, t, 1), qkv.dtype)
        q, k, v = self._heads(qkv)
        (heads,) = self._heads(context)
        tiles = Tiles(b, self.num_heads, t, self.causal, qkv.dtype)
        for samples in tiles.samples:
            qkv[samples] += p["qkv_bias"]
            self._place(q[samples], k[samples])
            for tile in tiles.of(samples):
                total, out = inverse[tile.queries], heads[tile.queries]
                e = tiles.scores(q, k, tile, total)
                np.reciprocal(total, out=total)
                matmul(e, v[tile.keys], out=out)
                out *= total
        y = matmul(context, p["output_weight"])
        y += p["output_bias"]
        kept = x, qkv, context, inverse
        if f.needs == "y":
            y = f.forward(y, y)
            return y, (*kept, None, y)
        return f(y), (*kept, y, None)

    def backward(self, dy: Array, cache: tuple, need_dx: bool = True):
        """With p = e / sum(e):  ds = p (dp - sum(dp p)),  dp = dheads v^T.

        sum(dp p) is sum(dheads heads), and dividing dheads by sum(e) first spares
        dividing e.
        """
        x, qkv, context, inverse, *output = cache
        p, d = self.parameters, self.d_model
        b, t, _ = x.shape
        dy = self.activation.backward(dy, *output).reshape(-1, d)
        gradients = {
            "output_weight": matmul(context.reshape(-1, d).T, dy),
            "output_bias": dy.sum(axis=0),
            "qkv_bias": np.zeros(3 * d, qkv.dtype),
        }
        dcontext = matmul(dy, p["output_weight"].T).reshape(b, t, d)
        dqkv = np.empty_like(qkv)
        q, k, v = self._heads(qkv)
        dq, dk, dv = self._heads(dqkv)
        (heads,), (dheads,) = self._heads(context), self._heads(dcontext)
        tiles = Tiles(b, self.num_heads, t, self.causal, qkv.dtype)
        for samples in tiles.samples:
            for tile in tiles.of(samples):
                e, de = tiles.scores(q, k, tile), tiles.second(tile)
                g, at = dheads[tile.queries], tile.keys
                g *= inverse[tile.queries]
                matmul(g, v[at].swapaxes(-1, -2), out=de)
                de -= row_sum(g, heads[tile.queries])
                de *= e
                matmul(de, k[at], out=dq[tile.queries])
                if tile.first:
                    matmul(de.swapaxes(-1, -2), q[tile.queries], out=dk[at])
                    matmul(e.swapaxes(-1, -2), g, out=dv[at])
                else:
                    dk[at] += matmul(de.swapaxes(-1, -2), q[tile.queries])
                    dv[at] += matmul(e.swapaxes(-1, -2), g)
            self._place(dq[samples], dk[samples], back=True)
            gradients["qkv_bias"] += dqkv[samples].reshape(-1, 3 * d).sum(axis=0)
        rows = dqkv.reshape(-1, 3 * d)
        gradients["qkv_weight"] = matmul(x.reshape(-1, d).T, rows)
        dx = matmul(dqkv, p["qkv_weight"].T) if need_dx else None
        return dx, gradients

    def lower_forward(self, b, x):
        """As forward; up to 1,024 steps the scores are kept (kernels/attention.py)."""
        f = self.activation
        qkv = gpu_matmul(
            b, x, b.weight(self, "qkv_weight"), bias=b.weight(self, "qkv_bias")
        )
        if self.positions == "rotary":
            gpu.rotate(b, qkv, self.num_heads, self._table(x.shape[1]))
        context, kept = gpu.attention(b, qkv, self.num_heads, self.causal)
        w, bias = b.weight(self, "output_weight"), b.weight(self, "output_bias")
        if not f.elementwise:
            y = saved = softmax(b, gpu_matmul(b, context, w, bias=bias))
        elif b.keep and f.needs == "v":
            y, saved = gpu_matmul(b, context, w, bias=bias, activation=f, keep=True)
        else:
            y = saved = gpu_matmul(b, context, w, bias=bias, activation=f)
        return y, (x, context, kept, saved)

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """As backward."""
        x, context, kept, saved = cache
        d = self.d_model
        dv = slope(b, dy, self.activation, saved)
        rows, context = dv.reshape(-1, d), context.reshape(-1, d)
        out = b.gradient(self, "output_weight")
        gpu_matmul(b, context, rows, transpose_a=True, out=out)
        column_sum(b, rows, out=b.gradient(self, "output_bias"))
        weight = b.weight(self, "output_weight")
        dcontext = gpu_matmul(b, dv, weight, transpose_b=True)
        dqkv = gpu.attention_backward(b, dcontext, kept)
        if self.positions == "rotary":
            gpu.rotate(b, dqkv, self.num_heads, self._table(x.shape[1]), back=True)
        rows = dqkv.reshape(-1, 3 * d)
        out = b.gradient(self, "qkv_weight")
        gpu_matmul(b, x.reshape(-1, d), rows, transpose_a=True, out=out)
        column_sum(b, rows, out=b.gradient(self, "qkv_bias"))
        if not need_dx:
            return None
        return gpu_matmul(b, dqkv, b.weight(self, "qkv_weight"), transpose_b=True)

    def _table(self, t: int) -> tuple[Array, Array]:
        return rotary_table(t, self.head_dim, np.float32)

    def _heads(self, a: Array) -> Array:
        """(B, T, m D) -> (m, B, N, T, d): a view, no copy."""
        split = a.reshape(*a.shape[:2], -1, self.num_heads, self.head_dim)
        return split.transpose(2, 0, 3, 1, 4)

    def _place(self, q: Array, k: Array, back: bool = False) -> None:
        """Rotate q and k to their positions (or back) and scale q, in place."""
        if self.positions == "rotary":
            cosine, sine = rotary_table(q.shape[-2], self.head_dim, q.dtype)
            rotate(q, cosine, sine, back)
            rotate(k, cosine, sine, back)
        q *= q.dtype.type(self.head_dim**-0.5)


def _divisors(d: int) -> list[int]:
    """The divisors that someone may want as a number of heads."""
    return [n for n in range(1, min(d, 64) + 1) if d % n == 0]
