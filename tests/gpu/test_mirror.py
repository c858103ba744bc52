"""A network's arrays in two places are one: writes reach the device and come back."""

import copy
import pickle

import numpy as np
import pytest

import loom
from loom.errors import ShapeError
from tests.compare import assert_close
from tests.gpu.nets import RNG, X, assert_same, make, train

# Python's writes reach the device -----------------------------------------------------


def test_every_way_to_write_a_weight_reaches_the_device(net):
    first = net.layers[0]
    assert_same(net, "at first")
    first.parameters["weight"] *= 0.5
    assert_same(net, "in place, through the layer")
    held = first.parameters["weight"]
    assert_same(net, "held")
    held += 0.1
    assert_same(net, "in place, through a reference from before")
    row = held[2:5]
    del held
    row[:] = 3
    assert_same(net, "through a view, its base forgotten")
    del row
    net.parameters()[4]["bias"][:] = 1
    assert_same(net, "through the network")
    first.parameters["weight"] = RNG.standard_normal((12, 9)).astype(np.float32)
    assert_same(net, "another array")
    first.set_parameter("bias", np.ones(9))
    assert_same(net, "set_parameter")
    first.parameters = {k: v + 1 for k, v in first.parameters.items()}
    assert_same(net, "another dict")
    net.set_layer(0, 0, 1, loom.Elementwise("relu"))
    assert_same(net, "another layer")
    for way in (dict, lambda d: {**d}, lambda d: d | {}, lambda d: d.copy()):
        copied = way(first.parameters)
        copied["weight"] *= 0.9
        del copied
        assert_same(net, "through a shallow copy of the dict")


def test_a_dict_from_before_init_gpu_counts_too(adapter):
    net = make()
    parameters = net.layers[0].parameters
    net.init_gpu()
    assert_same(net, "at first")
    parameters["weight"] = parameters["weight"] * 2
    assert_same(net, "assigned through the old dict")


def test_copies_are_apart_from_the_gpu(adapter):
    net = make()
    train(net, use_gpu=True)
    expected, _ = net.forward_gpu(X)
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert copied.open_session() is None
        assert_close(copied.forward_cpu(X)[0], expected, "forward", "the copy")
        copied.layers[0].parameters["weight"][:] = 0
        assert_close(net.forward_gpu(X)[0], expected, "forward", "the original")
        assert_same(copied, "the copy on its own session")
    net.release_gpu()


def test_what_nobody_touched_is_not_sent_again(net):
    net.forward_gpu(X)
    sent = []
    net.session().mirror._send = lambda: lambda *row: sent.append(row[:2])
    net.forward_gpu(X)
    assert sent == []
    _ = net.layers[0].parameters["bias"]
    net.forward_gpu(X)
    assert (0, "bias") in sent
    assert (4, "weight") not in sent


def test_an_array_of_another_shape_is_refused(net):
    net.forward_gpu(X)
    wrong = np.zeros(5, np.float32)
    with pytest.raises(ShapeError, match=r"bias: expected shape \(9,\), got \(5,\)"):
        net.layers[0].parameters["bias"] = wrong
    net.layers[0].parameters.update(bias=wrong)  # past the dict's own check
    with pytest.raises(ShapeError, match=r"layer \(0, 0, 0\) Dense: expected bias of"):
        net.forward_gpu(X)


# The device's come back ---------------------------------------------------------------


def test_weights_come_back_when_they_are_read(adapter):
    cpu, gpu = make(), make()
    seen = {}

    def watch(net, name):
        def callback(event):
            if event.kind == "batch" and event.step in (3, 8):
                weight = net.layers[0].parameters["weight"].copy()
                seen[name, event.step] = weight
                seen[name, event.step, "file"] = net.save_model_to_string()

        return callback

    train(cpu, watch(cpu, "cpu"))
    train(gpu, watch(gpu, "gpu"), use_gpu=True)
    for step in (3, 8):
        assert_close(seen["gpu", step], seen["cpu", step], "trace", f"step {step}")
        assert seen["gpu", step, "file"] != seen["gpu", 11 - step, "file"]


def test_an_array_held_across_training_is_brought_up_to_date(adapter):
    net = make()
    held = net.layers[0].parameters["weight"]
    before = held.copy()
    train(net, use_gpu=True)
    assert held is net.layers[0].parameters["weight"]
    assert not (held == before).all()
    assert held.flags.writeable


def test_a_write_that_would_be_lost_raises(adapter):
    net = make()
    held = net.layers[0].parameters["weight"]
    with pytest.raises(ValueError, match="read-only"):
        train(net, lambda event: held.fill(0), use_gpu=True)


def test_a_write_in_a_callback_counts(adapter):
    cpu, gpu = make(), make()

    def halve(net):
        def callback(event):
            if event.kind == "batch" and event.step == 4:
                net.layers[0].parameters["weight"] *= 0.5

        return callback

    expected = train(cpu, halve(cpu))
    actual = train(gpu, halve(gpu), use_gpu=True)
    assert_close(actual.loss_history, expected.loss_history, "trace", "losses")


def test_a_callback_that_raises_leaves_arrays_up_to_date(adapter):
    net = make()
    held = net.layers[0].parameters["weight"]
    before = held.copy()

    def stop(event):
        if event.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(net, stop, use_gpu=True)
    assert held.flags.writeable
    assert not (held == before).all()
    assert_same(net, "afterwards")
