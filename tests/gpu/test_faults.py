"""What goes wrong on a device: no driver, no memory, limits, loss."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import wgpu

import loom
from loom.errors import DeviceError
from loom.gpu import detector, native
from loom.training import Trainer, TrainingConfig
from tests.compare import assert_close

X = np.random.default_rng(3).standard_normal((32, 20)).astype(np.float32)
T = np.random.default_rng(4).standard_normal((32, 5)).astype(np.float32)


def make(width=16):
    return loom.Network.stack(
        loom.Dense(20, width, "tanh"), loom.Dense(width, 5, "linear"), seed=1
    )


def in_a_process(code: str, **environment) -> str:
    """The last line that `code` prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


# Nothing to open ----------------------------------------------------------------------

ASK = """
import loom
net = loom.Network(4, 1, 1, 1, seed=1)
try:
    net.init_gpu()
except loom.errors.DeviceError as error:
    print(error)
"""


def test_no_driver():
    text = in_a_process(ASK, VK_DRIVER_FILES="/none", VK_ICD_FILENAMES="/none")
    assert text == f"no GPU was found. {detector.INSTALL}"


def test_no_wgpu():
    hide = "import sys; sys.modules['wgpu'] = None\n"
    text = in_a_process(hide + ASK)
    assert text.startswith("wgpu is not here (")
    assert "pip install 'wgpu>=0.32,<0.33'" in text


def test_no_native_library():
    text = in_a_process(ASK, WGPU_LIB_PATH="/none.so")
    assert text.startswith("wgpu ")
    assert "pip install" in text or "Install the driver" in text


def test_another_user_of_wgpu_came_first():
    first = "import wgpu\nwgpu.gpu.enumerate_adapters_sync()\n"
    code = first + "from loom.gpu import detector\nprint(detector.detect()['backend'])"
    assert in_a_process(code) == "Vulkan"


# Too large ----------------------------------------------------------------------------


def limited(adapter, **limits):
    """A session on a device that allows less."""
    device = native.Device(adapter)
    device.limits = replace(device.limits, **limits)
    return device


def test_a_weight_over_the_limit(adapter, monkeypatch):
    device = limited(adapter, binding=1024)
    monkeypatch.setattr(native, "opened", lambda adapter: device)
    net = make()
    with pytest.raises(DeviceError) as caught:
        net.init_gpu()
    assert str(caught.value) == (
        "layer (0, 0, 0) Dense: weight: needs 1,536 bytes in one binding, and this GPU "
        "allows 1,024. Make the batch or the layer smaller, or run it on the CPU."
    )
    assert net.forward_cpu(X)[0].shape == (32, 5)


def test_an_activation_over_the_limit(adapter, monkeypatch):
    device = limited(adapter, binding=2048)
    monkeypatch.setattr(native, "opened", lambda adapter: device)
    net = make()
    with pytest.raises(DeviceError) as caught:
        net.forward_gpu(X)
    assert str(caught.value) == (
        "layer (0, 0, 0) Dense: needs 2,560 bytes in one binding, and this GPU "
        "allows 2,048. Make the batch or the layer smaller, or run it on the CPU."
    )
    expected, _ = net.forward_cpu(X[:8])
    assert_close(net.forward_gpu(X[:8])[0], expected, "forward", "a smaller batch")


def test_no_memory_left(adapter, monkeypatch):
    net = make()
    device = net.session().device

    def refuse(**_):
        raise wgpu.GPUOutOfMemoryError("Not enough memory left.")

    live = device.live_bytes
    monkeypatch.setattr(device.raw, "create_buffer", refuse)
    with pytest.raises(DeviceError, match=r"the GPU has no room for [\d,]+ bytes"):
        net.forward_gpu(X)
    monkeypatch.undo()
    assert device.live_bytes == live
    assert_close(net.forward_gpu(X)[0], net.forward_cpu(X)[0], "forward", "afterwards")


def test_backward_follows_a_forward_pass_of_long_ago(adapter):
    net = make()
    net.forward_gpu(X[:1])
    net.backward_gpu(T[:1])
    net.forward_gpu(X[:1])
    for rows in range(2, 12):  # each is a program of its own, and few are kept
        config = {"batch_size": rows, "epochs": 1, "learning_rate": 1e-9}
        net.train((X[:rows], T[:rows]), TrainingConfig(use_gpu=True, **config))
    dx, _ = net.backward_gpu(T[:1])
    net.forward_cpu(X[:1])
    assert_close(dx, net.backward_cpu(T[:1])[0], "gradient", "long ago")


# Lost ---------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_lost_device_is_opened_again(adapter):
    net = make()
    net.forward_gpu(X)
    lost = net.session().device
    lost.destroy()
    with pytest.warns(UserWarning, match="was lost; it is opened again with"):
        actual, _ = net.forward_gpu(X)
    assert net.session().device is not lost
    assert_close(actual, net.forward_cpu(X)[0], "forward", "afterwards")
    net.session().device.destroy()
    with (
        pytest.warns(UserWarning, match="was lost"),
        pytest.raises(DeviceError, match=r"Run forward_gpu again\."),
    ):
        net.backward_gpu(T)


def test_training_goes_on_when_the_device_is_lost(adapter):
    net = make()
    settings = {"epochs": 6, "batch_size": 8, "optimizer": "adam", "use_gpu": True}
    trainer = Trainer(net, (X, T), TrainingConfig(learning_rate=0.01, **settings))
    with pytest.warns(UserWarning, match="Later steps are lost") as warned:
        synced = lose_after(trainer, 10)
    assert len(warned) == 1
    assert trainer.result.epochs == 6
    assert trainer.optimizer.steps == 24
    assert not (net.layers[0].parameters["weight"] == synced).all()
    losses = trainer.result.loss_history
    assert losses[-1] < losses[0]
    # What the last synchronisation brought is what it went on with: the CPU, told to
    # train as many steps, agrees.
    cpu = make()
    expected = cpu.train((X, T), TrainingConfig(**settings | {"use_gpu": False},
                                                learning_rate=0.01))  # fmt: skip
    assert_close(losses[-1:], expected.loss_history[-1:], "trace", "last loss")


def test_what_is_read_after_a_loss_is_of_the_last_synchronisation(adapter):
    net = make()
    before = net.layers[0].parameters["weight"].copy()
    settings = {"epochs": 2, "batch_size": 8, "use_gpu": True}
    trainer = Trainer(net, (X, T), TrainingConfig(**settings))
    for event in trainer.run():
        if event.step == 3:
            break
    net.session().device.destroy()
    with pytest.warns(UserWarning, match="was lost; it is opened again with"):
        assert np.array_equal(net.layers[0].parameters["weight"], before)
    assert_close(net.forward_gpu(X)[0], net.forward_cpu(X)[0], "forward", "afterwards")


def test_a_checkpoint_after_a_loss(adapter, tmp_path):
    """The first epoch's losses are lost: it has no average, then or when resumed."""
    settings = {"batch_size": 8, "use_gpu": True, "checkpoint_path": tmp_path / "run"}
    net, again = make(), make()

    def callback(event):
        if event.kind == "batch" and event.step == 4:
            net.session().device.destroy()

    with pytest.warns(UserWarning, match="was lost"):
        result = net.train((X, T), TrainingConfig(epochs=2, **settings), callback)
    more = again.train((X, T), TrainingConfig(epochs=3, resume=True, **settings))
    for history in (result.loss_history, more.loss_history):
        assert np.isnan(history).tolist() == [True] + [False] * (len(history) - 1)
    assert more.loss_history[1] == result.loss_history[1] == result.best_loss


def lose_after(trainer, step):
    """Run to the end, and destroy the device after a synchronised step."""
    net = trainer.net
    for event in trainer.run():
        if event.kind == "batch" and event.step == step:
            trainer._device.sync()
            synced = net.layers[0].parameters["weight"].copy()
            net.session().device.destroy()
    return synced


def test_a_gpu_without_halves_says_so(adapter, monkeypatch):
    device = native.opened(adapter)
    monkeypatch.setattr(device, "limits", replace(device.limits, f16=False))
    net = make()
    with pytest.raises(DeviceError, match="precision='f16' needs shader-f16"):
        net.init_gpu(precision="f16")
    net.init_gpu(precision="auto")
    assert net.gpu_info()["precision"] == "f32"
    net.release_gpu()
