"""The training that test_checkpoints kills: python -m tests.unit.interrupted NAME FILE.

Writes the final weights and state to FILE.weights; goes on from FILE where it exists.
"""

import sys
from pathlib import Path

import numpy as np

from loom import Dense, Network, random
from loom.layers.base import EVALUATE, Layer
from loom.training import Trainer, TrainingConfig

CONFIGS = {
    "momentum": {"momentum": 0.9, "schedule": "cosine", "gradient_clip": 0.5},
    "nesterov": {
        "momentum": 0.8,
        "nesterov": True,
        "schedule": "step",
        "step_every": 3,
    },
    "adam": {"optimizer": "adam", "warmup_steps": 40, "schedule": "linear"},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.01},
    "cut": {"batch_size": 24, "momentum": 0.9},
}


class Masked(Layer):
    """Drops values by the pass's random stream and keeps a running mean of its x."""

    kind, code = "masked", 9999

    def __init__(self):
        super().__init__()
        self.state = {"mean": np.zeros(16, np.float32)}

    def forward(self, x, run=EVALUATE):
        """x times a mask of 0 and 2 in training, less the running mean in both."""
        y = x - self.state["mean"]
        if not run.training:
            return y, None
        self.state["mean"] = self.state["mean"] * 0.9 + x.mean(axis=0) * 0.1
        stream = {"step": run.step, "stream": self.index, "purpose": random.DROPOUT}
        mask = (random.uniform(run.seed, x.shape, **stream) < 0.5) * np.float32(2)
        return y * mask, mask

    def backward(self, dy, cache, need_dx=True):
        """dy times the mask."""
        return dy * cache, {}


def trainer(name: str, path, **changes) -> Trainer:
    """The run, from its checkpoint where one is there."""
    layers = Dense(8, 16, "tanh"), Masked(), Dense(16, 3, "linear")
    net = Network.stack(*layers, seed=changes.pop("net_seed", 5))
    x = random.uniform(1, (240, 8), -1, 1) * changes.pop("scale", 1)
    t = np.stack([x[:, 0] * x[:, 1], x[:, 2], x.sum(axis=1)], axis=1)
    settings = {"epochs": 12, "learning_rate": 0.02, "checkpoint_path": path}
    settings |= {"checkpoint_every_steps": 7, "resume": True, "seed": 3}
    settings |= CONFIGS[name] | changes
    settings |= {"validation_inputs": x[:40], "validation_targets": t[:40]}
    batches = [(x[i : i + 20], t[i : i + 20]) for i in range(0, 240, 20)]
    return Trainer(net, batches, TrainingConfig(**settings))


def final(run: Trainer) -> bytes:
    """Every bit that training made: weights, state, history."""
    arrays = [a for layer in run.net.layers for a in layer.parameters.values()]
    arrays += [a for layer in run.net.layers for a in layer.state.values()]
    arrays.append(np.array(run.result.loss_history))
    arrays.append(np.array([row["loss"] for row in run.result.validation_history]))
    return b"".join(a.tobytes() for a in arrays)


if __name__ == "__main__":
    running = trainer(sys.argv[1], sys.argv[2])
    for event in running.run():
        if event.kind in ("batch", "checkpoint"):
            print(event.kind, event.step, flush=True)
    Path(sys.argv[2] + ".weights").write_bytes(final(running))
