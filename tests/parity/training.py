"""What the fixtures of training hold: losses, optimizers and schedules.

Both sides take the same arrays; PyTorch's part is in generate_training.py.
"""

import numpy as np

from tests.parity.record import FIXTURES, seed_of

FOLDER = FIXTURES / "training"
STEPS = 12
RATE = 0.05
SHAPES = {"weight": (7, 5), "bias": (5,)}

# TrainingConfig fields of each optimizer's run.
OPTIMIZERS = {
    "sgd": {"optimizer": "sgd"},
    "sgd-decay": {"optimizer": "sgd", "weight_decay": 0.1},
    "sgd-momentum": {"optimizer": "sgd", "momentum": 0.9},
    "sgd-momentum-decay": {"optimizer": "sgd", "momentum": 0.8, "weight_decay": 0.1},
    "sgd-nesterov": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    "sgd-clip": {"optimizer": "sgd", "momentum": 0.5, "gradient_clip": 1.5},
    "adam": {"optimizer": "adam"},
    "adam-decay": {"optimizer": "adam", "weight_decay": 0.1},
    "adam-betas": {"optimizer": "adam", "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3},
    "adam-clip": {"optimizer": "adam", "gradient_clip": 0.5},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
}
# TrainingConfig fields of each schedule's run, over 6 epochs of 5 steps.
EPOCHS, BATCHES = 6, 5
SCHEDULES = {
    "constant": {"schedule": "constant"},
    "step": {"schedule": "step", "step_every": 2, "step_factor": 0.5},
    "cosine": {"schedule": "cosine"},
    "cosine-end": {"schedule": "cosine", "final_learning_rate": 0.01},
    "linear": {"schedule": "linear", "final_learning_rate": 0.005},
}


def steps(name: str) -> tuple[dict, list[dict]]:
    """First weights, and the gradients of each step."""
    rng = np.random.default_rng(seed_of(f"optimizer-{name}"))
    first = {key: rng.standard_normal(shape) for key, shape in SHAPES.items()}
    rows = [
        {key: rng.standard_normal(shape) for key, shape in SHAPES.items()}
        for _ in range(STEPS)
    ]
    single = [{k: v.astype(np.float32) for k, v in row.items()} for row in rows]
    return {k: v.astype(np.float32) for k, v in first.items()}, single


def loss_inputs(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outputs (4, 3, 5), targets of that shape whose rows sum to 1, class indices."""
    rng = np.random.default_rng(seed_of(f"loss-{name}"))
    shape = (4, 3, 5)
    y = rng.standard_normal(shape) * 2
    if "cross_entropy" in name and not name.startswith("softmax"):
        y = 1 / (1 + np.exp(-y))
    t = rng.uniform(0, 1, shape)
    t /= t.sum(axis=-1, keepdims=True)
    classes = rng.integers(0, shape[-1], shape[:-1])
    return y.astype(np.float32), t.astype(np.float32), classes
