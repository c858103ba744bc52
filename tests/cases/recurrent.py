"""Cases: the recurrent layers."""

from functools import partial

from hypothesis import strategies as st

from loom.layers import LSTM, RNN
from tests.cases.case import Case


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


def torch_recurrent(kind, layer, w, x):
    """A module of torch.nn on our parameters: its first bias ours, its second zero."""
    import torch

    module = kind(layer.input_size, layer.hidden_size, batch_first=True).to(x.dtype)
    names = {"weight_ih_l0": "weight_ih", "weight_hh_l0": "weight_hh"}
    tensors = {theirs: w[ours] for theirs, ours in names.items()}
    tensors |= {"bias_ih_l0": w["bias"], "bias_hh_l0": torch.zeros_like(w["bias"])}
    y, _ = torch.func.functional_call(module, tensors, (x,))
    return y if layer.return_sequences else y[:, -1]


def rnn_twin(layer, w, x, run):
    import torch

    return torch_recurrent(torch.nn.RNN, layer, w, x)


def lstm_twin(layer, w, x, run):
    """torch.nn.LSTM has the gates in our order: i, f, g, o."""
    import torch

    return torch_recurrent(torch.nn.LSTM, layer, w, x)


CASES = (
    Case(RNN, partial(draw_recurrent, RNN), examples(RNN), rnn_twin),
    Case(LSTM, partial(draw_recurrent, LSTM), examples(LSTM), lstm_twin),
)
