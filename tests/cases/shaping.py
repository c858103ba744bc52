"""Cases: what changes shapes, masks, batch statistics and token rows."""

from math import prod

import numpy as np
from hypothesis import strategies as st

from loom import random
from loom.layers import BatchNorm, Dropout, Embedding, Flatten, Reshape
from tests.cases.case import Case


def some_shape(draw, least=1):
    return tuple(draw(st.lists(st.integers(1, 4), min_size=least, max_size=3)))


def draw_flatten(draw):
    return Flatten(), some_shape(draw)


def draw_reshape(draw):
    wanted = list(some_shape(draw))
    given = draw(st.permutations(wanted))
    if draw(st.booleans()):
        wanted[draw(st.integers(0, len(wanted) - 1))] = -1
    return Reshape(wanted), draw(st.sampled_from([tuple(given), (prod(given),)]))


def draw_dropout(draw):
    rate = draw(st.one_of(st.just(0.0), st.floats(0.05, 0.95)))
    return Dropout(rate), some_shape(draw)


def dropout_twin(layer, w, x, run):
    import torch

    if not run.training:
        return x
    stream = {"step": run.step, "stream": layer.index, "purpose": random.DROPOUT}
    u = random.uniform(run.seed, tuple(x.shape), **stream)
    mask = torch.tensor(u >= layer.rate, dtype=x.dtype)
    return x * mask / (1 - layer.rate)


def draw_batch_norm(draw):
    c = draw(st.integers(1, 4))
    # Two values of a channel at least, whatever the batch; of exactly two the variance
    # may be tiny, where central differences see nothing.
    lead = draw(st.sampled_from([(4,), (7,), (2, 2), (3, 2)]))
    shape = (*lead, c) if len(lead) == 1 else (c, *lead)
    return BatchNorm(c, 1e-3, draw(st.floats(0.0, 1.0))), shape


def batch_norm_twin(layer, w, x, run):
    import torch.nn.functional as F

    images = x.ndim == 4
    rows = x if images else x.reshape(-1, layer.size)
    y = F.batch_norm(
        rows,
        w["running_mean"],
        w["running_var"],
        w["weight"],
        w["bias"],
        run.training,
        layer.momentum,
        layer.epsilon,
    )
    return y.reshape(x.shape)


def draw_embedding(draw):
    v, d = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    return Embedding(v, d), some_shape(draw)


def token_ids(rng: np.random.Generator, shape, layer) -> np.ndarray:
    return rng.integers(0, layer.vocabulary_size, shape).astype(np.float64)


CASES = (
    Case(
        Flatten,
        draw_flatten,
        {"image": lambda: (Flatten(), (2, 3, 4))},
        lambda layer, w, x, run: x.flatten(1),
    ),
    Case(
        Reshape,
        draw_reshape,
        {
            "image": lambda: (Reshape((2, 3, 4)), (24,)),
            "rest": lambda: (Reshape((-1, 6)), (3, 2, 2)),
        },
        lambda layer, w, x, run: x.reshape(len(x), *layer.shape),
    ),
    Case(
        Dropout,
        draw_dropout,
        {
            "half": lambda: (Dropout(0.5), (5, 6)),
            "tenth": lambda: (Dropout(0.1), (33,)),
        },
        dropout_twin,
        modes=(False, True),
    ),
    Case(
        BatchNorm,
        draw_batch_norm,
        {
            "features": lambda: (BatchNorm(6), (6,)),
            "sequence": lambda: (BatchNorm(4, 1e-3, 0.3), (5, 4)),
            "image": lambda: (BatchNorm(3), (3, 4, 5)),
        },
        batch_norm_twin,
        modes=(False, True),
        batch=4,
    ),
    Case(
        Embedding,
        draw_embedding,
        {"tokens": lambda: (Embedding(11, 6), (8,))},
        lambda layer, w, x, run: w["weight"][x.long()],
        values=token_ids,
        differentiable=False,
    ),
)
