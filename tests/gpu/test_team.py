"""Several devices train as one."""

import pytest

from loom.gpu import detector
from tests.compare import assert_close
from tests.gpu.nets import CLASSES, OPTIMIZERS, X, config, make, train


@pytest.fixture
def twice(adapter, monkeypatch):
    """The adapter, listed twice."""
    monkeypatch.setattr(detector, "adapters", lambda: [adapter, adapter])


def test_two_devices_train_as_one(twice):
    for settings in OPTIMIZERS.values():
        settings = {"learning_rate": 0.02} | settings
        one, two = make(), make()
        two.init_gpu(devices="all")
        expected = train(one, use_gpu=True, batch_size=9, **settings)
        actual = train(two, use_gpu=True, batch_size=9, **settings)
        info = two.gpu_info()
        assert info["devices"] == 2
        assert_close(actual.loss_history, expected.loss_history, "trace", "losses")
        for a, b in zip(two.layers, one.layers, strict=True):
            for key, value in b.parameters.items():
                kind = "long" if "optimizer" in settings else "trace"
                assert_close(a.parameters[key], value, kind, key)
        sessions = two.session().sessions
        same = [row.read_arena("weight", 0) for row in sessions]
        assert (same[0] == same[1]).all()
        two.release_gpu()


def test_a_batch_smaller_than_the_devices(twice):
    one, two = make(), make()
    two.init_gpu(devices="all")
    a, b = (
        net.train([(X[:1], CLASSES[:1])], config(epochs=3, use_gpu=True))
        for net in (one, two)
    )
    assert_close(b.loss_history, a.loss_history, "trace", "losses")


@pytest.mark.parametrize("lost", [(0,), (1,), (0, 1)], ids=str)
def test_devices_of_a_team_are_lost(twice, lost):
    net = make()
    net.init_gpu(devices="all")

    def callback(event):
        if event.step == 4 and event.kind == "batch":
            for number in lost:
                net.session().sessions[number].device.destroy()

    with pytest.warns(UserWarning, match="was lost"):
        result = train(net, callback, use_gpu=True, batch_size=9)
    assert result.loss_history[-1] < 2
    assert_close(net.forward_gpu(X)[0], net.forward_cpu(X)[0], "forward", "y")
    sessions = net.session().sessions
    same = [row.read_arena("weight", 0) for row in sessions]
    assert (same[0] == same[1]).all()
    net.release_gpu()
