"""TrainingConfig: names, defaults, and what is refused."""

import dataclasses

import numpy as np
import pytest

from loom import ConfigError
from loom.training import TrainingConfig


def error(**settings) -> str:
    with pytest.raises(ConfigError) as caught:
        TrainingConfig(**settings)
    return str(caught.value)


def wire_error(values) -> str:
    with pytest.raises(ConfigError) as caught:
        TrainingConfig.from_wire(values)
    return str(caught.value)


def test_the_wire_names_of_the_framework_we_follow():
    wire = TrainingConfig().to_wire()
    assert {
        "Epochs",
        "LearningRate",
        "UseGPU",
        "PrintEveryBatch",
        "GradientClip",
        "LossType",
        "Verbose",
        "EvaluateEveryN",
        "ValidationInputs",
        "ValidationTargets",
    } <= wire.keys()


def test_round_trip():
    config = TrainingConfig(
        epochs=3, optimizer="adamw", validation_inputs=[[1.0]], validation_targets=[[2]]
    )
    assert TrainingConfig.from_wire(config.to_wire()).to_wire() == config.to_wire()
    assert TrainingConfig.from_wire({}).to_wire() == TrainingConfig().to_wire()


def test_null_is_the_default():
    assert TrainingConfig.from_wire({"Epochs": None}).epochs == TrainingConfig().epochs


def test_numbers_of_numpy_and_whole_floats_are_taken():
    config = TrainingConfig(epochs=np.int64(3), learning_rate=1, batch_size=8.0)
    assert (config.epochs, config.learning_rate, config.batch_size) == (3, 1.0, 8)
    assert type(config.learning_rate) is float


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainingConfig().epochs = 3


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"epochs": 0}, "expected epochs as a whole number from 1, got 0"),
        ({"epochs": 2.5}, "got 2.5"),
        ({"epochs": True}, "got True"),
        ({"epochs": "3"}, "got '3'"),
        ({"epochs": 10**400}, "expected epochs as a whole number from 1"),
        ({"learning_rate": 10**400}, "expected learning_rate as a number above 0"),
        ({"learning_rate": 0}, "expected learning_rate as a number above 0, got 0.0"),
        ({"learning_rate": float("nan")}, "got nan"),
        ({"learning_rate": float("inf")}, "got inf"),
        ({"momentum": 1.5}, "expected momentum as a number from 0 to 1"),
        ({"beta1": 1.0}, "beta1"),
        ({"verbose": 1}, "expected verbose as true or false, got 1"),
        ({"loss_type": "msr"}, "unknown loss_type 'msr'. Did you mean 'mse'?"),
        ({"optimizer": "adm"}, "Did you mean 'adam'?"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'?"),
        ({"seed": -1}, "seed"),
        ({"nesterov": True}, "nesterov needs momentum above 0, got 0.0"),
        ({"optimizer": "adam", "momentum": 0.9}, "momentum belongs to sgd"),
        ({"resume": True}, "resume needs checkpoint_path, got none"),
        ({"checkpoint_every_steps": 3}, "checkpoint_every_steps needs checkpoint_path"),
        ({"validation_inputs": [[1]]}, "Give both or none."),
    ],
)
def test_bad_settings_are_refused(settings, text):
    message = error(**settings)
    assert message.startswith("TrainingConfig: ")
    assert text in message


def test_the_wire_is_told_in_its_own_names():
    assert "Did you mean 'Epochs'?" in wire_error({"Epoch": 3})
    assert "expected Epochs as a whole number from 1" in wire_error({"Epochs": 0})
    assert "Nesterov needs Momentum above 0" in wire_error({"Nesterov": True})
    assert "expected an object such as {Epochs: 10}, got list" in wire_error([])
