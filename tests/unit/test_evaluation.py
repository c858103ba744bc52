"""DeviationMetrics, accuracy and confusion: every edge, every odd value, every file."""

import json

import numpy as np
import pytest

from loom import ConfigError, Dense, FormatError, InputError, Network, ShapeError
from loom import evaluation as module
from loom.evaluation import (
    BUCKETS,
    DeviationMetrics,
    accuracy,
    confusion_matrix,
    evaluate,
    per_class,
)


def metrics(actual, expected) -> DeviationMetrics:
    return DeviationMetrics(np.array(actual, float), np.array(expected, float))


def test_every_edge_belongs_to_the_bucket_below_it():
    deviations = [0, 10, 10.001, 20, 30, 40, 50, 50.001, 100, 100.001, 1e9]
    found = metrics([100 + d for d in deviations], [100] * len(deviations))
    assert [row.bucket for row in found.results] == [
        "0-10%",
        "0-10%",
        "10-20%",
        "10-20%",
        "20-30%",
        "30-40%",
        "40-50%",
        "50-100%",
        "50-100%",
        "100%+",
        "100%+",
    ]
    assert list(found.buckets) == list(BUCKETS)
    assert found.buckets["10-20%"].samples == [2, 3] == found.samples_in("10-20%")
    assert found.buckets["100%+"].range_max is None
    assert [row.count for row in found.buckets.values()] == [2, 2, 1, 1, 1, 2, 2]
    assert found.failures == 2


def test_the_definitions():
    found = metrics([1.5, -1, 0.5, 3], [1, -2, 0, 0])
    np.testing.assert_allclose(found.deviation, [50, 50, 50, 300])
    assert found.score == pytest.approx((50 + 50 + 50 + 0) / 4)
    assert found.average_deviation == pytest.approx(450 / 4)
    assert found.accuracy == 0
    assert metrics([1e-11], [2e-11]).deviation[0] == pytest.approx(1e-9)
    assert metrics([2e-10], [1e-10]).deviation[0] == pytest.approx(100)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_counts_as_100(odd):
    found = metrics([odd, 1], [1, 1])
    assert found.deviation.tolist() == [100, 0]
    assert found.score == 50
    assert found.non_finite == 1
    assert found.results[0].bucket == "50-100%"
    text = json.dumps(found.to_wire(), allow_nan=False)
    assert '"actual": null' in text
    again = DeviationMetrics.from_wire(json.loads(text))
    assert (again.score, again.non_finite) == (50, 1)


def test_huge_values_overflow_to_100_and_do_not_warn():
    assert metrics([1e308], [-1e308]).deviation[0] == 100
    assert metrics([1e308], [1e-9]).deviation[0] == 100


def test_worst_first_and_ties_by_index():
    found = metrics([2, 1, 3, 2], [1, 1, 1, 1])
    assert [row.sample_index for row in found.worst(3)] == [2, 0, 3]
    assert len(found.worst(99)) == 4
    assert found.worst(0) == []
    row = found.worst(1)[0]
    assert (row.expected, row.actual, row.deviation) == (1, 3, 200)
    for bad in (-1, 1.5, True):
        with pytest.raises(ConfigError, match="worst: expected a whole number"):
            found.worst(bad)


def test_the_summary_is_this_text():
    assert metrics([1, 1.15, 5, np.nan], [1, 1, 1, 1]).summary() == (
        "samples            4\n"
        "score              46.25 of 100\n"
        "average deviation  128.75%\n"
        "exact              25.00%\n"
        "failures           1 (25.0%)\n"
        "not finite         1\n"
        "\n"
        "   0-10%  1   25.0%  ██████████\n"
        "  10-20%  1   25.0%  ██████████\n"
        "  20-30%  0    0.0%\n"
        "  30-40%  0    0.0%\n"
        "  40-50%  0    0.0%\n"
        " 50-100%  1   25.0%  ██████████\n"
        "   100%+  1   25.0%  ██████████"
    )


def test_a_small_share_still_has_a_bar():
    lines = metrics([1] * 999 + [9], [1] * 1000).summary().splitlines()
    assert lines[-1] == "   100%+      1    0.1%  ▏"


def test_save_and_load(tmp_path):
    found = metrics([1, 2.5, np.nan], [1, 2, 3])
    found.save(tmp_path / "metrics.json")
    again = DeviationMetrics.load(tmp_path / "metrics.json")
    assert again.to_wire() == found.to_wire()
    assert "Infinity" not in (tmp_path / "metrics.json").read_text()


def damaged(**changes):
    return metrics([1, 2.5], [1, 2]).to_wire() | changes


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "expected an object with a list of results"),
        ({}, "expected an object with a list of results"),
        (damaged(results=[]), "expected an object with a list of results"),
        (damaged(score=99), "score is 99, but the results give"),
        (damaged(score=None), "score is None"),
        (damaged(failures=3), "failures is 3"),
        (damaged(total_samples=True), "total_samples is True"),
        (damaged(results=[1]), "result 0 is not of sample 0"),
        (damaged(results=[{"sample_index": 0}]), "result 0 has no numbers"),
        (
            damaged(results=[{"sample_index": 0, "expected": "1", "actual": 1}]),
            "expected '1', actual 1",
        ),
    ],
)
def test_damaged_files_are_refused(values, text, tmp_path):
    with pytest.raises(FormatError, match="evaluation metrics") as caught:
        DeviationMetrics.from_wire(values)
    assert text in str(caught.value)


def test_a_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "m").write_text("{")
    with pytest.raises(FormatError, match="is no JSON"):
        DeviationMetrics.load(tmp_path / "m")
    with pytest.raises(FormatError, match="cannot read evaluation metrics"):
        DeviationMetrics.load(tmp_path / "none")


def test_bad_arguments_are_refused():
    with pytest.raises(ShapeError, match="got 2 for 3"):
        metrics([1, 2, 3], [1, 2])
    with pytest.raises(ShapeError, match="got 0 for 0"):
        metrics([], [])
    with pytest.raises(InputError, match="got nan at sample 1"):
        metrics([1, 2], [1, np.nan])
    with pytest.raises(InputError, match="expected expected as numbers"):
        DeviationMetrics(np.ones(2), ["a", "b"])
    with pytest.raises(ConfigError, match="Did you mean '0-10%'"):
        metrics([1], [1]).samples_in("0-1%")


# From outputs ------------------------------------------------------------------------


def test_one_output_is_its_value_and_several_the_greatest():
    assert evaluate([[0.5], [2]], [1, 2]).deviation.tolist() == [50, 0]
    y = [[0.1, 0.9, 0], [0.8, 0.1, 0.1]]
    assert evaluate(y, [1, 2]).actual.tolist() == [1, 0]
    assert evaluate(y, [[0, 1, 0], [0, 0, 1]]).expected.tolist() == [1, 2]
    assert evaluate(y, np.ravel([[0, 1, 0], [0, 0, 1]])).accuracy == 0.5
    sequences = np.array([y, y])  # (2, 2, 3): a class for each of four steps
    assert evaluate(sequences, [[1, 0], [1, 1]]).accuracy == 0.75


def test_nan_never_wins():
    found = evaluate([[np.nan, 0.2], [np.nan, np.nan]], [1, 1])
    assert found.actual[0] == 1
    assert np.isnan(found.actual[1])
    assert found.non_finite == 1


def test_expected_values_that_fit_nothing_are_refused():
    with pytest.raises(ShapeError, match="one expected value or class index"):
        evaluate(np.ones((3, 2)), np.ones(4))


def net(outputs=3):
    return Network.stack(Dense(4, outputs, "tanh"), seed=1)


def test_networks_are_evaluated_in_chunks_as_one(monkeypatch):
    x = np.random.default_rng(0).standard_normal((50, 4))
    labels = np.arange(50) % 3
    whole = net().evaluate_network(x, labels)
    passes = []
    forward = Network.forward
    monkeypatch.setattr(module, "CHUNK", 16)
    monkeypatch.setattr(
        Network,
        "forward",
        lambda self, x, *rest: passes.append(len(x)) or forward(self, x, *rest),
    )
    again = net().evaluate_network(x, labels)
    assert passes == [16, 16, 16, 2]
    assert again.to_wire() == whole.to_wire()
    assert net().evaluate_network(x.ravel(), labels).to_wire() == whole.to_wire()
    with pytest.raises(ShapeError, match="evaluate_network: expected inputs of shape"):
        net().evaluate_network(np.ones((2, 5)), [1, 1])


def test_samples_from_files(tmp_path):
    x = np.random.default_rng(0).standard_normal((3, 4))
    paths = [tmp_path / f"{i}.json" for i in range(3)]
    for path, row in zip(paths, x.tolist(), strict=True):
        path.write_text(json.dumps(row))
    found, load, run = net().evaluate_from_checkpoint_files(paths, [0, 1, 2])
    assert found.to_wire() == net().evaluate_network(x, [0, 1, 2]).to_wire()
    assert load > 0
    assert run > 0
    paths[0].write_text("[1, 2")
    paths[1].write_text("[1, 2]")
    paths[2].write_text('[1, 2, 3, "4"]')
    with pytest.raises(FormatError) as caught:
        net().evaluate_from_checkpoint_files([*paths, tmp_path / "no"], [0] * 4)
    text = str(caught.value)
    for part in ("no JSON", "expected 4 values, got 2", "JSON array of numbers", "no'"):
        assert part in text
    with pytest.raises(InputError, match="at least one file"):
        net().evaluate_from_checkpoint_files([], [])


# Classifiers -------------------------------------------------------------------------


def test_accuracy_and_confusion():
    y = np.eye(3)[[0, 0, 1, 2, 1]]
    labels = [0, 1, 1, 2, 2]
    assert accuracy(y, labels) == 0.6
    matrix = confusion_matrix(y, labels)
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [1, 1, 0], [0, 1, 1]])
    rows = per_class(matrix)
    assert rows[1] == {
        "class": 1,
        "support": 2,
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
    }
    assert confusion_matrix(y, labels, classes=4).shape == (4, 4)
    assert per_class(confusion_matrix(y, labels, classes=4))[3]["f1"] == 0
    with pytest.raises(ConfigError, match="Set classes=3"):
        confusion_matrix(y, labels, classes=2)


def test_one_output_decides_at_a_half():
    y = np.array([[0.2], [0.5], [0.9]])
    assert accuracy(y, [0, 1, 0]) == pytest.approx(2 / 3)
    np.testing.assert_array_equal(confusion_matrix(y, [0, 1, 0]), [[1, 1], [0, 1]])


@pytest.mark.parametrize("bad", [[0.5, 1, 1], [-1, 0, 0], [np.nan, 0, 0]])
def test_classes_are_whole_numbers(bad):
    with pytest.raises(InputError, match="expected expected classes as whole numbers"):
        accuracy(np.eye(3), bad)
