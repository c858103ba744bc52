"""An example on text: a small attention network learns to write the next letter."""

import numpy as np

from loom import data, random
from loom.errors import ConfigError, InputError
from loom.examples.example import Example, Task
from loom.layers import (
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    MultiHeadAttention,
    Residual,
)
from loom.linalg import softmax
from loom.network import Network

LENGTH, WIDTH, HEADS, BLOCKS, RATE = 32, 64, 4, 2, 0.1


def windows(seed: int) -> Task:
    """Windows of 32 characters, each to be moved on by one; a fifth held out."""
    inputs, targets, characters = data.text_windows(data.text(), LENGTH)
    pair = inputs.astype(np.float32), targets
    train, held_out = data.split(*pair, seed=seed)
    return Task(train, held_out, tuple(characters), target="next character")


def block(before: int) -> list[Layer]:
    """A transformer block behind the layer of index `before` (pre-norm)."""
    return [
        LayerNorm(WIDTH),
        MultiHeadAttention(WIDTH, HEADS, LENGTH, causal=True, positions="rotary"),
        Residual((0, 0, before)),
        LayerNorm(WIDTH),
        Dense(WIDTH, 3 * WIDTH, "relu"),
        Dense(3 * WIDTH, WIDTH, "linear"),
        Dropout(RATE),
        Residual((0, 0, before + 3)),
    ]


def network(task: Task, seed: int) -> Network:
    """Embedding, two blocks, and the characters' logits."""
    layers: list[Layer] = [Embedding(len(task.classes), WIDTH), Dropout(RATE)]
    for _ in range(BLOCKS):
        layers += block(len(layers) - 1)
    layers += [LayerNorm(WIDTH), Dense(WIDTH, len(task.classes), "linear")]
    return Network.stack(*layers, input_shape=(LENGTH,), seed=seed)


def write(
    net: Network, prompt: str, count: int, temperature: float = 0.7, seed: int = 0
) -> str:
    """`prompt` continued by `count` characters, drawn one at a time.

    p = softmax(logits / temperature) of what follows the last 32 characters. Raises
    ConfigError when the network is no writer, InputError for a character that it has
    not learnt or a temperature that is not above 0.
    """
    characters = net.metadata.get("classes")
    if net.metadata.get("kind") != "text" or not isinstance(characters, list):
        raise ConfigError(
            "write: expected a network trained on text, got one of kind "
            f"{net.metadata.get('kind')!r}. Train one: loom train alice."
        )
    if not temperature > 0:
        raise InputError(f"write: expected temperature above 0, got {temperature}.")
    place = {character: i for i, character in enumerate(characters)}
    for character in prompt:
        if character not in place:
            raise InputError(
                f"write: the network knows no {character!r}. Its characters: "
                f"{''.join(characters)!r}."
            )
    length = net.input_size
    # A causal network does not look at what stands after a character.
    ids = [place[character] for character in prompt or "\n"]
    start = len(ids) if prompt else 0
    luck = random.uniform(seed, (count,), purpose=random.DATA)
    for draw in luck:
        seen = ids[-length:]
        x = np.zeros((1, length), np.float32)
        x[0, : len(seen)] = seen
        logits = net.forward(x)[0, len(seen) - 1]
        p = softmax(logits.astype(np.float64) / temperature)
        ids.append(min(int(np.searchsorted(p.cumsum(), draw)), len(p) - 1))
    tail = "".join(characters[i] for i in ids[len(ids) - count :])
    return prompt + tail if start else tail


ROWS = (
    Example(
        "alice",
        "Alice in Wonderland, attention",
        "The next character of three chapters (31,000 characters) by two causal "
        "attention blocks of width 64; a fifth of the windows is held out.",
        "text",
        windows,
        network,
        {
            "epochs": 12,
            "batch_size": 16,
            "learning_rate": 0.004,
            "optimizer": "adamw",
            "weight_decay": 0.1,
            "gradient_clip": 1.0,
            "warmup_steps": 30,
            "schedule": "cosine",
            "loss_type": "softmax_cross_entropy",
        },
        metric="loss",
        goal=2.05,
    ),
)
