"""Cases: attention and positions."""

from hypothesis import strategies as st

from loom.activations import NAMES
from loom.layers import MultiHeadAttention, PositionalEncoding
from tests.cases.case import Case, torch_activation


def draw_attention(draw):
    """Any heads and length, one of each among them; masked or not."""
    rotary = draw(st.booleans(), label="rotary")
    n, d, t = (draw(st.integers(1, most)) for most in (3, 3, 6))
    layer = MultiHeadAttention(
        n * d * (1 + rotary),
        n,
        draw(st.sampled_from([0, t]), label="seq_length"),
        draw(st.sampled_from(NAMES), label="activation"),
        causal=draw(st.booleans(), label="causal"),
        positions="rotary" if rotary else "none",
    )
    return layer, (t, layer.d_model)


def attention_twin(layer, w, x, run):
    """torch.nn.functional's attention; rotation by complex numbers."""
    import torch.nn.functional as F

    qkv = x @ w["qkv_weight"] + w["qkv_bias"]
    split = (*x.shape[:2], layer.num_heads, layer.head_dim)
    q, k, v = (a.reshape(split).transpose(1, 2) for a in qkv.chunk(3, dim=-1))
    if layer.positions == "rotary":
        q, k = torch_rotated(q), torch_rotated(k)
    heads = F.scaled_dot_product_attention(q, k, v, is_causal=layer.causal)
    joined = heads.transpose(1, 2).reshape(x.shape)
    y = joined @ w["output_weight"] + w["output_bias"]
    return torch_activation(layer.activation.name, y)


def torch_rotated(a):
    """Each pair (a[i], a[i + d/2]) as a complex number, times e^(i angle)."""
    import torch

    t, d = a.shape[-2:]
    frequency = 10_000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = torch.arange(t, dtype=torch.float64)[:, None] * frequency
    turn = torch.polar(torch.ones_like(angle), angle)
    turned = torch.complex(*a.chunk(2, dim=-1)) * turn.to(a.dtype.to_complex())
    return torch.cat([turned.real, turned.imag], dim=-1)


def draw_positions(draw):
    """Odd and even widths; learned positions know their number."""
    t, d = draw(st.integers(1, 6), label="T"), draw(st.integers(1, 5), label="D")
    if draw(st.booleans(), label="learned"):
        return PositionalEncoding(d, t, "learned"), (t, d)
    length = draw(st.sampled_from([0, t]), label="seq_length")
    return PositionalEncoding(d, length), (t, d)


def positions_twin(layer, w, x, run):
    import torch

    if layer.positions == "learned":
        return x + w["weight"]
    t, d = x.shape[1:]
    column = torch.arange(d, dtype=torch.float64)
    wavelength = 10_000.0 ** (2 * (column // 2) / d)
    angle = torch.arange(t, dtype=torch.float64)[:, None] / wavelength
    even = column % 2 == 0
    return x + torch.where(even, angle.sin(), angle.cos()).to(x.dtype)


CASES = (
    Case(
        MultiHeadAttention,
        draw_attention,
        {
            "plain": lambda: (MultiHeadAttention(12, 3, 5), (5, 12)),
            "causal": lambda: (MultiHeadAttention(8, 2, causal=True), (7, 8)),
            "rotary": lambda: (MultiHeadAttention(8, 2, positions="rotary"), (6, 8)),
            "activation": lambda: (MultiHeadAttention(6, 1, 4, "scaled_relu"), (4, 6)),
            "one": lambda: (MultiHeadAttention(6, 6, 1, "gelu"), (1, 6)),
            # Longer than a tile's rows: backward adds up the keys' gradients.
            "long": lambda: (MultiHeadAttention(4, 2, causal=True), (150, 4)),
        },
        attention_twin,
    ),
    Case(
        PositionalEncoding,
        draw_positions,
        {
            "sinusoidal": lambda: (PositionalEncoding(7), (9, 7)),
            "learned": lambda: (PositionalEncoding(6, 5, "learned"), (5, 6)),
        },
        positions_twin,
    ),
)
