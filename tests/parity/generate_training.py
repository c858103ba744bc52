"""Make the fixtures of training with PyTorch 2.13 on the CPU, in float64.

python -m tests.parity.generate_training
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch.optim import lr_scheduler

from loom.training import LOSSES
from tests.parity import training

KEYS = ("momentum", "nesterov", "weight_decay")


def losses() -> dict[str, np.ndarray]:
    """Value and gradient of each loss, with targets and with class indices."""
    functions = {
        "mse": F.mse_loss,
        "cross_entropy": lambda y, t: -(t * y.log()).sum(-1).mean(),
        "softmax_cross_entropy": lambda y, t: F.cross_entropy(
            y.flatten(0, 1), t.flatten(0, 1)
        ),
        "mae": F.l1_loss,
        "huber": F.huber_loss,
        "binary_cross_entropy": F.binary_cross_entropy,
    }
    indexed = {
        "cross_entropy": lambda y, t: F.nll_loss(y.log().flatten(0, 1), t.flatten()),
        "softmax_cross_entropy": lambda y, t: F.cross_entropy(
            y.flatten(0, 1), t.flatten()
        ),
    }
    out = {}
    for row in LOSSES:
        y, t, classes = training.loss_inputs(row.name)
        runs = {row.name: (functions[row.name], torch.tensor(t, dtype=torch.float64))}
        if row.classes:
            runs[f"{row.name}-classes"] = indexed[row.name], torch.tensor(classes)
        for name, (function, target) in runs.items():
            leaf = torch.tensor(y, dtype=torch.float64, requires_grad=True)
            value = function(leaf, target)
            value.backward()
            out[f"{name}/value"] = value.detach().numpy()
            out[f"{name}/dy"] = leaf.grad.numpy()
    return out


def optimizers() -> dict[str, np.ndarray]:
    """The weights after each step, and the gradients' norm before it."""
    out = {}
    for name, config in training.OPTIMIZERS.items():
        first, rows = training.steps(name)
        weights = [torch.tensor(w, dtype=torch.float64) for w in first.values()]
        common = {key: config[key] for key in KEYS if key in config}
        if config["optimizer"] == "sgd":
            optimizer = torch.optim.SGD(weights, lr=training.RATE, **common)
        else:
            kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
            optimizer = kind[config["optimizer"]](
                weights,
                lr=training.RATE,
                betas=(config.get("beta1", 0.9), config.get("beta2", 0.999)),
                eps=config.get("epsilon", 1e-8),
                weight_decay=config.get("weight_decay", 0.0),
            )
        after, norms = [], []
        for row in rows:
            for weight, gradient in zip(weights, row.values(), strict=True):
                weight.grad = torch.tensor(gradient, dtype=torch.float64)
            clip = config.get("gradient_clip", np.inf)
            norms.append(torch.nn.utils.clip_grad_norm_(weights, clip).item())
            optimizer.step()
            after.append(np.concatenate([w.numpy().ravel() for w in weights]))
        out[f"{name}/after"] = np.array(after)
        out[f"{name}/norms"] = np.array(norms)
    return out


def schedules() -> dict[str, np.ndarray]:
    """The rate of each step."""
    total = training.EPOCHS * training.BATCHES
    out = {}
    for name, config in training.SCHEDULES.items():
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=training.RATE)
        end = config.get("final_learning_rate", 0.0)
        schedule = {
            "constant": lambda o, e: lr_scheduler.ConstantLR(o, 1.0),
            "step": lambda o, e: lr_scheduler.StepLR(o, 2 * training.BATCHES, 0.5),
            "cosine": lambda o, e: lr_scheduler.CosineAnnealingLR(o, total, e),
            "linear": lambda o, e: lr_scheduler.LinearLR(
                o, 1.0, e / training.RATE, total
            ),
        }[config["schedule"]](optimizer, end)
        rates = []
        for _ in range(total):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        out[name] = np.array(rates)
    return out


def main() -> None:
    training.FOLDER.mkdir(parents=True, exist_ok=True)
    for make in (losses, optimizers, schedules):
        path = training.FOLDER / f"{make.__name__}.npz"
        np.savez_compressed(path, **make())
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
