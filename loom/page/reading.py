"""What a network reads in samples: probabilities, drawings, the whole evaluation."""

from typing import Any

import numpy as np

from loom import linalg
from loom.data import digit_from_drawing
from loom.evaluation import confusion_matrix, evaluate, outputs_of
from loom.network import Network
from loom.page.examples import finished, task_of

__all__ = ["evaluate_held_out", "greatest_difference", "predict", "read_drawing"]

Array = np.ndarray


def predict(net: Network, inputs: Array) -> Array:
    """Probabilities (B, K) of a classifier; the values (B, 1) of one output."""
    return _probabilities(net, outputs_of(net, inputs, "predict"))


def greatest_difference(net: Network, inputs: Array, outputs: Array) -> float:
    """Between the network's outputs on the CPU and `outputs` of another place."""
    expected = outputs_of(net, inputs, "difference")
    return float(np.abs(expected - outputs.reshape(expected.shape)).max())


def read_drawing(net: Network, pixels: Array) -> dict[str, Any]:
    """A drawing as the network sees it, and the probability of each class.

    Shapes: pixels (H, W), paper 0 to ink 1 -> {seen (64,), probabilities (K,)};
    `probabilities` is null for an empty drawing.
    """
    seen = digit_from_drawing(pixels)
    if not seen.any():
        return {"seen": seen, "probabilities": None}
    return {"seen": seen, "probabilities": predict(net, seen[None])[0]}


def evaluate_held_out(net: Network, name: str) -> dict[str, Any]:
    """{metrics, confusion, confidence} of an example's held-out samples, in one pass.

    `confusion` (K, K) counts, row the right class, and `confidence` (N,), the
    probability of the class that was read, are null where a sample is not of one class.
    """
    inputs, targets = task_of(name, net.seed).held_out
    done = finished(net, name)
    outputs = outputs_of(done, inputs, "evaluate")
    classes = outputs.ndim == 2 and outputs.shape[1] > 1
    return {
        "metrics": evaluate(outputs, targets),
        "confusion": confusion_matrix(outputs, targets) if classes else None,
        "confidence": _probabilities(done, outputs).max(axis=1) if classes else None,
    }


def _probabilities(net: Network, outputs: Array) -> Array:
    """Softmax of logits; what already are probabilities, or one output, stays."""
    last = net.layers[-1]
    name = getattr(last.config.get("activation"), "name", "")
    done = name in ("sigmoid", "softmax") or last.kind == "softmax"
    if done or outputs.shape[-1] == 1:
        return outputs
    return linalg.softmax(outputs)
