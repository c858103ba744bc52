"""Threads that use one network, or one device, wait for each other on the GPU."""

from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import numpy as np

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
