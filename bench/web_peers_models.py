"""The ONNX models of ONNX Runtime Web in `bench web --peers`, from our arrays."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Arrays = dict[str, np.ndarray]


def write(folder: Path, arrays: Arrays) -> None:
    """Write NAME.onnx for every model: input x, output y."""
    for name, make in (
        ("matmul", _matmul),
        ("mlp", _mlp),
        ("conv", _conv),
        ("attention", _attention),
        ("lstm", _lstm),
    ):
        nodes, weights, x, y = make(arrays)
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
            [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
        )
        opset = helper.make_opsetid("", 17)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, folder / f"{name}.onnx")


def _node(kind: str, inputs: str, output: str, **attributes):
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def _matmul(a: Arrays):
    return [_node("MatMul", "x b", "y")], {"b": a["mb"]}, [512, 512], [512, 512]


def _mlp(a: Arrays):
    nodes = [
        _node("Gemm", "x w1 b1", "v"),
        _node("Relu", "v", "h"),
        _node("Gemm", "h w2 b2", "u"),
        _node("Sigmoid", "u", "y"),
    ]
    return nodes, {n: a[n] for n in ("w1", "b1", "w2", "b2")}, ["B", 784], ["B", 10]


def _conv(a: Arrays):
    nodes = [_node("Conv", "x w b", "v", pads=[1, 1, 1, 1]), _node("Relu", "v", "y")]
    weights = {"w": a["cw"], "b": a["cb"]}
    return nodes, weights, [32, 3, 64, 64], [32, 16, 64, 64]


def _attention(a: Arrays):
    bq, bk, bv = np.split(a["abqkv"], 3)
    weights = {
        **{"wq": a["aq"] / 8, "wk": a["ak"], "wv": a["av"], "wo": a["ao"]},
        **{"bq": bq / 8, "bk": bk, "bv": bv, "bo": a["abo"]},
        "split": np.array([4, 256, 8, 64]),
        "joined": np.array([4, 256, 512]),
    }
    nodes = []
    for name, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            _node("MatMul", f"x w{name}", f"{name}1"),
            _node("Add", f"{name}1 b{name}", f"{name}2"),
            _node("Reshape", f"{name}2 split", f"{name}3"),
            _node("Transpose", f"{name}3", name, perm=order),
        ]
    nodes += [
        _node("MatMul", "q k", "scores"),
        _node("Softmax", "scores", "p", axis=-1),
        _node("MatMul", "p v", "heads"),
        _node("Transpose", "heads", "turned", perm=[0, 2, 1, 3]),
        _node("Reshape", "turned joined", "context"),
        _node("MatMul", "context wo", "out"),
        _node("Add", "out bo", "y"),
    ]
    return nodes, weights, [4, 256, 512], [4, 256, 512]


def _lstm(a: Arrays):
    """ONNX's gates are i, o, f, c; time comes first there."""

    def order(x):
        i, f, g, o = np.split(x, 4)
        return np.concatenate((i, o, f, g))[None]

    weights = {"w": order(a["lw"]), "r": order(a["lu"]), "axis": np.array([1])}
    weights["b"] = np.concatenate((order(a["lb"]), np.zeros((1, 512), np.float32)), 1)
    nodes = [
        _node("Transpose", "x", "steps", perm=[1, 0, 2]),
        _node("LSTM", "steps w r b", "states", hidden_size=128),
        _node("Squeeze", "states axis", "flat"),
        _node("Transpose", "flat", "y", perm=[1, 0, 2]),
    ]
    return nodes, weights, [32, 50, 64], [32, 50, 128]
