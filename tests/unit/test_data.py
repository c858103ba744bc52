"""The data sets in the package, their digests, and what prepares them."""

from hashlib import sha256
from importlib.resources import files

import numpy as np
import pytest

from loom import ConfigError, Dense, InputError, Network, data, examples
from loom.data.standard import Standard, fold
from loom.evaluation import accuracy

DIGESTS = {
    "digits.z": "d7e138fa1178349c",
    "texts/iris.csv": "30821fb97cfd3335",
    "texts/wine.csv": "7a9274e5a6b25610",
    "texts/alice.txt": "3d553d2b21c88f16",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_the_files_are_those_we_attribute(name):
    found = (files("loom.data") / name).read_bytes()
    assert sha256(found).hexdigest().startswith(DIGESTS[name])
    attribution = (files("loom.data") / "ATTRIBUTION.md").read_text()
    assert f"`{name}`" in attribution


def test_digits():
    images, labels = data.digits()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (0, 1)
    assert np.bincount(labels).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]
    images[:] = 0  # a caller's changes stay the caller's
    assert data.digits()[0].max() == 1


def test_iris_and_wine():
    iris, wine = data.iris(), data.wine()
    assert iris.inputs.shape == (150, 4)
    assert iris.classes == ("setosa", "versicolor", "virginica")
    assert np.bincount(iris.targets).tolist() == [50, 50, 50]
    assert iris.inputs[34].tolist() == pytest.approx([4.9, 3.1, 1.5, 0.2])  # Fisher's
    assert wine.inputs.shape == (178, 13)
    assert np.bincount(wine.targets).tolist() == [59, 71, 48]


def test_text_windows_are_the_text():
    text = data.text()
    assert text.startswith("CHAPTER I")
    inputs, targets, characters = data.text_windows(text, 40)
    again = "".join(characters[i] for i in inputs.ravel())
    assert text.startswith(again)
    assert len(text) - len(again) <= 40
    np.testing.assert_array_equal(inputs.ravel()[1:], targets.ravel()[:-1])
    with pytest.raises(InputError, match="longer than 40 characters, got 40"):
        data.text_windows("a" * 40, 40)


def test_split_is_by_seed_and_keeps_every_sample():
    x, t = np.arange(50)[:, None], np.arange(50)
    (a, ta), (b, tb) = data.split(x, t, seed=1)
    assert len(b) == 10
    assert sorted([*ta, *tb]) == list(range(50))
    np.testing.assert_array_equal(a[:, 0], ta)
    np.testing.assert_array_equal(b[:, 0], tb)
    np.testing.assert_array_equal(data.split(x, t, seed=1)[1][1], tb)
    assert data.split(x, t, seed=2)[1][1].tolist() != tb.tolist()
    assert len(data.split(x, t, held_out=0.5)[1][0]) == 25
    for part in (0, 1, 0.001):
        with pytest.raises(InputError, match="leaves samples on both sides"):
            data.split(x, t, held_out=part)
    with pytest.raises(InputError, match="50 inputs and 49 targets"):
        data.split(x, t[:49])


def test_one_hot():
    np.testing.assert_array_equal(data.one_hot(np.array([1, 0]), 2), [[0, 1], [1, 0]])


def test_temporal_order():
    x, labels = data.temporal_order(200, 30, seed=1)
    assert x.shape == (200, 30, 6)
    assert (x.sum(axis=2) == 1).all()
    symbols = x.argmax(axis=2)
    assert (np.sort(symbols, axis=1)[:, :2] < 2).all()
    assert ((symbols < 2).sum(axis=1) == 2).all()
    at = np.argsort(symbols >= 2, axis=1, kind="stable")[:, :2]
    first, second = (symbols[np.arange(200), at[:, i]] for i in (0, 1))
    np.testing.assert_array_equal(labels, first * 2 + second)
    assert (at[:, 0] < 10).all()
    assert ((at[:, 1] >= 10) & (at[:, 1] < 20)).all()
    assert np.bincount(labels).min() > 30
    np.testing.assert_array_equal(data.temporal_order(200, 30, seed=1)[0], x)
    with pytest.raises(InputError, match="length from 3"):
        data.temporal_order(3, 2)


# Drawing -----------------------------------------------------------------------------


def enlarge(image: np.ndarray, side: int, place) -> np.ndarray:
    """A digit of 8x8 drawn large somewhere on a canvas, its edges smooth."""
    ends = np.arange(8 * side) / side - 0.5 + 0.5 / side
    across = np.maximum(0, 1 - np.abs(ends[:, None] - np.arange(8)))
    canvas = np.zeros((300, 400), np.float32)
    rows, columns = (slice(start, start + 8 * side) for start in place)
    canvas[rows, columns] = across @ image @ across.T
    return canvas


def test_drawn_digits_are_recognised():
    """Four of five at least: what 8x8 pixels blurred is worse than any drawing."""
    images, labels = data.digits()
    net, _, _ = examples.train(examples.example("digits"), seed=1, evaluate_every_n=0)
    drawn = [data.digit_from_drawing(enlarge(i, 20, (60, 120))) for i in images[:200]]
    assert accuracy(net.forward(np.array(drawn)), labels[:200]) > 0.8


def test_where_and_how_large_it_was_drawn_does_not_matter():
    image = data.digits()[0][3]
    one = data.digit_from_drawing(enlarge(image, 12, (10, 10)))
    two = data.digit_from_drawing(enlarge(image, 30, (40, 130)))
    assert np.abs(one - two).mean() < 0.06
    assert one.shape == (64,)
    assert one.dtype == np.float32
    assert 0 <= one.min() <= one.max() <= 1


def test_thin_and_thick_strokes_become_alike():
    thin, thick = np.zeros((200, 200)), np.zeros((200, 200))
    thin[20:180, 98:102] = 1
    thick[20:180, 85:115] = 1
    a, b = data.digit_from_drawing(thin), data.digit_from_drawing(thick)
    assert np.abs(a - b).mean() < 0.1


def test_an_empty_drawing_is_zeros_and_bad_ones_are_refused():
    assert not data.digit_from_drawing(np.zeros((50, 50))).any()
    dot = np.zeros((50, 50))
    dot[20, 20] = 1
    assert np.isfinite(data.digit_from_drawing(dot)).all()
    for bad in (np.ones(5), np.ones((2, 2, 2)), np.full((5, 5), np.nan)):
        with pytest.raises(InputError, match="expected finite pixels of shape"):
            data.digit_from_drawing(bad)


# Standardisation ---------------------------------------------------------------------


def test_standardisation_and_its_reverse():
    x = np.array([[1.0, 5, 7], [3, 5, 9], [5, 5, 2]])
    standard = Standard.of(x)
    z = standard.apply(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(axis=0), [1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(standard.undo(z), x, rtol=1e-6)


def test_folding_gives_the_same_outputs_from_plain_values():
    rng = np.random.default_rng(0)
    x, t = rng.uniform(100, 900, (30, 4)), rng.uniform(-5, 5, (30, 2))
    inputs, outputs = Standard.of(x), Standard.of(t)
    net = Network.stack(Dense(4, 8, "tanh"), Dense(8, 2, "linear"), seed=1)
    net.metadata = {"a": 1}
    y, _ = net.forward_cpu(inputs.apply(x))
    plain, _ = fold(net, inputs, outputs).forward_cpu(x)
    np.testing.assert_allclose(plain, outputs.undo(y), rtol=1e-4, atol=1e-5)
    assert fold(net, inputs).metadata == {"a": 1}
    assert (net.forward_cpu(inputs.apply(x))[0] == y).all()


def test_what_cannot_be_folded_is_told():
    standard = Standard(np.zeros(4), np.ones(4))
    net = Network.stack(Dense(4, 2, "tanh"), seed=1)
    with pytest.raises(ConfigError, match="expected the last layer to be linear"):
        fold(net, None, Standard(np.zeros(2), np.ones(2)))
    with pytest.raises(ConfigError, match="expected the first layer to be Dense"):
        fold(Network(4, 1, 1, 1, seed=0), standard)
    with pytest.raises(InputError, match="too small or too large"):
        fold(net, Standard(np.zeros(4), np.full(4, 1e-39)))
