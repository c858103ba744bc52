"""Cases: the recurrent layers."""

from functools import partial

from hypothesis import strategies as st

from loom.layers import GRU, LSTM, QRNN, RNN, SRU
from tests.cases.case import Case, torch_activation


def draw_recurrent(kind, draw):
    """Any sizes, one time step and one feature among them; a length that is fixed."""
    t, c, h = (
        draw(st.integers(1, n), label=name)
        for name, n in zip("TCH", (6, 4, 5), strict=True)
    )
    length = draw(st.sampled_from([0, t]), label="seq_length")
    whole = draw(st.booleans(), label="return_sequences")
    return kind(c, h, length, return_sequences=whole), (t, c)


def examples(kind):
    """Every state, the last alone, one step, and a long sequence."""
    return {
        "sequence": lambda: (kind(4, 6), (7, 4)),
        "last": lambda: (kind(5, 3, return_sequences=False), (6, 5)),
        "one": lambda: (kind(3, 4), (1, 3)),
        "long": lambda: (kind(2, 3), (40, 2)),
    }


def draw_qrnn(draw):
    """Windows up to longer than the sequence."""
    layer, shape = draw_recurrent(QRNN, draw)
    width = draw(st.integers(1, 4), label="kernel_size")
    return type(layer)(**layer.config | {"kernel_size": width}), shape


def draw_sru(draw):
    """The highway is x itself, or its product."""
    layer, (t, c) = draw_recurrent(SRU, draw)
    own = {"hidden_size": c} if draw(st.booleans(), label="own highway") else {}
    own["activation"] = draw(st.sampled_from(["tanh", "linear", "gelu", "softmax"]))
    return SRU(**layer.config | own), (t, c)


def torch_recurrent(kind, layer, w, x, second=None):
    """A module of torch.nn on our parameters; its second bias zero unless given."""
    import torch

    module = kind(layer.input_size, layer.hidden_size, batch_first=True).to(x.dtype)
    names = {"weight_ih_l0": "weight_ih", "weight_hh_l0": "weight_hh"}
    tensors = {theirs: w[ours] for theirs, ours in names.items()}
    second = torch.zeros_like(w["bias"]) if second is None else second
    tensors |= {"bias_ih_l0": w["bias"], "bias_hh_l0": second}
    y, _ = torch.func.functional_call(module, tensors, (x,))
    return y if layer.return_sequences else y[:, -1]


def rnn_twin(layer, w, x, run):
    import torch

    return torch_recurrent(torch.nn.RNN, layer, w, x)


def lstm_twin(layer, w, x, run):
    """torch.nn.LSTM has the gates in our order: i, f, g, o."""
    import torch

    return torch_recurrent(torch.nn.LSTM, layer, w, x)


def gru_twin(layer, w, x, run):
    """torch.nn.GRU has the gates in our order: r, z, n; of its second bias only n's."""
    import torch

    second = torch.cat([torch.zeros_like(w["bias"])[layer.hidden_size :], w["bias_hn"]])
    return torch_recurrent(torch.nn.GRU, layer, w, x, second)


def torch_forget(f, z):
    """c_t = f_t c_{t-1} + (1 - f_t) z_t, step by step."""
    import torch

    c, steps = torch.zeros_like(z[:, 0]), []
    for t in range(z.shape[1]):
        c = f[:, t] * c + (1 - f[:, t]) * z[:, t]
        steps.append(c)
    return torch.stack(steps, dim=1)


def qrnn_twin(layer, w, x, run):
    import torch.nn.functional as F

    padded = F.pad(x.transpose(1, 2), (layer.kernel_size - 1, 0))
    gates = F.conv1d(padded, w["weight"], w["bias"]).transpose(1, 2)
    z, f, o = gates.chunk(3, dim=-1)
    y = o.sigmoid() * torch_forget(f.sigmoid(), z.tanh())
    return y if layer.return_sequences else y[:, -1]


def sru_twin(layer, w, x, run):
    z, f, r, *p = (x @ w["weight"].T).split(layer.hidden_size, dim=-1)
    bias_f, bias_r = w["bias"].chunk(2)
    f, r = (f + bias_f).sigmoid(), (r + bias_r).sigmoid()
    g = torch_activation(layer.activation.name, torch_forget(f, z))
    y = r * g + (1 - r) * (p[0] if p else x)
    return y if layer.return_sequences else y[:, -1]


CASES = (
    Case(RNN, partial(draw_recurrent, RNN), examples(RNN), rnn_twin),
    Case(LSTM, partial(draw_recurrent, LSTM), examples(LSTM), lstm_twin),
    Case(GRU, partial(draw_recurrent, GRU), examples(GRU), gru_twin),
    Case(
        QRNN,
        draw_qrnn,
        examples(QRNN) | {"wide": lambda: (QRNN(4, 5, kernel_size=3), (7, 4))},
        qrnn_twin,
    ),
    Case(
        SRU,
        draw_sru,
        examples(SRU)
        | {
            "highway": lambda: (SRU(5, 5), (7, 5)),
            "highway-last": lambda: (SRU(4, 4, return_sequences=False), (6, 4)),
            "linear": lambda: (SRU(4, 6, activation="linear"), (7, 4)),
        },
        sru_twin,
    ),
)
