"""Arrays that stay on a GPU: passes take them as they take what they were made of."""

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import loom
from loom.errors import DeviceError, InputError, ShapeError
from loom.gpu import native
from loom.gpu.array import GPUArray
from tests.compare import assert_close
from tests.gpu.nets import RNG, X, make

DY = RNG.standard_normal((40, 4)).astype(np.float32)


def test_passes_of_both_kinds_by_turns(net):
    expected, dx = net.forward_cpu(X)[0], net.backward_cpu(DY)[0]
    x, dy = net.to_gpu(X), net.to_gpu(DY)
    assert (x.shape, x.dtype, x.nbytes) == ((40, 12), "f32", 40 * 12 * 4)
    assert repr(x) == "GPUArray(shape=(40, 12), dtype='f32')"
    for turn in range(6):
        other = RNG.standard_normal(X.shape).astype(np.float32)
        net.forward_gpu(other if turn % 2 else X)
        assert_close(net.forward_gpu(x if turn % 3 else X)[0], expected, "forward", "y")
        actual, _ = net.backward_gpu(dy if turn % 4 else DY)
        assert_close(actual, dx, "gradient", "dx")
    net.set_batch_size(3)
    flat = net.to_gpu(X[:3].ravel())
    assert_close(net.forward_gpu(flat)[0], expected[:3].ravel(), "forward", "flat")


@pytest.mark.parametrize("size", [(2, 3), (300, 300)])
def test_of_any_size_and_for_any_network(adapter, size):
    """Small inputs lie in memory that the host maps, large ones do not."""
    values = RNG.standard_normal((size[0], size[1], 3)).astype(np.float32)
    nets = [
        loom.Network.stack(
            loom.Conv1D(3, 4, 3, padding=1), input_shape=(size[1], 3), seed=seed
        )
        for seed in (1, 2)
    ]
    x = nets[0].to_gpu(values)
    for net in nets * 2:
        expected, _ = net.forward_cpu(values)
        assert_close(net.forward_gpu(x)[0], expected, "forward", f"{size}")


def test_halves_are_for_networks_of_halves(adapter, device):
    if not device.limits.f16:
        pytest.skip("no shader-f16")
    net, plain = make(), make()
    net.init_gpu(precision="f16")
    x, odd = net.to_gpu(X), net.to_gpu(X[:1, :11])
    assert (x.dtype, x.nbytes, odd.nbytes) == ("f16", X.nbytes // 2, 22)
    expected = net.forward_gpu(X)[0]
    np.testing.assert_array_equal(net.forward_gpu(x)[0], expected)
    with pytest.raises(DeviceError, match="this network takes f32, got a GPUArray of"):
        plain.forward_gpu(x)
    with pytest.raises(DeviceError, match="this network takes f16, got a GPUArray of"):
        net.forward_gpu(plain.to_gpu(X))


def test_what_is_refused(net):
    x = net.to_gpu(X)
    with pytest.raises(ShapeError, match=r"expected x of shape \(B, 12\).*\(40, 4\)"):
        net.forward_gpu(net.to_gpu(DY))
    with pytest.raises(InputError, match=r"to_gpu: expected finite .* index \(1, 0\)"):
        net.to_gpu(np.array([[1.0], [np.nan]]))
    with pytest.raises(InputError, match="to_gpu: expected numbers"):
        net.to_gpu("text")
    with pytest.raises(InputError, match=r"forward_cpu: .* got GPUArray"):
        net.forward_cpu(x)
    net.forward_gpu(x)
    with pytest.raises(ShapeError, match="as forward_gpu returned"):
        net.backward_gpu(x)
    tokens = loom.Network.stack(loom.layers.Embedding(5, 3), input_shape=(4,), seed=1)
    with pytest.raises(InputError, match="Pass them as an array, not as a GPUArray"):
        tokens.forward_gpu(tokens.to_gpu(np.ones((1, 4))))


def test_one_on_another_gpu_is_refused(adapter, net):
    other = GPUArray(native.opened(adapter, number=1), X, "f32")
    with pytest.raises(
        DeviceError,
        match=r"expected an array on the GPU .* by the network that takes it",
    ):
        net.forward_gpu(other)


def test_one_over_the_limit_is_refused(device, monkeypatch):
    monkeypatch.setattr(device, "limits", replace(device.limits, buffer=1024))
    with pytest.raises(DeviceError, match=r"holds 1,024 bytes, got 1,920\. Send it in"):
        GPUArray(device, X, "f32")


def test_memory_comes_back(net):
    device = net.session().device
    net.forward_gpu(X)
    gc.collect()
    before = device.live_bytes
    x = net.to_gpu(X)
    view = x.reshape(-1, 3, 4)
    assert view.shape == (40, 3, 4)
    assert device.live_bytes == before + X.nbytes
    x.free()
    x.free()
    assert device.live_bytes == before
    for array in (x, view):
        with pytest.raises(
            DeviceError, match=r"input x: this GPUArray was freed\. Send it"
        ):
            net.forward_gpu(array)
    for _ in range(1000):
        x = net.to_gpu(X)
    view = x.reshape(40, 12)
    del x
    gc.collect()
    assert device.live_bytes == before + X.nbytes
    assert net.forward_gpu(view)[0].shape == (40, 4)
    del view
    gc.collect()
    assert device.live_bytes == before


def test_a_lost_gpu_takes_its_arrays_along(adapter):
    net = make()
    x = net.to_gpu(X)
    expected, _ = net.forward_gpu(x)
    net.session().device.destroy()
    with (
        pytest.warns(UserWarning, match="was lost"),
        pytest.raises(
            DeviceError, match="input x: this GPUArray was lost with its GPU"
        ),
    ):
        net.forward_gpu(x)
    again = net.to_gpu(X)
    assert_close(net.forward_gpu(again)[0], expected, "forward", "after a loss")
    net.session().device.destroy()
    with pytest.warns(UserWarning, match="was lost"):
        again = net.to_gpu(X)
    assert_close(net.forward_gpu(again)[0], expected, "forward", "after another")


def test_the_awaited_twin(net):
    async def run():
        x = await net.to_gpu_async(X)
        return (await net.forward_gpu_async(x))[0]

    with ThreadPoolExecutor(1) as pool:  # a browser's driver may loop in this thread
        y = pool.submit(asyncio.run, run()).result()
    assert_close(y, net.forward_cpu(X)[0], "forward", "awaited")
