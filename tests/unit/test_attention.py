"""Attention and positions: what they promise beyond their formulas."""

import tracemalloc

import numpy as np
import pytest

import loom
from loom import (
    ConfigError,
    MultiHeadAttention,
    Network,
    PositionalEncoding,
    ShapeError,
)
from loom.layers import tiles
from loom.layers.positions import rotary_table, rotate
from tests.cases import fill


def attention(*arguments, seed=3, dtype=np.float64, **fields):
    layer = MultiHeadAttention(*arguments, **fields)
    return fill(layer, np.random.default_rng(seed), dtype)


def normal(*shape, seed=5, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def test_causal_sees_nothing_later_and_plain_attention_does():
    x = normal(2, 9, 8)
    later = x.copy()
    later[:, 6:] += 1
    for causal in (True, False):
        layer = attention(8, 2, causal=causal)
        y, changed = layer.forward(x)[0], layer.forward(later)[0]
        assert (y[:, :6] == changed[:, :6]).all() == causal
        assert (y[:, 6:] != changed[:, 6:]).all()


def test_without_positions_steps_are_a_set():
    x, order = normal(2, 7, 8), np.random.default_rng(1).permutation(7)
    plain, rotary = attention(8, 2), attention(8, 2, positions="rotary")
    y, turned = plain.forward(x)[0], plain.forward(x[:, order])[0]
    np.testing.assert_allclose(turned, y[:, order], rtol=1e-12)
    y, turned = rotary.forward(x)[0], rotary.forward(x[:, order])[0]
    assert np.abs(turned - y[:, order]).max() > 1e-2


def test_rotation_keeps_lengths_and_depends_on_distance_alone():
    q, k = normal(2, 6)
    table = rotary_table(40, 6, np.dtype(np.float64))
    rows_q, rows_k = np.tile(q, (40, 1)), np.tile(k, (40, 1))
    rotate(rows_q, *table)
    rotate(rows_k, *table)
    np.testing.assert_allclose(rows_q[0], q, rtol=1e-15)
    np.testing.assert_allclose((rows_q**2).sum(axis=1), (q**2).sum(), rtol=1e-13)
    scores = rows_q @ rows_k.T
    for distance in (0, 3, 20):
        same = np.diagonal(scores, distance)
        np.testing.assert_allclose(same, same[0], rtol=1e-12)
    assert abs(scores[0, 0] - scores[0, 5]) > 1e-3
    rotate(rows_q, *table, back=True)
    np.testing.assert_allclose(rows_q, np.tile(q, (40, 1)), rtol=1e-13)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("tile", "rows"), [(1, 1), (40, 3), (130, 4), (700, 64)])
def test_tiles_of_any_size_give_the_same(causal, tile, rows, monkeypatch):
    layer, x, dy = attention(12, 3, causal=causal), normal(5, 11, 12), normal(5, 11, 12)

    def everything():
        y, cache = layer.forward(x)
        dx, gradients = layer.backward(dy, cache)
        return [y, dx, *gradients.values()]

    def count():
        cut = tiles.Tiles(5, 3, 11, causal, np.float64)
        return sum(1 for samples in cut.samples for _ in cut.of(samples))

    whole, few = everything(), count()
    monkeypatch.setattr(tiles, "TILE", tile)
    monkeypatch.setattr(tiles, "ROWS", rows)
    assert count() > few
    for a, b in zip(everything(), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
def test_a_long_sequence_holds_no_square_of_scores(causal):
    t = 4096  # 134 MB of scores for two heads
    layer = attention(8, 2, causal=causal, dtype=np.float32)
    x = normal(1, t, 8, dtype=np.float32)
    tracemalloc.start()
    try:
        y, cache = layer.forward(x)
        dx, _ = layer.backward(y, cache)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert np.isfinite(dx).all()
    assert peak < 12e6, f"{peak / 1e6:.1f} MB"


def test_large_scores_do_not_overflow():
    layer = attention(8, 2, causal=True, dtype=np.float32)
    x = normal(1, 6, 8, dtype=np.float32) * np.float32(1e6)
    y, cache = layer.forward(x)
    dx, gradients = layer.backward(np.ones_like(y), cache)
    for array in (y, dx, *gradients.values()):
        assert np.isfinite(array).all()


def test_only_the_output_is_drawn_with_the_activations_gain():
    layer = MultiHeadAttention(256, 4, activation="relu")
    layer.initialize(7)
    assert abs(layer.parameters["qkv_weight"].var() * 256 - 1) < 0.02
    assert abs(layer.parameters["output_weight"].var() * 256 - 2) < 0.04
    assert not layer.parameters["qkv_bias"].any()


def test_the_wire_and_bundles_have_the_names_of_the_original():
    config = loom.init_multi_head_attention_layer(8, 2, 5, 1)
    assert config == {
        "Type": 2,
        "DModel": 8,
        "NumHeads": 2,
        "SeqLength": 5,
        "Activation": 1,
        "Causal": False,
        "Positions": "none",
        "HeadDim": 4,
    }
    names = "QWeights KWeights VWeights OutputWeight QBias KBias VBias OutputBias"
    given = {n: normal(8, 8) if "W" in n else normal(8) for n in names.split()}
    layer = loom.layers.layer_from_wire(config | given)
    packed = np.hstack([given[n] for n in ("QWeights", "KWeights", "VWeights")])
    np.testing.assert_array_equal(layer.parameters["qkv_weight"], packed)
    sent = layer.wire_config()
    for name, array in given.items():
        np.testing.assert_array_equal(sent[name], array)
    assert layer.bundle_config()["d_model"] == 8
    short = layer.bundle_config() | {"type": "mha"}
    assert repr(loom.layers.layer_from_bundle(short)) == repr(layer)


def test_sinusoids_are_those_of_the_paper():
    x = np.zeros((1, 50, 6))
    y = PositionalEncoding(6).forward(x)[0][0]
    t = np.arange(50)
    np.testing.assert_allclose(y[:, 0], np.sin(t), atol=1e-15)
    np.testing.assert_allclose(y[:, 3], np.cos(t / 10_000 ** (2 / 6)), atol=1e-15)
    again = PositionalEncoding(6).forward(x.astype(np.float32))[0]
    assert again.dtype == np.float32


def stack(layer, shape):
    return Network.stack(layer, input_shape=shape, seed=1)


REFUSED = [
    (
        lambda: MultiHeadAttention(12, 5),
        ConfigError,
        "MultiHeadAttention: expected num_heads to divide d_model 12, got 5. "
        "Possible: 1, 2, 3, 4, 6, 12.",
    ),
    (
        lambda: MultiHeadAttention(6, 2, positions="rotary"),
        ConfigError,
        "MultiHeadAttention: expected an even d_model / num_heads for rotary "
        "positions, got 6 / 2 = 3. Use another num_heads, or positions='none'.",
    ),
    (
        lambda: MultiHeadAttention(6, 2, positions="learned"),
        ConfigError,
        "MultiHeadAttention: unknown positions 'learned'. Known: none, rotary.",
    ),
    (
        lambda: MultiHeadAttention(0, 1),
        ConfigError,
        "MultiHeadAttention: expected d_model from 1 to 2147483647, got 0.",
    ),
    (
        lambda: MultiHeadAttention(8, -2),
        ConfigError,
        "MultiHeadAttention: expected num_heads from 1 to 2147483647, got -2.",
    ),
    (
        lambda: MultiHeadAttention(8, 2, 4.5),
        ConfigError,
        "MultiHeadAttention: expected seq_length as int, got 4.5 (float).",
    ),
    (
        lambda: MultiHeadAttention(2**16, 1),
        ConfigError,
        "MultiHeadAttention: qkv_weight of shape (65536, 196608) has 12,884,901,888 "
        "values; at most 2,147,483,647 are possible. Make the layer smaller.",
    ),
    (
        lambda: stack(MultiHeadAttention(8, 2, 5), (6, 8)),
        ShapeError,
        "layer (0, 0, 0) MultiHeadAttention: expected x of shape (B, 5, 8), got "
        "(B, 6, 8). Set seq_length=6, or 0 for any length. Or check the network's "
        "input, whose shape is (B, 6, 8).",
    ),
    (
        lambda: stack(MultiHeadAttention(8, 2), (5, 6)),
        ShapeError,
        "layer (0, 0, 0) MultiHeadAttention: expected x of shape (B, T, 8), got "
        "(B, 5, 6). Set d_model=6. Or check the network's input, whose shape is "
        "(B, 5, 6).",
    ),
    (
        lambda: stack(MultiHeadAttention(8, 2, 5), (30,)),
        ShapeError,
        "layer (0, 0, 0) MultiHeadAttention: expected x of shape (B, 5, 8), got "
        "(B, 30). Give it 40 values. Or check the network's input, whose shape is "
        "(B, 30).",
    ),
    (
        lambda: stack(MultiHeadAttention(8, 2), (8, 3, 3)),
        ShapeError,
        "layer (0, 0, 0) MultiHeadAttention: expected x of shape (B, T, 8), got "
        "(B, 8, 3, 3). Reshape it to (T, C) first. Or check the network's input, whose "
        "shape is (B, 8, 3, 3).",
    ),
    (
        lambda: loom.layers.layer_from_wire(
            loom.init_multi_head_attention_layer(8, 2) | {"HeadDim": 3}
        ),
        ConfigError,
        "MultiHeadAttention: expected head_dim 4 as the other fields give, got 3. "
        "Leave it out, or correct them.",
    ),
    (
        lambda: loom.layers.layer_from_wire(
            loom.init_multi_head_attention_layer(8, 2) | {"QWeights": [0.5] * 64}
        ),
        ConfigError,
        "MultiHeadAttention: expected every part of qkv_weight, got none for k_weight, "
        "v_weight. Give all of q_weight, k_weight, v_weight, or none to draw them.",
    ),
    (
        lambda: loom.layers.layer_from_wire(
            loom.init_multi_head_attention_layer(8, 2) | {"OutputBias": [0.5] * 7}
        ),
        ShapeError,
        "MultiHeadAttention: output_bias: expected shape (8,), got (7,).",
    ),
    (
        lambda: PositionalEncoding(8, positions="learned"),
        ConfigError,
        "PositionalEncoding: expected seq_length of 1 or more for learned positions, "
        "got 0. Set it, or use positions='sinusoidal'.",
    ),
    (
        lambda: stack(PositionalEncoding(8, 5, "learned"), (4, 8)),
        ShapeError,
        "layer (0, 0, 0) PositionalEncoding: expected x of shape (B, 5, 8), got "
        "(B, 4, 8). Set seq_length=4, or 0 for any length. Or check the network's "
        "input, whose shape is (B, 4, 8).",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED)
def test_errors_say_where_expected_got_and_what_to_do(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text


def test_a_huge_width_is_refused_at_once():
    with pytest.raises(ConfigError, match="Possible: 1"):
        MultiHeadAttention(2**31 - 1, 2**30)
