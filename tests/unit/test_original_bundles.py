"""Bundles as the framework we follow writes them load, with the same predictions.

Its rows carry every field of every layer type, zero where they mean nothing, and its
weights every array, null where there is none.
"""

import base64
import json

import numpy as np
import pytest

import loom
from tests.compare import assert_close

_FIELDS = (
    "width height input_channels filters kernel_size stride padding input_height "
    "input_width output_height output_width d_model num_heads seq_length input_size "
    "hidden_size"
)
_ARRAYS = (
    "biases kernel conv_bias q_weights k_weights v_weights output_weight q_bias k_bias "
    "v_bias output_bias weight_ih weight_hh bias_h weight_ii weight_if weight_ig "
    "weight_io weight_hi weight_hf weight_hg weight_ho bias_i bias_f bias_g bias_o"
)
FIELDS, ARRAYS = _FIELDS.split(), _ARRAYS.split()
RNG = np.random.default_rng(11)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def bundle(kind, fields, arrays, activation="tanh"):
    row = {"type": kind, "activation": activation} | dict.fromkeys(FIELDS, 0) | fields
    held = dict.fromkeys(ARRAYS) | {k: v.ravel().tolist() for k, v in arrays.items()}
    data = json.dumps({"type": "float32", "layers": [held]})
    cfg = {
        "id": "m",
        "batch_size": 1,
        "grid_rows": 1,
        "grid_cols": 1,
        "layers_per_cell": 1,
        "layers": [row],
    }
    weights = {
        "fmt": "jsonModelB64",
        "data": base64.b64encode(data.encode()).decode(),
    }
    models = [{"id": "m", "cfg": cfg, "weights": weights}]
    return {"type": "modelhost/bundle", "version": 1, "models": models}


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def dense():
    w, b, x = draw(5, 3), draw(3), draw(2, 5)
    fields = {"input_height": 5, "output_height": 3}
    y = 1.1 * np.maximum(x @ w + b, 0)
    return bundle("dense", fields, {"kernel": w, "biases": b}, "relu"), x, y


def conv2d():
    w, b, x = draw(2, 3, 2, 2), draw(2), draw(2, 3, 4, 5)
    fields = {
        "input_height": 4,
        "input_width": 5,
        "input_channels": 3,
        "kernel_size": 2,
        "stride": 1,
        "padding": 0,
        "filters": 2,
        "output_height": 3,
        "output_width": 4,
    }
    v = np.zeros((2, 2, 3, 4))
    for i in range(3):
        for j in range(4):
            window = x[:, None, :, i : i + 2, j : j + 2]
            v[:, :, i, j] = (window * w).sum(axis=(2, 3, 4)) + b
    return bundle("conv2d", fields, {"kernel": w, "conv_bias": b}), x, np.tanh(v)


def attention(kind):
    d, n, t = 6, 2, 4
    x = draw(2, t, d)
    arrays = {f"{p}_weights": draw(d, d) for p in "qkv"} | {"output_weight": draw(d, d)}
    arrays |= {f"{p}_bias": draw(d) for p in ("q", "k", "v", "output")}
    q, k, v = (
        (x @ arrays[f"{p}_weights"] + arrays[f"{p}_bias"])
        .reshape(2, t, n, d // n)
        .swapaxes(1, 2)
        for p in "qkv"
    )
    scores = np.exp(q @ k.swapaxes(2, 3) / np.sqrt(d // n))
    heads = scores / scores.sum(-1, keepdims=True) @ v
    y = heads.swapaxes(1, 2).reshape(2, t, d) @ arrays["output_weight"]
    y = np.tanh(y + arrays["output_bias"])
    return bundle(kind, {"d_model": d, "num_heads": n, "seq_length": t}, arrays), x, y


def rnn():
    c, h, t = 3, 4, 5
    w, u, b, x = draw(h, c), draw(h, h), draw(h), draw(2, t, c)
    state, out = np.zeros((2, h)), []
    for k in range(t):
        state = np.tanh(x[:, k] @ w.T + state @ u.T + b)
        out.append(state)
    fields = {"input_size": c, "hidden_size": h, "seq_length": t}
    arrays = {"weight_ih": w, "weight_hh": u, "bias_h": b}
    return bundle("rnn", fields, arrays), x, np.stack(out, axis=1)


def lstm():
    c, h, t = 3, 4, 5
    x = draw(2, t, c)
    arrays = {f"weight_i{g}": draw(h, c) for g in "ifgo"}
    arrays |= {f"weight_h{g}": draw(h, h) for g in "ifgo"}
    arrays |= {f"bias_{g}": draw(h) for g in "ifgo"}
    state, cell, out = np.zeros((2, h)), np.zeros((2, h)), []
    for k in range(t):
        i, f, g, o = (
            x[:, k] @ arrays[f"weight_i{n}"].T
            + state @ arrays[f"weight_h{n}"].T
            + arrays[f"bias_{n}"]
            for n in "ifgo"
        )
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        state = sigmoid(o) * np.tanh(cell)
        out.append(state)
    fields = {"input_size": c, "hidden_size": h, "seq_length": t}
    return bundle("lstm", fields, arrays), x, np.stack(out, axis=1)


MAKERS = {
    "dense": dense,
    "conv2d": conv2d,
    "multi_head_attention": lambda: attention("multi_head_attention"),
    "mha": lambda: attention("mha"),
    "rnn": rnn,
    "lstm": lstm,
}


@pytest.mark.parametrize("name", MAKERS)
def test_its_bundle_predicts_what_its_formulas_say(name):
    text, x, expected = MAKERS[name]()
    net = loom.load_model_from_string(json.dumps(text), "m")
    y, _ = net.forward_cpu(x)
    assert_close(y, expected.astype(np.float32), "forward", f"{name} of the original")
    again = loom.load_model_from_string(net.save_model_to_string("m"))
    np.testing.assert_array_equal(again.forward_cpu(x)[0], y)


def test_a_dense_layer_whose_weights_were_dropped_is_refused():
    text, *_ = dense()
    dropped = bundle("dense", {"input_height": 5, "output_height": 3}, {}, "relu")
    assert text.keys() == dropped.keys()
    with pytest.raises(loom.FormatError) as caught:
        loom.load_model_from_string(dropped)
    assert str(caught.value) == (
        "bundle: 2 problems:\n"
        "  models[0] 'm' layers[0] Dense: kernel is missing. The file was written "
        "without it (early versions of the original framework drop dense weights); "
        "train again, or save with a version that keeps them.\n"
        "  models[0] 'm' layers[0] Dense: biases is missing. The file was written "
        "without it (early versions of the original framework drop dense weights); "
        "train again, or save with a version that keeps them."
    )
