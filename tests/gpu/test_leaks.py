"""What stays behind: on the device, in wgpu, in Python, in the driver's memory."""

import asyncio
import gc
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from wgpu.backends.wgpu_native._helpers import generate_report

import loom
from loom.gpu import detector, native
from loom.gpu.session import Session
from loom.training import Trainer, TrainingConfig
from tests.cases import CASES
from tests.gpu.test_layers import network_around

RNG = np.random.default_rng(3)
X = RNG.standard_normal((32, 20)).astype(np.float32)
T = RNG.standard_normal((32, 5)).astype(np.float32)
ROWS = (1, 3, 4, 5, 32)  # fewer than a tile of rows, and more
MAPS, STATM = Path("/proc/self/maps"), Path("/proc/self/statm")


@pytest.fixture
def fresh(adapter, monkeypatch):
    """A device that has compiled nothing yet, for all sessions of the test."""
    device = native.Device(adapter)
    monkeypatch.setattr(native, "opened", lambda adapter: device)
    return device


def make():
    return loom.Network.stack(
        loom.Dense(20, 16, "tanh"), loom.Dense(16, 5, "linear"), seed=1
    )


def resident() -> int:
    """Kilobytes of this process in memory."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * resource.getpagesize() // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def compiled() -> int:
    """Pieces of machine code in memory that come from no file: a driver's kernels."""
    rows = [line.split() for line in MAPS.read_text().splitlines()]
    return sum("x" in row[1] and len(row) == 5 for row in rows)


def objects() -> dict[str, int]:
    """How many objects of each kind wgpu keeps."""
    hub = generate_report()["hub"]
    kinds = ("buffers", "bindGroups", "commandBuffers", "computePipelines")
    kinds += ("shaderModules", "devices")
    return {kind: hub[kind]["kept"] for kind in kinds}


def test_a_thousand_cycles_leak_nothing(fresh):
    """Of any number of rows: a kernel of few may be one that a driver treats apart."""
    net = make()

    def cycle(rows):
        net.init_gpu()
        for _ in range(3):  # the third is recorded while the second runs
            net.forward_gpu(X[:rows])
        net.backward_gpu(T[:rows])
        net.train((X[:rows], T[:rows]), TrainingConfig(epochs=3, use_gpu=True))
        net.release_gpu()

    for rows in ROWS:  # the fewest first: what more compile is not theirs
        for _ in range(20):
            cycle(rows)
        gc.collect()
        live, counts, memory = fresh.live_bytes, objects(), resident()
        for _ in range(200):
            cycle(rows)
        gc.collect()
        assert fresh.live_bytes == live
        assert objects() == counts
        grown = resident() - memory
        assert grown < 4_000, f"{grown} kB more after 200 cycles of {rows} rows"


def test_cycles_in_an_event_loop_leave_nothing_for_its_next_turn(fresh):
    """A notebook's cell is one turn: what wgpu-py asks it to do later would pile up."""
    net = make()

    async def cell():
        counts = []
        for _ in range(3):
            for _ in range(20):
                net.init_gpu()
                net.forward_gpu(X)
                net.train((X, T), TrainingConfig(epochs=1, use_gpu=True))
                net.release_gpu()
            gc.collect()
            counts.append(len(gc.get_objects()))
        return counts

    with ThreadPoolExecutor(1) as pool:  # playwright may have a loop in this one
        _, before, after = pool.submit(asyncio.run, cell()).result()
    assert after - before < 20


@pytest.mark.skipif(not MAPS.exists(), reason="only Linux lists a process's memory")
@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.layer.__name__)
def test_no_kernel_is_compiled_twice(fresh, case, precision):
    """Lavapipe compiles anew, and keeps, what few rows let it shorten by half."""
    if precision == "f16" and not fresh.limits.f16:
        pytest.skip("this GPU has no shader-f16")
    layer, shape = next(iter(case.examples.values()))()
    layer.initialize(3)
    net = network_around(case, layer, shape)
    net.init_gpu(precision=precision)
    for rows in (2 if case.layer is loom.layers.BatchNorm else 1, 4, 5):
        x = RNG.standard_normal((rows, net.input_size)).astype(np.float32)
        if not case.differentiable:
            x = case.values(RNG, (rows, *shape), layer).astype(np.float32)
        t = RNG.standard_normal((rows, net.output_size())).astype(np.float32)
        settings = TrainingConfig(epochs=99, shuffle=False, use_gpu=True)
        training = Trainer(net, [(x, t)], settings).run()

        def all_passes(x=x, t=t, training=training):
            net.forward_gpu(x)
            net.backward_gpu(t)
            for event in training:
                if event.kind == "batch":
                    break

        for _ in range(3):
            all_passes()
        gc.collect()  # devices of other tests too
        before = compiled()
        for _ in range(4):
            all_passes()
        assert compiled() == before, f"{layer!r} of {rows} rows"
        training.close()
    net.release_gpu()


def test_adapters_are_looked_for_once(adapter, monkeypatch):
    calls = []
    look = detector._enumerate
    monkeypatch.setattr(detector, "_enumerate", lambda: calls.append(1) or look())
    make().init_gpu()
    assert not calls
    detector.detect_all()
    assert calls == [1]
    monkeypatch.setattr(detector, "_found", [])  # none so far: perhaps there is now
    make().init_gpu()
    assert calls == [1, 1]


def test_a_dropped_network_frees_its_memory_at_once(adapter):
    device = native.opened(adapter)
    gc.collect()
    live = device.live_bytes
    gc.disable()
    try:
        net = make()
        net.forward_gpu(X)
        net.train([(X, T)], TrainingConfig(epochs=1, use_gpu=True))
        assert device.live_bytes > live
        del net
        assert device.live_bytes == live
    finally:
        gc.enable()


def test_a_session_does_not_keep_its_network(adapter):
    net = make()
    session = Session(net, adapter)
    del net
    assert session.net is None
