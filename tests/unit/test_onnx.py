"""ONNX export: onnxruntime gives what the network gives, for every layer."""

import subprocess
import sys

import numpy as np
import pytest

import loom
from loom.interchange import export_onnx
from loom.interchange.onnx import LOWERINGS
from loom.layers import LAYERS, Dense, Dropout, Elementwise, Residual
from loom.network import Network
from tests.cases import BY_LAYER, CASES, fill
from tests.compare import assert_close

onnxruntime = pytest.importorskip("onnxruntime")
EXAMPLES = [
    (f"{case.layer.kind}-{name}", case, make)
    for case in CASES
    for name, make in case.examples.items()
]


def run(path, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    return session.run(["y"], {"x": x})[0]


@pytest.mark.parametrize(
    ("name", "case", "make"), EXAMPLES, ids=[row[0] for row in EXAMPLES]
)
def test_every_layer_predicts_the_same(name, case, make, tmp_path):
    layer, shape = make()
    rng = np.random.default_rng(7)
    layer = fill(layer, rng, np.float32)
    if isinstance(layer, Residual):
        before = [Elementwise("linear"), Elementwise("tanh")]
        net = Network.from_layers([*before, Residual((0, 0, 0))], shape, 1, 1)
    else:
        net = Network.stack(layer, input_shape=shape, seed=1)
    path = tmp_path / "model.onnx"
    export_onnx(net, path)
    for batch in (1, 5):
        x = case.values(rng, (batch, *shape), layer).astype(np.float32)
        expected, _ = net.forward_cpu(x)
        assert_close(run(path, x), expected, "forward", f"ONNX {layer!r} batch {batch}")


def test_every_layer_has_a_lowering():
    assert list(LOWERINGS) == list(LAYERS)
    assert all(BY_LAYER[row].examples for row in LAYERS)


def test_a_network_that_reshapes_between_its_layers(tmp_path):
    net = Network.stack(
        loom.Conv2D(6, 6, 1, 3, filters=4, activation="gelu"),
        loom.BatchNorm(4),
        loom.MaxPool2D(2),
        Dropout(0.5),
        Dense(16, 3, "softmax"),
        seed=3,
    )
    path = tmp_path / "model.onnx"
    export_onnx(net, path)
    x = np.random.default_rng(0).standard_normal((4, 1, 6, 6), np.float32)
    assert_close(run(path, x), net.forward_cpu(x)[0], "forward", "mixed network")


def test_without_the_package_it_says_what_to_install(tmp_path):
    script = (
        "import sys; sys.modules['onnx'] = None; import loom\n"
        "from loom.interchange import export_onnx\n"
        "try: export_onnx(loom.Network.stack(loom.Dense(2, 2), seed=1), 'x')\n"
        "except loom.ConfigError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd="."
    )
    assert done.stdout == (
        "export_onnx: the package onnx is not installed. Run: pip install "
        "'loom-nn[io]'.\n"
    )
