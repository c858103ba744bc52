"""Threads that use one network, or one device, wait for each other on the GPU."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import numpy as np
import pytest

from loom import Dense, Network

X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def chain(seed: int) -> Network:
    return Network.stack(Dense(4, 8), Dense(8, 3, "linear"), seed=seed)


def each(function, count: int) -> list:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, range(count)))


def test_threads_share_a_network(device):
    net = chain(1)
    inputs = [X * (1 + number) for number in range(4)]
    wanted = [net.forward_cpu(x)[0] for x in inputs]
    net.init_gpu()

    def work(number):
        return [net.forward_gpu(inputs[number])[0] for _ in range(40)]

    for outputs, expected in zip(each(work, 4), wanted, strict=True):
        for got in outputs:
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    net.release_gpu()


def test_threads_share_a_device(device):
    """Weights of all networks come back through the device's one staging buffer."""
    data = (X, np.ones((5, 3), np.float32))

    def work(number):
        on_gpu, on_cpu = chain(number), chain(number)
        for _ in range(10):
            on_gpu.train(data, {"Epochs": 2, "UseGPU": True})
            on_cpu.train(data, {"Epochs": 2})
            got, expected = on_gpu.parameters(), on_cpu.parameters()
            for one, other in zip(got, expected, strict=True):
                for name in other:
                    np.testing.assert_allclose(
                        one[name], other[name], rtol=1e-4, atol=1e-5
                    )
        on_gpu.release_gpu()

    each(work, 3)


def test_a_network_that_trains_is_used_by_other_threads(device):
    """Passes of many sizes push programs out; saving brings weights back."""
    net, alone, done = chain(1), chain(1), []
    data = (X, np.ones((5, 3), np.float32))
    settings = {"Epochs": 150, "BatchSize": 2, "UseGPU": True}
    net.init_gpu()

    def use(rows):
        while not done:
            assert np.isfinite(net.forward_gpu(np.ones((rows % 12 + 1, 4)))[0]).all()
            rows += 1

    def read():
        while not done:
            net.save_model_to_string()

    threads = [Thread(target=use, args=(3,)), Thread(target=use, args=(9,))]
    threads.append(Thread(target=read))
    for thread in threads:
        thread.start()
    try:
        result = net.train(data, settings)
    finally:
        done.append(True)
        for thread in threads:
            thread.join()
    assert result.loss_history == alone.train(data, settings).loss_history
    for one, other in zip(net.parameters(), alone.parameters(), strict=True):
        for name in other:
            np.testing.assert_array_equal(one[name], other[name])


FORKED = """
import os, sys
import numpy as np, loom
net = loom.Network.stack(loom.Dense(2, 1), seed=1)
net.forward_gpu(np.ones((1, 2)))
net.train([(np.ones((1, 2)), np.ones((1, 1)))], {"UseGPU": True, "Epochs": 1})
if os.fork() == 0:
    print(net.forward_cpu(np.ones((1, 2)))[0].shape)
    for name in ("forward_gpu", "init_gpu"):
        try:
            getattr(net, name)(*[np.ones((1, 2))][: name == "forward_gpu"])
        except loom.errors.DeviceError as error:
            print(str(error)[:53], flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_is_told_that_it_has_no_gpu(device):
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60
    )
    text = "the GPU was used before this process was forked, and"
    assert done.stdout.splitlines() == ["(1, 1)", *[text + " "] * 2], done.stderr


def test_a_network_may_be_dropped_while_another_thread_has_the_device(device):
    """As the garbage collector does it in a thread that compiles for the lock's holder.

    What that thread frees is freed by the next one that needs or frees memory.
    """
    before = device.live_bytes
    kept = [chain(1)]
    kept[0].forward_gpu(X)
    with device.lock:
        thread = Thread(target=kept.clear, daemon=True)
        thread.start()
        thread.join(timeout=20)
        assert not thread.is_alive()
        assert device.live_bytes > before
    device.free(device.buffer(256))
    assert device.live_bytes == before
