"""Examples on sequences: what came first must be remembered to the end."""

from loom import data
from loom.data.tasks import ORDERS
from loom.examples.example import Example, Task
from loom.layers import LSTM, SRU, Dense, Layer
from loom.network import Network

SAMPLES, LENGTH, HIDDEN = 2000, 30, 32
_TASK = (
    "Which of X and Y came first and second, among 30 symbols (Hochreiter and "
    "Schmidhuber's task 6a)"
)


def order(seed: int) -> Task:
    """Sequences of symbols and the order of the two that count; a fifth held out."""
    x, labels = data.temporal_order(SAMPLES, LENGTH, seed)
    train, held_out = data.split(x, labels, seed=seed)
    return Task(train, held_out, ORDERS, target="order")


def _example(name: str, title: str, layers: tuple[Layer, ...], what: str) -> Example:
    def network(task: Task, seed: int) -> Network:
        last = Dense(HIDDEN, len(ORDERS), "linear")
        return Network.stack(*layers, last, input_shape=(LENGTH, 6), seed=seed)

    return Example(
        name,
        title,
        f"{_TASK}, by {what}; a fifth is held out.",
        "sequence",
        order,
        network,
        {
            "epochs": 12,
            "batch_size": 32,
            "learning_rate": 0.01,
            "optimizer": "adam",
            "gradient_clip": 1.0,
            "schedule": "cosine",
            "loss_type": "softmax_cross_entropy",
        },
        goal=0.98,
    )


ROWS = (
    _example(
        "order-lstm",
        "Order of symbols, LSTM",
        (LSTM(6, HIDDEN, return_sequences=False),),
        "an LSTM of 32 units",
    ),
    _example(
        "order-sru",
        "Order of symbols, SRU",
        (SRU(6, HIDDEN), SRU(HIDDEN, HIDDEN, return_sequences=False)),
        "two SRU layers of 32 units, parallel over time",
    ),
)
