"""Forward and backward passes of sessions, their programs, reports and refusals."""

import numpy as np
import pytest

import loom
from loom.errors import ConfigError, DeviceError, InputError, ShapeError
from loom.gpu import detector
from tests.compare import assert_close
from tests.gpu.nets import RNG, X, assert_same, make, train


def test_backward_and_gradients(net):
    for _ in range(2):  # the first forward pass does not know that backward follows
        expected, _ = net.forward_cpu(X)
        dy = RNG.standard_normal(expected.shape).astype(np.float32)
        dx, _ = net.backward_cpu(dy)
        gradients = net.gradients()
        y, nanoseconds = net.forward_gpu(X)
        assert nanoseconds > 0
        actual, _ = net.backward_gpu(dy)
        assert_close(y, expected, "forward", "y")
        assert_close(actual, dx, "gradient", "dx")
        for index, row in enumerate(net.gradients()):
            assert set(row) == set(gradients[index])
            for name, value in row.items():
                what = f"layer {index} d{name}"
                assert_close(value, gradients[index][name], "gradient", what)
    before = net.layers[0].parameters["weight"].copy()
    net.update_weights(0.1)
    step = before - net.layers[0].parameters["weight"]
    assert_close(step, 0.1 * gradients[0]["weight"], "gradient", "update")
    assert_same(net, "after the update")


def test_flat_arrays_and_batches_of_any_size(net):
    net.set_batch_size(3)
    y, _ = net.forward_gpu(X[:3].ravel())
    assert y.shape == (12,)
    assert net.backward_gpu(np.ones(12))[0].shape == (36,)
    for rows in (1, 2, 3, 40):
        assert_close(
            net.forward_gpu(X[:rows])[0], net.forward_cpu(X[:rows])[0], "forward", ""
        )
    for rows in range(1, 14):
        net.forward_gpu(X[:rows])
    assert net.gpu_info()["programs"] == 8


def test_dx_has_the_shape_of_x_where_the_first_layer_takes_another(adapter):
    layers = loom.Dense(12, 4), loom.layers.LayerNorm(2)
    net = loom.Network.stack(*layers, input_shape=(3, 4), seed=1)
    x = X.reshape(-1, 3, 4)
    y, _ = net.forward_gpu(x)
    expected = net.forward_cpu(x)[0], net.backward_cpu(np.ones_like(y))[0]
    assert y.shape == expected[0].shape
    assert net.backward_gpu(np.ones_like(y))[0].shape == expected[1].shape == x.shape
    net.release_gpu()


def test_errors_name_the_layer_as_on_the_cpu(adapter):
    texts = []
    norm = loom.Network.stack(
        loom.Dense(12, 9), loom.layers.BatchNorm(9), loom.Dense(9, 4), seed=1
    )
    for use_gpu in (False, True):
        with pytest.raises(ShapeError) as caught:
            norm.train([(X[:1], [[1, 0, 0, 0]])], {"UseGPU": use_gpu})
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert texts[0].startswith("layer (0, 0, 1) BatchNorm: expected at least 2")
    words = loom.layers.Reshape((6, 2)), loom.layers.Embedding(5, 3)
    net = loom.Network.stack(*words, input_shape=(12,), seed=1)
    for method in (net.forward_cpu, net.forward_gpu):
        with pytest.raises(InputError, match=r"^layer \(0, 0, 1\) Embedding: expected"):
            method(X)


def test_what_is_refused(adapter):
    net = make()
    with pytest.raises(ConfigError, match=r"backward_gpu: run forward_gpu first\."):
        net.backward_gpu(np.ones((1, 4)))
    with pytest.raises(ConfigError, match=r"unknown precision 'f8'\."):
        net.init_gpu(precision="f8")
    with pytest.raises(ConfigError, match=r"unknown devices 'two'\."):
        net.init_gpu(devices="two")
    with pytest.raises(ShapeError, match="forward_gpu: expected x of shape"):
        net.forward_gpu(np.ones((2, 5)))
    bad = X.copy()
    bad[3, 5] = np.nan
    with pytest.raises(InputError, match=r"forward_gpu: expected finite .* \(3, 5\)"):
        net.forward_gpu(bad)
    net.forward_gpu(X)
    with pytest.raises(ShapeError, match="as forward_gpu returned"):
        net.backward_gpu(np.ones((2, 4)))
    with pytest.raises(ConfigError, match="expected a float32 network, got float64"):
        make().astype("float64").init_gpu()
    open_one = make()
    open_one.init_gpu()
    with pytest.raises(ConfigError, match="expected a float32 network, got float64"):
        open_one.astype("float64").forward_gpu(X)


def test_bad_token_ids_are_refused_before_they_reach_the_device(adapter):
    net = loom.Network.stack(loom.layers.Embedding(5, 3), input_shape=(4,), seed=1)
    with pytest.raises(loom.errors.InputError, match="expected whole token ids"):
        net.forward_gpu(np.array([[0, 1, 2, 5]]))


@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("before", [[], [loom.layers.Reshape((2, 3))]])
def test_token_ids_above_a_halfs_precision(device, precision, before):
    if not device.limits.f16:
        pytest.skip("this GPU has no shader-f16")
    net = loom.Network.stack(
        *before, loom.layers.Embedding(5000, 2), input_shape=(6,), seed=1
    )
    ids = np.array([[0, 2049, 4095, 4097, 4999, 3]])
    net.init_gpu(precision=precision)
    y, _ = net.forward_gpu(ids)
    expected = net.layers[-1].parameters["weight"][ids].reshape(y.shape)
    assert_close(y, expected, "half" if precision == "f16" else "forward", "rows")
    bad = np.array([[0, 1, 2, 3, 4, 5000]])
    with pytest.raises(loom.errors.InputError, match="expected whole token ids"):
        net.forward_gpu(bad)


def test_info_and_reports(net):
    info = net.gpu_info()
    assert info["precision"] == "f32"
    assert info["bytes"] == net.session().nbytes()
    report = detector.detect()
    assert report["key"] == info["key"]
    assert report in [row | {"when": report["when"]} for row in detector.detect_all()]
    assert set(report["recommended"]) == {"workgroup", "tile", "budget_bytes"}


def test_loom_gpu_marks_the_one_that_is_taken(adapter):
    from typer.testing import CliRunner

    from loom.fabric.app import app

    result = CliRunner().invoke(app, ["gpu"])
    assert result.exit_code == 0
    name = adapter.info["device"]
    assert f"* {name}\n" in result.output
    assert "takes the one with *." in result.output


@pytest.mark.parametrize("policy", ["discrete", "integrated", "none"])
def test_a_policy_that_nothing_fits(adapter, monkeypatch, policy):
    if policy == detector.kind(adapter):
        return
    monkeypatch.setenv("LOOM_GPU", policy)
    with pytest.raises(DeviceError, match=policy):
        make().init_gpu()
    monkeypatch.setenv("LOOM_GPU", "fastest")
    with pytest.raises(ConfigError, match=r"LOOM_GPU: unknown policy 'fastest'\."):
        detector.detect()


def test_scanning_takes_one_that_works(adapter, monkeypatch):
    monkeypatch.setenv("LOOM_GPU", "scan")
    assert detector.detect()["name"]


def test_opening_it_again_with_the_same_options_does_nothing(net):
    session = net.session()
    net.forward_gpu(X)
    net.init_gpu()
    net.init_gpu("f32", "one")
    assert net.session() is session
    assert net.gpu_info()["programs"] == 1
    net.backward_gpu(np.ones((len(X), 4), np.float32))  # what forward kept is there


@pytest.mark.parametrize("change", ["precision", "devices", "policy"])
def test_opening_it_again_with_others_brings_the_weights_along(
    net, monkeypatch, change
):
    train(net, use_gpu=True)
    session = net.session()
    live = session.device.live_bytes - session.nbytes()
    options = {"precision": {"precision": "auto"}, "devices": {"devices": "all"}}
    if change == "policy":
        monkeypatch.setenv("LOOM_GPU", "scan")
    net.init_gpu(**options.get(change, {}))
    assert net.session() is not session
    assert session.device.live_bytes == live + net.session().nbytes()
    expected, _ = net.forward_cpu(X)
    kind = "half" if net.gpu_info()["precision"] == "f16" else "forward"
    assert_close(net.forward_gpu(X)[0], expected, kind, change)


def test_opening_it_again_in_vain_leaves_it_as_it_was(net, monkeypatch):
    session = net.session()
    for options in (("f8",), ("f32", "two")):
        with pytest.raises(ConfigError, match="unknown"):
            net.init_gpu(*options)
    monkeypatch.setenv("LOOM_GPU", "none")
    with pytest.raises(DeviceError, match="LOOM_GPU=none forbids it"):
        net.init_gpu()
    assert net.session() is session
    monkeypatch.undo()
    session.device.destroy()
    with pytest.warns(UserWarning, match="was lost"):
        net.forward_gpu(X)
    assert net.session() is session
    net.astype("float64")
    with pytest.raises(ConfigError, match="expected a float32 network"):
        net.init_gpu()
    net.astype("float32")
