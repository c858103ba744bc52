"""loom.page: what the web page gets from Python."""

import numpy as np
import pytest

import loom
from loom import examples, page
from loom.errors import ConfigError, FormatError, InputError, WireError

CSV = "size,colour,weight,kind\n" + "\n".join(
    f"{i},{'red' if i % 2 else 'blue'},{i * i / 7},{'big' if i > 20 else 'small'}"
    for i in range(40)
)


def ask(name, *arguments, net=None):
    results = page.call(net, name, arguments)
    return results[0] if results else None


def test_an_unknown_function_is_an_error_that_lists_the_known():
    with pytest.raises(WireError, match="Did you mean 'Catalog'"):
        ask("Catalogg")
    with pytest.raises(WireError, match=r"page.Samples: .* argument"):
        ask("Samples")


def test_catalog_and_samples_agree_with_the_examples():
    rows = ask("Catalog")
    names = [row["name"] for row in rows]
    assert names[: len(examples.EXAMPLES)] == [row.name for row in examples.EXAMPLES]
    for row in rows[: len(examples.EXAMPLES)]:
        found = ask("Samples", row["name"], 3)
        task = examples.example(row["name"]).task(3)
        np.testing.assert_array_equal(found["train"]["input"], task.training[0])
        np.testing.assert_array_equal(found["held_out"]["plain"], task.held_out[0])
        assert found["classes"] == list(task.classes)
        assert not row["own"]
    with pytest.raises(ConfigError, match="digits"):
        ask("Samples", "digit", 1)


@pytest.mark.parametrize("name", ["digits", "iris"])
def test_save_and_open_keep_the_predictions(name):
    net = ask("NewNetwork", name, 5)
    found = ask("Samples", name, 5)
    x = found["held_out"]["input"]
    text = ask("Save", name, net=net)
    opened = ask("OpenModel", text)
    assert (opened["example"], opened["seed"]) == (name, 5)
    np.testing.assert_allclose(
        opened["network"].forward_cpu(x)[0], net.forward_cpu(x)[0], rtol=1e-4, atol=1e-4
    )
    # The file itself takes plain values.
    plain = loom.load_model_from_string(text)
    np.testing.assert_allclose(
        plain.forward_cpu(found["held_out"]["plain"])[0],
        net.forward_cpu(x)[0],
        rtol=1e-3,
        atol=1e-3,
    )


def test_a_model_of_no_example_opens():
    net = loom.Network.stack(loom.Dense(5, 2), seed=1)
    opened = ask("OpenModel", net.save_model_to_string())
    assert opened["example"] is None
    # One that fits an example by its shape is taken for it.
    net = loom.Network.stack(loom.Dense(64, 10), seed=1)
    assert ask("OpenModel", net.save_model_to_string())["example"] == "digits"


def test_held_out_evaluation_is_the_example_s():
    row = examples.example("wine")
    net, task = row.build(1)
    net.train(task.training, row.settings(task, epochs=5))
    found = ask("EvaluateHeldOut", "wine", net=net)
    metrics, accuracy = row.evaluate(row.finish(net, task), task)
    assert found["metrics"].score == metrics.score
    assert np.trace(found["confusion"]) / found["confusion"].sum() == accuracy
    assert found["confidence"].shape == (36,)
    assert (found["confidence"] > 1 / 3).all()


def test_predict_gives_probabilities_once():
    x = np.float32([[1, 2]])
    for last in ("linear", "softmax"):
        net = loom.Network.stack(loom.Dense(2, 3, last), seed=1)
        assert ask("Predict", x, net=net).sum() == pytest.approx(1)
    one = loom.Network.stack(loom.Dense(2, 1, "linear"), seed=1)
    np.testing.assert_array_equal(ask("Predict", x, net=one), one.forward_cpu(x)[0])


def test_a_drawing_is_prepared_and_read():
    net = ask("NewNetwork", "digits", 1)
    blank = ask("ReadDrawing", np.zeros((20, 20)), net=net)
    assert blank["probabilities"] is None
    pixels = np.zeros((40, 40))
    pixels[5:35, 18:24] = 1
    found = ask("ReadDrawing", pixels, net=net)
    assert found["seen"].shape == (64,)
    assert found["probabilities"].sum() == pytest.approx(1)


def test_a_table_becomes_an_example_without_its_text():
    found = ask("ReadCsv", CSV, "mine.csv")
    assert found == {
        "name": "mine.csv",
        "target": "kind",
        "choices": CSV.splitlines()[0].split(","),
    }
    row = ask("Catalog")[-1]
    assert (row["name"], row["own"], row["metric"]) == ("mine.csv", True, "accuracy")
    assert ask("Samples", "mine.csv", 1)["columns"] == ["size", "weight"]
    again = ask("ReadCsv", CSV, "mine.csv", "weight")
    assert again["target"] == "weight"
    assert ask("Catalog")[-1]["metric"] == "score"
    net = ask("NewNetwork", "mine.csv", 1)
    back = ask("OpenModel", ask("Save", "mine.csv", net=net))
    assert back["example"] == "mine.csv"
    with pytest.raises(FormatError, match="line 3"):
        ask("ReadCsv", "a,b\n1,2\n3\n", "bad.csv")


def test_a_table_whose_last_column_cannot_be_learnt_opens_with_another():
    rows = "\n".join(f"{i},{i * i % 7},k{i},same" for i in range(30))
    found = ask("ReadCsv", f"a,b,name,kind\n{rows}\n", "odd.csv")
    assert found["target"] == "b"
    assert found["choices"] == ["a", "b", "name", "kind"]
    with pytest.raises(InputError, match="'kind', got 'same' in every row"):
        ask("ReadCsv", f"a,b,name,kind\n{rows}\n", "odd.csv", "kind")
    with pytest.raises(InputError, match=r"^one\.csv: .*'a', got '1' in every row"):
        ask("ReadCsv", "b,a\n2,1\n2,1\n", "one.csv")
    with pytest.raises(InputError, match=r"^few\.csv: 2 rows are too few"):
        ask("ReadCsv", "a,kind\n1,x\n2,y\n", "few.csv")


def test_many_columns_are_told_in_a_few_words():
    names = ",".join(f"c{i}" for i in range(500))
    rows = "\n".join(
        ",".join(str((i + 1) * k % 5) for i in range(500)) for k in range(30)
    )
    ask("ReadCsv", f"{names}\n{rows}\n", "wide.csv", "c1")
    about = ask("Catalog")[-1]["about"]
    assert "learns c1 from c0, c2, c3, c4, c5, c6, c7, c8 and 491 more;" in about


def test_layer_pictures():
    net = ask("NewNetwork", "digits", 1)
    rows = ask("LayerRows", net=net)
    assert rows[0]["takes"] == "(B, 64)"
    assert sum(row["parameters"] for row in rows) == net.parameter_count()
    units = ask("LayerWeights", 0, [8, 8], net=net)
    weight = net.layers[0].parameters["weight"]
    np.testing.assert_array_equal(
        units["pictures"][3]["values"], weight[:, 3].reshape(8, 8)
    )
    assert units["bound"] == np.abs(weight).max()
    whole = ask("LayerWeights", 1, [8, 8], net=net)
    assert whole["whole"]
    assert whole["pictures"][0]["values"].shape == (128, 10)
    none = ask("LayerWeights", 2, net=loom.Network(4, 1, 1, 5, 1))
    assert none["pictures"] == []
    assert "no weights" in none["note"]


def test_layer_activity_is_each_layer_s_output():
    net = loom.Network.stack(loom.Dense(4, 7, "tanh"), loom.Dense(7, 3), seed=1)
    x = np.float32([[1, -2, 3, 4]])
    rows = ask("LayerActivity", x, net=net)
    outputs = net.layer_outputs(x)
    assert [(row["width"], row["height"]) for row in rows] == [(3, 3), (2, 2)]
    np.testing.assert_array_equal(rows[0]["values"][:7], outputs[0][0])
    np.testing.assert_array_equal(rows[0]["values"][7:], 0)
    np.testing.assert_array_equal(outputs[-1], net.forward_cpu(x)[0])
    # What has overflowed is a picture all the same.
    net.layers[0].parameters["weight"][:] = 3e38
    assert np.isfinite(ask("LayerActivity", x * 2, net=net)[0]["bound"])


def test_channels_stand_side_by_side():
    net = loom.Network.stack(loom.Conv2D(4, 4, 1, 3, 1, 1, 3, "linear"), seed=1)
    x = np.arange(16, dtype=np.float32)[None]
    (row,) = ask("LayerActivity", x, net=net)
    assert (row["width"], row["height"]) == (8, 8)
    picture = row["values"].reshape(8, 8)
    channels = net.layer_outputs(x)[0][0]
    np.testing.assert_array_equal(picture[:4, 4:], channels[1])
    np.testing.assert_array_equal(picture[4:, :4], channels[2])
    np.testing.assert_array_equal(picture[4:, 4:], 0)


@pytest.mark.parametrize("row", ask("PlaneSets"), ids=lambda row: row["name"])
def test_every_set_of_points_is_learnt(row):
    points = ask("PlanePoints", row["name"], 200, 1)
    x, t = points["input"], points["target"]
    assert x.shape == (200, 2)
    assert np.abs(x).max() <= 1
    classes = int(t.max()) + 1
    net = ask("PlaneNetwork", 12, 2, classes, "tanh", 1)
    config = {
        "Epochs": 150,
        "LearningRate": 0.02,
        "BatchSize": 16,
        "Optimizer": "adam",
        "LossType": "softmax_cross_entropy",
    }
    net.train([x, t], config)
    assert np.mean(ask("Predict", x, net=net).argmax(1) == t) > 0.97
    plane = ask("PlaneMap", 16, net=net)
    assert plane.shape == (16, 16, classes)
    # The first row is the top: y near 1.
    corner = ask("Predict", np.float32([[-1 + 1 / 16, 1 - 1 / 16]]), net=net)
    np.testing.assert_allclose(plane[0, 0], corner[0], rtol=1e-5)


def test_points_out_of_bounds_are_refused():
    with pytest.raises(InputError, match="2 to 5000 points"):
        ask("PlanePoints", "rings", 0, 1)
    with pytest.raises(ConfigError, match="rings"):
        ask("PlanePoints", "ring", 10, 1)
