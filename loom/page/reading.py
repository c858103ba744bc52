"""What a network reads in samples: probabilities, drawings, the whole evaluation."""

from typing import Any

import numpy as np

from loom import linalg
from loom.data import digit_from_drawing
from loom.evaluation import confusion_matrix, evaluate, outputs_of
from loom.network import Network

__all__ = ["evaluate_samples", "predict", "read_drawing"]

Array = np.ndarray


def predict(net: Network, inputs: Array) -> Array:
    """Probabilities (B, K) of a classifier, values (B, 1) of a network of one output."""
    return _probabilities(net, outputs_of(net, inputs, "predict"))


def read_drawing(net: Network, pixels: Array) -> dict[str, Any]:
    """A drawing as the network sees it, and the probability of each class.

    Shapes: pixels (H, W), paper 0 to ink 1 -> {Seen (64,), Probabilities (K,)};
    Probabilities is null for an empty drawing.
    """
    seen = digit_from_drawing(pixels)
    if not seen.any():
        return {"Seen": seen, "Probabilities": None}
    return {"Seen": seen, "Probabilities": predict(net, seen[None])[0]}


def evaluate_samples(net: Network, inputs: Array, targets: Array) -> dict[str, Any]:
    """{Metrics, Confusion, Confidence} of samples, from one pass.

    Confusion (K, K) counts, row the right class, and Confidence (N,), the probability
    of the class that was read, are null for a network of one output.
    """
    outputs = outputs_of(net, inputs, "evaluate")
    classes = outputs.ndim == 2 and outputs.shape[1] > 1
    return {
        "Metrics": evaluate(outputs, targets),
        "Confusion": confusion_matrix(outputs, targets) if classes else None,
        "Confidence": _probabilities(net, outputs).max(axis=1) if classes else None,
    }


def _probabilities(net: Network, outputs: Array) -> Array:
    """Softmax of logits; what already are probabilities, or one output, stays."""
    last = net.layers[-1]
    name = getattr(last.config.get("activation"), "name", "")
    done = name in ("sigmoid", "softmax") or last.kind == "softmax"
    if done or outputs.shape[-1] == 1:
        return outputs
    return linalg.softmax(outputs)
