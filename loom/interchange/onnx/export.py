"""A network as an ONNX file for prediction: one function a layer."""

import os
from math import prod

from loom.errors import ConfigError
from loom.files import write_atomic
from loom.interchange.onnx import layers, recurrent
from loom.interchange.onnx.graph import Graph
from loom.layers import LAYERS
from loom.network import Network

OPSET = 18
IR_VERSION = 8  # what went with that opset: older runtimes read it too
MOST_BYTES = 2_000_000_000  # of one protobuf message

_BY_KIND = {
    "dense": layers.dense,
    "conv2d": layers.conv2d,
    "multi_head_attention": layers.attention,
    "rnn": recurrent.rnn,
    "lstm": recurrent.lstm,
    "activation": layers.elementwise,
    "conv1d": layers.conv1d,
    "max_pool2d": layers.pool("MaxPool"),
    "avg_pool2d": layers.pool("AveragePool", count_include_pad=1),
    "flatten": layers.reshape,
    "reshape": layers.reshape,
    "softmax": layers.softmax,
    "dropout": layers.dropout,
    "batch_norm": layers.batch_norm,
    "layer_norm": layers.layer_norm,
    "rms_norm": layers.rms_norm,
    "embedding": layers.embedding,
    "residual": layers.residual,
    "gru": recurrent.gru,
    "qrnn": recurrent.qrnn,
    "sru": recurrent.sru,
    "max_pool1d": layers.pool("MaxPool"),
    "avg_pool1d": layers.pool("AveragePool", count_include_pad=1),
    "positional_encoding": layers.positional_encoding,
}
LOWERINGS = {row: _BY_KIND[row.kind] for row in LAYERS}


def export_onnx(net: Network, path: str | os.PathLike) -> None:
    """Write `net`, as it predicts, as an ONNX model of opset 18, atomically.

    The graph has one input `x` (batch, *input_shape) and one output `y` (batch, *output
    shape), float32, any batch; dropout is left out and batch norm uses its saved
    statistics. Needs the extra `io` (pip install 'loom-nn[io]').

    Raises: ConfigError when the package onnx is missing or the network is larger than
        a protobuf message may be.
    """
    try:
        from onnx import checker, helper
    except ImportError:
        raise ConfigError(
            "export_onnx: the package onnx is not installed. Run: pip install "
            "'loom-nn[io]'."
        ) from None
    if net.parameter_count() * 4 > MOST_BYTES:
        raise ConfigError(
            f"export_onnx: expected at most {MOST_BYTES // 4:,} parameters, since an "
            f"ONNX file is one message of 2 GB, got {net.parameter_count():,}. Use "
            "save_safetensors."
        )
    graph = Graph()
    value, outputs = "x", []
    shapes = net.shapes()
    arrives = net.input_shape
    for index, layer in enumerate(net.layers):
        graph.prefix = f"layer{index}_"
        shape = shapes[index]
        if shape != arrives:
            value = graph.reshape(value, *shape)
        sources = [outputs[net._index(*place)] for place in layer.sources()]
        value = LOWERINGS[type(layer)](graph, layer, value, shape, sources)
        outputs.append(value)
        arrives = layer.output_shape(shape)
    graph.nodes.append(helper.make_node("Identity", [value], ["y"], name="y"))
    info = helper.make_tensor_value_info
    float32 = 1
    whole = helper.make_graph(
        graph.nodes,
        "loom",
        [info("x", float32, ["batch", *net.input_shape])],
        [info("y", float32, ["batch", *arrives])],
        list(graph.constants.values()),
        doc_string=f"{len(net.layers)} layers, {prod(arrives)} outputs a sample",
    )
    model = helper.make_model(
        whole,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="loom",
        ir_version=IR_VERSION,
    )
    checker.check_model(model, full_check=True)
    write_atomic(path, model.SerializeToString())
