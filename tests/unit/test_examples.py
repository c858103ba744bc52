"""Every example reaches its goal, and what it saves takes plain values."""

import json

import numpy as np
import pytest

import loom
from loom import ConfigError, InputError, examples
from loom.data import read_table
from loom.examples import EXAMPLES, KINDS
from loom.examples.tables import from_table
from loom.examples.text import write


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: row.name)
def test_the_row_is_whole(row):
    assert row.kind in KINDS
    assert row.metric in ("accuracy", "score", "loss")
    assert row.title
    assert row.about.endswith(".")
    text = json.dumps(row.describe(), allow_nan=False)
    assert json.loads(text)["name"] == row.name
    net, task = row.build(seed=2)
    assert net.metadata["example"] == row.name
    assert len(task.held_out[0]) == pytest.approx(len(task.train[0]) / 4, rel=0.1)
    config = row.settings(task, epochs=1)
    assert config.epochs == 1
    assert config.validation_inputs is not None


@pytest.mark.parametrize("name", [row.name for row in EXAMPLES])
def test_the_goal_is_reached_and_the_saved_model_repeats_it(name, tmp_path):
    row = examples.example(name)
    net, result, value = examples.train(row, seed=1)
    assert row.reached(value), value
    assert result.final_loss < result.loss_history[0] / (1.5 if name == "alice" else 5)
    net.save_model(tmp_path / "model.json")
    again = loom.load_model(tmp_path / "model.json")
    assert again.metadata == net.metadata
    assert row.evaluate(again, row.task(1))[1] == value
    if row.metric == "accuracy" and not row.task(1).inputs:
        assert result.eval_metrics.accuracy == value
    if name == "alice":
        check_writing(net)


def check_writing(net):
    text = write(net, "Alice was ", 60, seed=3)
    assert text.startswith("Alice was ")
    assert len(text) == 70
    assert text == write(net, "Alice was ", 60, seed=3)
    assert text != write(net, "Alice was ", 60, seed=4)
    common = {"the", "she", "to", "and", "a", "it", "of", "in", "was", "her", "that"}
    assert common & set(write(net, "", 200, temperature=0.3).split())
    with pytest.raises(InputError, match="the network knows no 'é'"):
        write(net, "café", 5)
    with pytest.raises(InputError, match="expected temperature above 0, got 0"):
        write(net, "x", 5, temperature=0)


def test_only_a_network_of_text_writes():
    net, _ = examples.example("iris").build()
    with pytest.raises(ConfigError, match="Train one: loom train alice"):
        write(net, "x", 5)


def test_digits_reach_96_percent_for_other_seeds_too():
    row = examples.example("digits")
    values = [examples.train(row, seed=s, evaluate_every_n=0)[2] for s in (2, 3, 4)]
    assert min(values) >= 0.96, values


def test_the_same_seed_gives_the_same_bits():
    row = examples.example("iris")
    one, two = (examples.train(row, seed=3, epochs=2)[0] for _ in range(2))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        for name in a:
            assert a[name].tobytes() == b[name].tobytes()


def test_a_regression_of_ones_own_saves_plain_values():
    rng = np.random.default_rng(0)
    rows = rng.uniform(10, 50, (200, 2)).round(2)
    text = "a,b,price\n" + "\n".join(f"{a},{b},{3 * a + b + 1000}" for a, b in rows)
    row = from_table("own", lambda: read_table(text, "price"))
    net, _, score = examples.train(row, seed=1)
    assert row.metric == "score"
    assert score > 99
    assert row.reached(score)
    assert "classes" not in net.metadata
    assert net.metadata["target"] == "price"
    y, _ = net.forward_cpu([[20.0, 30.0]])
    assert abs(y[0, 0] - 1090) < 5


def test_unknown_examples_are_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="Did you mean 'digits'"):
        examples.example("digit")
