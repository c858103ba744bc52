"""Forward passes made again in one short call: the same results, checks and errors."""

import numpy as np
import pytest
import wgpu

import loom
from loom.errors import InputError, ShapeError
from loom.gpu.run import Run
from loom.gpu.session import KEPT, Session
from loom.layers.base import Arrays
from tests.compare import assert_close

X = np.random.default_rng(5).standard_normal((3, 20)).astype(np.float32)


def make():
    return loom.Network.stack(
        loom.Dense(20, 16, "tanh"), loom.Dense(16, 5, "linear"), seed=1
    )


@pytest.fixture
def twin():
    """The same network, on the CPU: who reads weights there has them sent anew."""
    return make()


@pytest.fixture
def net(device):
    if not device.shares:
        pytest.skip("this device shares no memory")
    net = make()
    net.init_gpu()
    for _ in range(2):  # the first one sends the weights
        net.forward_gpu(X)
    yield net
    net.release_gpu()


@pytest.fixture
def again(monkeypatch):
    """What each call of Run.again gave."""
    given, plain = [], Run.again

    def watched(self, x, unchanged):
        given.append(plain(self, x, unchanged))
        return given[-1]

    monkeypatch.setattr(Run, "again", watched)
    return given


def check(net, twin, x, what=""):
    """On the GPU as on the CPU."""
    actual = net.forward_gpu(x)[0]
    assert_close(actual, twin.forward_cpu(x)[0], "forward", what)
    return actual


def test_the_same_pass_again(net, twin, again):
    outputs = [check(net, twin, X + number) for number in range(5)]
    assert len(again) == 5
    for number, y in enumerate(outputs):  # each the caller's own
        assert y is again[number]
        assert_close(y, twin.forward_cpu(X + number)[0], "forward", str(number))
    check(net, twin, np.asfortranarray(X))
    assert again[-1] is not None
    y, nanoseconds = net.forward_gpu(X)
    assert y.shape == (3, 5)
    assert nanoseconds > 0


def test_weights_that_python_writes(net, twin, again):
    for row in (net, twin):
        row.layers[0].parameters["weight"] *= 2
    check(net, twin, X, "written through the layer")
    assert again == [None]
    check(net, twin, X)
    check(net, twin, X)
    assert again[-1] is not None
    held = net.layers[1].parameters["bias"]
    for number in range(4):
        held += 1
        twin.layers[1].parameters["bias"] += 1
        check(net, twin, X, f"held, {number}")
    assert again[-1] is None
    assert len(again) == 3  # not even tried while somebody holds one


def test_a_layer_that_is_replaced(net, twin, again):
    for row in (net, twin):
        row.set_layer(0, 0, 1, loom.Dense(16, 7))
    assert check(net, twin, X).shape == (3, 7)
    assert again == [None]
    for row in (net, twin):
        old = row.layers[0].parameters
        row.layers[0].parameters = Arrays({n: 2 * v for n, v in old.items()})
    for _ in range(3):
        check(net, twin, X, "a dict of arrays replaced")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(net, twin, again, value):
    wrong = X.copy()
    wrong[1, 2] = value
    with pytest.raises(InputError, match=rf"got {value} at index \(1, 2\)"):
        net.forward_gpu(wrong)
    assert again == [None]
    check(net, twin, X)


def test_values_whose_squares_are_too_large(net, twin, again):
    x = X * np.float32(1e30)
    np.testing.assert_array_equal(net.forward_gpu(x)[0], net.forward_gpu(x)[0])
    assert len(again) == 2
    assert again[1] is not None


def test_other_inputs_go_the_usual_way(net, twin, again):
    check(net, twin, X.astype(np.float64))
    check(net, twin, X.tolist())
    net.set_batch_size(3)
    flat, _ = net.forward_gpu(X.reshape(-1))
    assert flat.shape == (15,)
    assert not again
    check(net, twin, X)
    assert len(again) == 1
    with pytest.raises(ShapeError):
        net.forward_gpu(X[:, :19])


def test_batches_by_turns(net, twin, again):
    for _ in range(4):
        check(net, twin, X)
        check(net, twin, X[:2])
    assert len(again) == 7
    assert all(y is not None for y in again)


def test_backward_after_it(net, twin, again):
    dy = np.ones((3, 5), np.float32)
    net.forward_gpu(X[:2])
    for number in range(4):
        x = X + number
        net.forward_gpu(x)
        dx, _ = net.backward_gpu(dy)
        twin.forward_cpu(x)
        assert_close(dx, twin.backward_cpu(dy)[0], "gradient", "dx")
        for got, expected in zip(net.gradients(), twin.gradients(), strict=True):
            assert_close(got["weight"], expected["weight"], "gradient", "weight")
    assert len(again) == 1  # what keeps something for backward goes the usual way


def test_a_program_that_was_dropped(net, twin, again):
    for rows in range(1, KEPT + 2):
        net.forward_gpu(np.ones((rows + 3, 20), np.float32))
    check(net, twin, X)
    assert not again
    check(net, twin, X)
    assert len(again) == 1


def test_after_training(net, twin, again):
    t = np.zeros((3, 5), np.float32)
    net.train([(X, t)], {"Epochs": 2, "UseGPU": True})
    on_gpu = [net.forward_gpu(X)[0] for _ in range(3)]
    assert again[-1] is not None  # with the weights that only the device has
    for y in on_gpu:
        assert_close(y, net.forward_cpu(X)[0], "forward", "trained")


def test_a_lost_device(net, twin, again):
    net.session().device.destroy()
    with pytest.warns(UserWarning, match="was lost; it is opened again"):
        check(net, twin, X)
    check(net, twin, X)
    check(net, twin, X)
    assert len(again) == 1
    assert again[0] is not None


def test_a_device_that_fails_meanwhile(net, twin, again, monkeypatch):
    """Its error is that of the usual way, which is tried too."""
    device = net.session().device
    plain = device.fetch

    def fail(mapped):
        monkeypatch.setattr(device, "fetch", plain)
        raise wgpu.GPUError("run: refused")

    monkeypatch.setattr(device, "fetch", fail)
    check(net, twin, X)
    assert again == [None]


def test_a_key_while_the_device_computes(net, twin, again, monkeypatch):
    session = net.session()

    def stop(x):
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "_unchanged", stop)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            net.forward_gpu(X)
    monkeypatch.undo()
    check(net, twin, X)


def test_token_ids_are_looked_at_first(device, monkeypatch):
    """A GPU would read beside the table."""
    monkeypatch.setattr(Run, "again", None)
    net, twin = (
        loom.Network.stack(
            loom.Embedding(10, 4), loom.Dense(4, 2), input_shape=(3,), seed=1
        )
        for _ in range(2)
    )
    ids = np.array([[1, 2, 3]], np.float32)
    for _ in range(4):
        check(net, twin, ids)
    ids[0, 1] = 10
    with pytest.raises(InputError, match="token id"):
        net.forward_gpu(ids)
    net.release_gpu()


@pytest.mark.parametrize("shape", [(2, 3, 6, 6), (2, 108)], ids=["images", "rows"])
def test_samples_of_more_axes(device, shape):
    net, twin = (
        loom.Network.stack(
            loom.Conv2D(6, 6, 3, 3, 1, 1, 4, "tanh"),
            loom.Dense(144, 2),
            input_shape=(3, 6, 6),
            seed=1,
        )
        for _ in range(2)
    )
    for number in range(4):
        x = X.reshape(-1)[0] * number + np.ones(shape, np.float32)
        check(net, twin, x.cumsum(-1, np.float32), str(number))
    net.release_gpu()


def test_a_session_with_nothing_to_make_again_asks_no_device():
    """A page's is one; what forward_gpu says there, that it is awaited, comes next."""
    session = object.__new__(Session)
    session._repeats = {}
    assert session.again(X) is None
