"""Training: loop, losses, optimizers, schedules and checkpoints."""

from loom.training.config import TrainingConfig
from loom.training.events import TrainingEvent, TrainingResult
from loom.training.loop import Trainer, train
from loom.training.losses import LOSSES, Loss, loss
from loom.training.optimizers import OPTIMIZERS
from loom.training.schedules import SCHEDULES

__all__ = [
    "LOSSES",
    "OPTIMIZERS",
    "SCHEDULES",
    "Loss",
    "Trainer",
    "TrainingConfig",
    "TrainingEvent",
    "TrainingResult",
    "loss",
    "train",
]
