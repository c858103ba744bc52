"""Each layer as ONNX nodes: (graph, layer, x, shape, sources) -> y.

x is the value that enters, `shape` its sample shape; weights are in `layer.parameters`.
ONNX's own operator where there is one, else the layer's formula in parts. Recurrent
layers are in `recurrent.py`.
"""

import numpy as np

from loom.layers.positions import rotary_table, sinusoids


def dense(g, layer, x, shape, sources):
    """MatMul, Add."""
    p = layer.parameters
    v = g.op("Add", g.op("MatMul", x, p["weight"]), p["bias"])
    return g.activate(v, layer.activation)


def elementwise(g, layer, x, shape, sources):
    """The activation alone."""
    return g.activate(x, layer.activation)


def conv2d(g, layer, x, shape, sources):
    """Conv."""
    p = layer.parameters
    v = g.op(
        "Conv",
        x,
        p["weight"],
        p["bias"],
        strides=[layer.stride] * 2,
        pads=[layer.padding] * 4,
    )
    return g.activate(v, layer.activation)


def conv1d(g, layer, x, shape, sources):
    """Conv between two transpositions: ONNX has channels first."""
    p = layer.parameters
    before, after = layer._padding()
    v = g.op(
        "Conv",
        g.transpose(x, 0, 2, 1),
        p["weight"],
        p["bias"],
        strides=[layer.stride],
        pads=[before, after],
    )
    return g.activate(g.transpose(v, 0, 2, 1), layer.activation)


def pool(kind, **attributes):
    """MaxPool or AveragePool, over time between two transpositions."""

    def lower(g, layer, x, shape, sources):
        axes = [axis for _, axis in reversed(layer.axes)]
        kernels, strides, _ = zip(
            *(layer.window(shape[axis]) for axis in axes), strict=True
        )
        over_time = len(axes) == 1
        x = g.transpose(x, 0, 2, 1) if over_time else x
        y = g.op(
            kind,
            x,
            kernel_shape=kernels,
            strides=strides,
            pads=[layer.padding] * 2 * len(axes),
            **attributes,
        )
        return g.transpose(y, 0, 2, 1) if over_time else y

    return lower


def reshape(g, layer, x, shape, sources):
    """Reshape."""
    return g.reshape(x, *layer.output_shape(shape))


def softmax(g, layer, x, shape, sources):
    """Softmax, the temperature divided out before."""
    if layer.temperature != 1:
        x = g.op("Mul", x, np.float32(1 / layer.temperature))
    return g.op("Softmax", x, axis=layer.axis + 1 if layer.axis >= 0 else layer.axis)


def dropout(g, layer, x, shape, sources):
    """Nothing: the graph is for prediction."""
    return x


def batch_norm(g, layer, x, shape, sources):
    """BatchNormalization, whose channels come second."""
    p, state = layer.parameters, layer.state
    turned = len(shape) == 2
    y = g.op(
        "BatchNormalization",
        g.transpose(x, 0, 2, 1) if turned else x,
        p["weight"],
        p["bias"],
        state["running_mean"],
        state["running_var"],
        epsilon=layer.epsilon,
    )
    return g.transpose(y, 0, 2, 1) if turned else y


def layer_norm(g, layer, x, shape, sources):
    """LayerNormalization."""
    p = layer.parameters
    return g.op(
        "LayerNormalization",
        x,
        p["weight"],
        p["bias"],
        axis=-1,
        epsilon=layer.epsilon,
    )


def rms_norm(g, layer, x, shape, sources):
    """In parts: ONNX has RMSNormalization from opset 23 only."""
    mean = g.op("ReduceMean", g.op("Mul", x, x), np.array([-1]))
    root = g.op("Sqrt", g.op("Add", mean, np.float32(layer.epsilon)))
    return g.op("Mul", g.op("Div", x, root), layer.parameters["weight"])


def embedding(g, layer, x, shape, sources):
    """Gather of whole numbers."""
    return g.op("Gather", layer.parameters["weight"], g.op("Cast", x, to=7))


def residual(g, layer, x, shape, sources):
    """Add."""
    return g.op("Add", x, *sources)


def positional_encoding(g, layer, x, shape, sources):
    """Add, of a constant."""
    table = layer.parameters.get("weight")
    if table is None:
        table = sinusoids(shape[0], layer.d_model)
    return g.op("Add", x, table)


def attention(g, layer, x, shape, sources):
    """The formula, head by head: ONNX has Attention from opset 23 only."""
    p, (t, d) = layer.parameters, shape
    n, width = layer.num_heads, layer.head_dim
    qkv = g.op("Add", g.op("MatMul", x, p["qkv_weight"]), p["qkv_bias"])
    q, k, v = (
        g.transpose(g.reshape(part, t, n, width), 0, 2, 1, 3)
        for part in g.split(qkv, 3, axis=-1)
    )
    if layer.positions == "rotary":
        q, k = (_rotated(g, part, *rotary_table(t, width)) for part in (q, k))
    q = g.op("Mul", q, np.float32(width**-0.5))
    scores = g.op("MatMul", q, g.transpose(k, 0, 1, 3, 2))
    if layer.causal:
        future = np.triu(np.full((t, t), -np.inf, np.float32), 1)
        scores = g.op("Add", scores, future)
    heads = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
    context = g.reshape(g.transpose(heads, 0, 2, 1, 3), t, d)
    y = g.op("Add", g.op("MatMul", context, p["output_weight"]), p["output_bias"])
    return g.activate(y, layer.activation)


def _rotated(g, x, cosine, sine):
    a, b = g.split(x, 2, axis=-1)
    first = g.op("Sub", g.op("Mul", a, cosine), g.op("Mul", b, sine))
    second = g.op("Add", g.op("Mul", b, cosine), g.op("Mul", a, sine))
    return g.op("Concat", first, second, axis=-1)
