"""Networks on a GPU through the C ABI (lavapipe where there is no other)."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.gpu.conftest import adapter  # noqa: F401
from tests.gpu.test_leaks import resident

X = np.array([[0.25, -1, 3], [2, 0.5, -0.125]], np.float32)


@pytest.fixture
def nets(api, adapter):  # noqa: F811
    """The same network on the CPU and on the GPU."""
    cpu, gpu = api.network(3, 4, 2), api.network(3, 4, 2)
    reply = api.text("EnableGPU", gpu, True)
    assert reply.pop("gpu_init_ms") >= 0
    assert reply == {"status": "gpu enabled", "gpu": True}
    yield cpu, gpu
    api.free(cpu)
    api.free(gpu)


def test_a_network_may_begin_on_the_gpu(api, adapter):  # noqa: F811
    reply = api.text("NewNetwork", 4, 1, 1, 1, True)
    assert reply["gpu"] is True
    assert api.text("GetInfo", reply["handle"])["gpu_enabled"] is True
    values, _ = api.call(reply["handle"], "ForwardGPU", [1, 2, -3, 4])
    np.testing.assert_allclose(values, [1.1, 2.2, 0, 4.4], rtol=1e-6)
    assert api.free(reply["handle"]) == 0


def test_arrays_go_to_the_gpu_and_come_back(api, nets):
    cpu, gpu = nets
    dy = np.array([[1, -1], [0.5, 2]], np.float32)
    for name, values, size in (
        ("Loom_ForwardF32", X, 4),
        ("Loom_BackwardF32", dy, 6),
    ):
        theirs = api.run(name, gpu, values, size)
        np.testing.assert_allclose(theirs, api.run(name, cpu, values, size), atol=1e-6)


@pytest.mark.parametrize("settings", ["{}", '{"Optimizer": "adam"}'])
def test_training_steps_agree(api, nets, settings):
    """The optimizer's state goes on from step to step, here and there."""
    targets = np.array([[0, 1], [1, 0]], np.float32)
    losses = [[api.train(net, X, targets, settings) for _ in range(4)] for net in nets]
    assert all(value > 0 for value in losses[0])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    after = [api.run("Loom_ForwardF32", net, X, 4) for net in nets]
    np.testing.assert_allclose(after[1], after[0], atol=1e-5)


def test_back_on_the_cpu_the_weights_are_there(api, nets):
    cpu, gpu = nets
    targets = np.array([[0, 1], [1, 0]], np.float32)
    for net in nets:
        api.train(net, X, targets)
    reply = api.text("EnableGPU", gpu, False)
    assert (reply["status"], reply["gpu"]) == ("gpu disabled", False)
    assert api.text("GetInfo", gpu)["gpu_enabled"] is False
    np.testing.assert_allclose(
        api.run("Loom_ForwardF32", gpu, X, 4),
        api.run("Loom_ForwardF32", cpu, X, 4),
        atol=1e-6,
    )


def test_bad_values_are_errors_there_too(api, nets):
    _, gpu = nets
    assert api.run("Loom_ForwardF32", gpu, [[np.nan, 1, 2]], 2) == 1
    assert "finite numbers, got nan" in api.error()
    assert api.train(gpu, X, np.ones(3)) == -1
    assert "expected targets of shape (2, 2)" in api.error()


def test_threads_share_the_gpu(api, nets):
    cpu, gpu = nets
    other = api.network(3, 4, 2)
    api.text("EnableGPU", other, True)
    expected = api.run("Loom_ForwardF32", cpu, X, 4)

    def work(net: int) -> None:
        for _ in range(20):
            y = api.run("Loom_ForwardF32", net, X, 4)
            np.testing.assert_allclose(y, expected, atol=1e-6)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, [gpu, other, gpu, other]))
    assert api.free(other) == 0


def test_threads_open_train_and_free(api, adapter):  # noqa: F811
    """The device is one thread's at a time; freeing leaves it in good order."""

    def work(_) -> None:
        for _ in range(4):
            net = api.network(3, 4, 2)
            assert api.text("EnableGPU", net, True)["gpu"] is True
            assert api.train(net, X, np.ones((2, 2))) > 0
            assert len(api.call(net, "ForwardGPU", [1, 2, 3])[0]) == 2
            assert api.free(net) == 0

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_without_a_gpu_the_error_says_what_to_do(api, monkeypatch):
    monkeypatch.setenv("LOOM_GPU", "none")
    net = api.network(3, 2)
    for reply in (
        api.text("EnableGPU", net, True),
        api.text("NewNetwork", 3, 1, 1, 1, True),
    ):
        assert "no GPU: LOOM_GPU=none forbids it" in reply["error"]
    assert api.text("GetInfo", net)["gpu_enabled"] is False
    assert json.loads(api.raw("Call", net, b"ForwardCPU", b"[[1,2,3]]"))
    api.free(net)


def test_cycles_of_few_rows_do_not_grow_the_process(api, nets):
    _, gpu = nets
    x, targets = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)

    def cycles(count):
        for _ in range(count):
            assert api.call(gpu, "InitGPU") == []
            assert api.call(gpu, "InitGPU") == []  # it is open
            for rows in (1, 4):
                api.run("Loom_ForwardF32", gpu, x[:rows], 2 * rows)
                api.run("Loom_BackwardF32", gpu, targets[:rows], 3 * rows)
            api.train(gpu, x, targets, "{}")
            assert api.call(gpu, "ReleaseGPU") == []

    cycles(50)
    before = resident()
    cycles(200)
    assert resident() - before < 2_000
