"""Losses, optimizers and schedules against PyTorch, in float32."""

from functools import cache

import numpy as np
import pytest

from loom import Dense, Network
from loom.training import LOSSES, OPTIMIZERS, SCHEDULES, TrainingConfig
from loom.training.optimizers import BY_NAME
from loom.training.schedules import learning_rate
from tests.compare import assert_close
from tests.parity import training


@cache
def fixture(name: str) -> dict[str, np.ndarray]:
    path = training.FOLDER / f"{name}.npz"
    assert path.exists(), "Run: python -m tests.parity.generate_training"
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


@pytest.mark.parametrize("row", LOSSES, ids=lambda row: row.name)
def test_loss(row):
    y, t, classes = training.loss_inputs(row.name)
    runs = {row.name: t} | ({f"{row.name}-classes": classes} if row.classes else {})
    for name, target in runs.items():
        value, dy = row(y, target)
        assert dy.dtype == np.float32
        expected = fixture("losses")
        assert_close(value, expected[f"{name}/value"], "forward", f"{name} value")
        assert_close(dy, expected[f"{name}/dy"], "gradient", f"{name} dy")


@pytest.mark.parametrize("name", training.OPTIMIZERS)
def test_optimizer(name):
    config = TrainingConfig(**training.OPTIMIZERS[name])
    first, rows = training.steps(name)
    layer = Dense(*training.SHAPES["weight"])
    net = Network.stack(layer, seed=0)
    for key, value in first.items():
        net.get_layer(0, 0, 0).set_parameter(key, value)
    optimizer = BY_NAME[config.optimizer](net, config)
    expected = fixture("optimizers")
    for step, row in enumerate(rows):
        norm = optimizer.step([row], training.RATE)
        after = np.concatenate([w.ravel() for w in net.parameters()[0].values()])
        what = f"{name} step {step + 1}"
        assert after.dtype == np.float32
        assert_close(norm, expected[f"{name}/norms"][step], "forward", f"{what} norm")
        assert_close(after, expected[f"{name}/after"][step], "trace", what)


@pytest.mark.parametrize("name", training.SCHEDULES)
def test_schedule(name):
    config = TrainingConfig(
        epochs=training.EPOCHS,
        learning_rate=training.RATE,
        **training.SCHEDULES[name],
    )
    total = training.EPOCHS * training.BATCHES
    rates = [learning_rate(config, step, training.BATCHES) for step in range(total)]
    np.testing.assert_allclose(rates, fixture("schedules")[name], rtol=1e-12)


def test_every_row_of_the_tables_has_its_fixture():
    runs = [*training.OPTIMIZERS.values(), *training.SCHEDULES.values()]
    used = {value for run in runs for value in run.values()}
    assert {row.name for row in OPTIMIZERS} <= used
    assert {row.name for row in SCHEDULES} <= used
    assert {f"{row.name}/dy" for row in LOSSES} <= fixture("losses").keys()
