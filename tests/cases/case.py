"""What a layer brings to the harness."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loom.layers import Layer

Shape = tuple[int, ...]
Made = tuple[Layer, Shape]  # a layer and the sample shape of its x


def normal(rng: np.random.Generator, shape: Shape, layer: Layer) -> np.ndarray:
    """x ~ N(0, 1), float64."""
    return rng.standard_normal(shape)


@dataclass(frozen=True)
class Case:
    """One layer class in the harness.

    Attributes:
        layer: the class, a row of LAYERS.
        draw: Hypothesis's draw -> a random layer and the sample shape of its x.
        examples: name -> () -> a layer and a sample shape, for the parity fixtures.
        twin: the same layer in PyTorch: twin(layer, w, x, run, *sources) -> y, with w
            the tensors of the layer's parameters and state by name (state may be
            updated in place). Imports torch inside, since only the generator has it.
        values: (rng, shape with batch, layer) -> x, float64.
        modes: run.training of the gradient checks and fixtures.
        differentiable: False where x has no gradient (token ids).
        batch: samples of the parity fixtures.
    """

    layer: type[Layer]
    draw: Callable[[Any], Made]
    examples: dict[str, Callable[[], Made]]
    twin: Callable[..., Any]
    values: Callable[[np.random.Generator, Shape, Layer], np.ndarray] = normal
    modes: tuple[bool, ...] = (False,)
    differentiable: bool = True
    batch: int = 3
    notes: str = field(default="", compare=False)


def fill(layer: Layer, rng: np.random.Generator, dtype=np.float64) -> Layer:
    """Random values in every parameter (biases too) and, kept positive, in the state.

    Zeros and ones, which a layer begins with, would hide a wrong gradient.
    """
    layer.initialize(0, dtype)
    for arrays in (layer.parameters, layer.state):
        for name, old in arrays.items():
            fan_in = layer.weight_shapes().get(name, ((), 0))[1]
            if name in layer.state:
                value = rng.uniform(0.5, 1.5, old.shape)
            else:
                value = rng.standard_normal(old.shape) / max(fan_in, 4) ** 0.5
            arrays[name] = value.astype(dtype)
    return layer


def torch_activation(name: str, v):
    """PyTorch's own form of a row of ACTIVATIONS."""
    import torch.nn.functional as F

    return {
        "scaled_relu": lambda: 1.1 * F.relu(v),
        "sigmoid": lambda: F.sigmoid(v),
        "tanh": lambda: F.tanh(v),
        "softplus": lambda: F.softplus(v),
        "leaky_relu": lambda: F.leaky_relu(v, 0.1),
        "linear": lambda: v,
        "relu": lambda: F.relu(v),
        "gelu": lambda: F.gelu(v, approximate="tanh"),
        "silu": lambda: F.silu(v),
        "softmax": lambda: F.softmax(v, dim=-1),
    }[name]()
