"""Eight threads at once, on the same and on different networks."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tests.cabi.conftest import PROGRAMS, output


def test_threads_of_c(compile_program):
    program = compile_program(PROGRAMS / "threads.c", ["-O1"])
    assert output([program], timeout=300) == "0 failures\n"


def test_threads_of_python(api):
    """In one interpreter, beside Python's own use of it."""
    nets = [api.network(3, 4, 2, seed=seed) for seed in range(8)]
    x = np.array([[1, 2, 3]], np.float32)
    expected = [api.run("Loom_ForwardF32", net, x, 2) for net in nets]
    dy = np.ones(2, np.float32)
    gradients = [api.run("Loom_BackwardF32", net, dy, 3) for net in nets]

    def work(number: int) -> None:
        for turn in range(100):
            which = number if turn % 2 else turn % 8
            y = api.run("Loom_ForwardF32", nets[which], x, 2)
            np.testing.assert_array_equal(y, expected[which])
            dx = api.run("Loom_BackwardF32", nets[which], dy, 3)
            np.testing.assert_array_equal(dx, gradients[which])
            values, _ = api.call(nets[which], "ForwardCPU", [1, 2, 3])
            np.testing.assert_array_equal(np.float32(values), expected[which])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert [api.free(net) for net in nets] == [0] * 8


def test_a_network_in_use_lives_until_its_call_ends(api):
    """The handle is gone at once; the running training ends in good order."""
    net = api.network(64, 64, 1)
    data = np.ones((64, 64), np.float32).tolist()
    pairs = [{"Input": data, "Target": [[0.5]] * 64}]

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(api.call, net, "Train", pairs, {"Epochs": 300})
        while not running.done() and _is_free(net):
            pass
        assert api.free(net) == 0
        assert "no network has it" in api.text("GetInfo", net)["error"]
        assert running.result()[0]["Epochs"] == 300


def _is_free(net: int) -> bool:
    from loom.cabi import handles

    return not handles._entries[net].lock.locked()
