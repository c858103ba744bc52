"""A network's forward pass as calls of the stand-alone kernels, as data.

A call is a list: the kernel's name and its arguments in order. An argument is a number,
or one of
    ["B", n]   n for each sample of the batch
    ["w", i]   where the i-th float of weights.bin lies
    ["v", i]   where the values of place i lie: 0 is the input, i + 1 what layer i gives
so that what makes the calls knows no layer. `values` tells how many floats a sample has
at each place; `same` maps a place to the one whose memory it shares (Flatten, ...).
"""

from math import prod

import numpy as np

from loom.activations import activation
from loom.errors import ConfigError
from loom.gpu.layout import Layout
from loom.gpu.program import Limits
from loom.layers.base import Layer, Shape
from loom.layers.positions import rotary_table, sinusoids
from loom.linalg import ImageWindows, SequenceWindows

LINEAR = activation("linear").code
SOFTMAX = activation("softmax").code


class Plan:
    """The calls of `net`, and its weights: the GPU's arenas, then what the CPU adds."""

    def __init__(self, net):
        self._layout = Layout(net.layers, Limits(), net.where)
        self._arrays: list[np.ndarray] = []
        self._starts: dict[tuple[str, int], int] = {}
        self._size = 0
        for role, sizes in (
            ("weight", self._layout.weight_arenas),
            ("state", self._layout.state_arenas),
        ):
            for number, size in enumerate(sizes):
                self._starts[role, number] = self.pack(np.zeros(size, np.float32))
        for index, layer in enumerate(net.layers):
            for name, place in self._layout.weights.items():
                if name[0] == index:
                    self._fill("weight", place, layer.parameters[name[1]])
            for name, place in self._layout.states.items():
                if name[0] == index:
                    self._fill("state", place, layer.state[name[1]])
        self.calls: list[list] = []
        self.values = [prod(net.input_shape)]
        self.same: dict[int, int] = {}
        self._net = net
        shapes = net.shapes()
        for index, (layer, shape) in enumerate(zip(net.layers, shapes, strict=False)):
            self._index, self._layer = index, layer
            self.values.append(prod(layer.output_shape(shape)))
            if type(layer).__name__ not in STEPS:
                raise ConfigError(
                    f"{net.where(index)} has no form without Python. Known: "
                    f"{', '.join(STEPS)}."
                )
            STEPS[type(layer).__name__](self, layer, shape)

    # What the steps below use ------------------------------------------------------

    @property
    def x(self) -> list:
        """The argument for what enters this layer."""
        return ["v", self._index]

    @property
    def y(self) -> list:
        """The argument for what it gives."""
        return ["v", self._index + 1]

    def call(self, kernel: str, *arguments) -> None:
        """Add a call."""
        self.calls.append([kernel, *arguments])

    def w(self, name: str) -> list:
        """The argument for a parameter of this layer as it is stored."""
        place = self._layout.weights[self._index, name]
        return ["w", self._starts["weight", place.arena] + place.offset]

    def extra(self, array: np.ndarray) -> list:
        """The argument for an array in a form of its own."""
        return ["w", self.pack(array)]

    def activate(self, code: int, shape: Shape) -> None:
        """f over what this layer gave, in place, where the kernel did not do it."""
        if code == SOFTMAX:
            self.softmax(shape, self.y)
        elif code != LINEAR:
            self.call("elementwise", code, self.y, self.y, ["B", prod(shape)])

    def softmax(self, shape: Shape, x: list, axis: int = -1, scale: float = 1) -> None:
        """Softmax of `scale` x along an axis of a sample, to what this layer gives."""
        axis %= len(shape)
        outer, inner = ["B", prod(shape[:axis])], prod(shape[axis + 1 :])
        self.call("softmax", outer, shape[axis], inner, scale, x, self.y)

    # What is written ----------------------------------------------------------------

    def pack(self, array: np.ndarray) -> int:
        """Append an array to the weights; where it begins, in floats."""
        start = self._size
        flat = np.ascontiguousarray(array, np.float32).reshape(-1)
        self._arrays.append(flat)
        self._size += flat.size
        return start

    def _fill(self, role: str, place, array: np.ndarray) -> None:
        keys = list(self._starts)
        arena = self._arrays[keys.index((role, place.arena))]
        arena[place.offset : place.offset + array.size] = array.reshape(-1)

    def weights(self) -> np.ndarray:
        """All of weights.bin."""
        return np.concatenate([*self._arrays, np.zeros(0, np.float32)])

    def arenas(self, limits: Limits) -> list[dict]:
        """The GPU's buffers in weights.bin: name, first float, number of floats."""
        rows = []
        for (role, number), start in self._starts.items():
            sizes = getattr(self._layout, f"{role}_arenas")
            row = {"name": f"{role}.{number}", "start": start, "size": sizes[number]}
            rows.append(row)
        return rows

    def to_dict(self) -> dict:
        """What the module reads."""
        same = {str(place): other for place, other in self.same.items()}
        return {"calls": self.calls, "values": self.values, "same": same}


# One function a kind of layer: (plan, layer, shape of its sample) ---------------------


def _same(plan: Plan, layer: Layer, shape: Shape) -> None:
    plan.same[plan._index + 1] = plan._index


def _dense(plan: Plan, layer: Layer, shape: Shape) -> None:
    code = layer.activation.code
    fused = LINEAR if code == SOFTMAX else code
    rows, n = ["B", prod(shape[:-1])], layer.output_size
    sizes = rows, n, layer.input_size, plan.x
    plan.call("affine", *sizes, plan.w("weight"), plan.w("bias"), fused, plan.y)
    if code == SOFTMAX:
        plan.activate(code, layer.output_shape(shape))


def _elementwise(plan: Plan, layer: Layer, shape: Shape) -> None:
    if layer.activation.code == SOFTMAX:
        plan.softmax(shape, plan.x)
    else:
        code = layer.activation.code
        plan.call("elementwise", code, plan.x, plan.y, ["B", prod(shape)])


def _softmax(plan: Plan, layer: Layer, shape: Shape) -> None:
    plan.softmax(shape, plan.x, layer.axis, 1 / layer.temperature)


def _residual(plan: Plan, layer: Layer, shape: Shape) -> None:
    source = ["v", plan._net._index(*layer.source) + 1]
    plan.call("add", plan.x, source, plan.y, ["B", prod(shape)])


def _conv2d(plan: Plan, layer: Layer, shape: Shape) -> None:
    p, code = layer.parameters, layer.activation.code
    w = plan.extra(ImageWindows.pack(p["weight"], p["bias"]))
    fused = LINEAR if code == SOFTMAX else code
    window = layer.kernel_size, layer.stride, layer.padding, layer.filters
    plan.call("convolution", ["B", 1], *shape, *window, plan.x, w, fused, plan.y)
    if code == SOFTMAX:
        plan.activate(code, layer.output_shape(shape))


def _conv1d(plan: Plan, layer: Layer, shape: Shape) -> None:
    p, code = layer.parameters, layer.activation.code
    w = plan.extra(SequenceWindows.pack(p["weight"], p["bias"]))
    fused = LINEAR if code == SOFTMAX else code
    window = layer.kernel_size, layer.stride, *layer._padding(), layer.filters
    plan.call("sequence", ["B", 1], *shape, *window, plan.x, w, fused, plan.y)
    if code == SOFTMAX:
        plan.activate(code, layer.output_shape(shape))


def _pool(plan: Plan, layer: Layer, shape: Shape) -> None:
    """1-D pools run along T of (T, C), 2-D ones over the planes of (C, H, W)."""
    name, p = type(layer).__name__, layer.padding
    mean = int(name.startswith("Avg"))
    if name.endswith("1D"):
        k, s, _ = layer.window(shape[0])
        sizes = (["B", 1], *shape, k, 1, s, 1, p, 0)
    else:
        (kh, sh, _), (kw, sw, _) = layer.window(shape[1]), layer.window(shape[2])
        sizes = (["B", shape[0]], *shape[1:], kh, kw, sh, sw, p, p)
    plan.call("pool", *sizes, mean, plan.x, plan.y)


def _batch_norm(plan: Plan, layer: Layer, shape: Shape) -> None:
    p, s = layer.parameters, layer.state
    factor = p["weight"] / np.sqrt(s["running_var"] + layer.epsilon)
    shift = p["bias"] - s["running_mean"] * factor
    image = len(shape) == 3
    outer = ["B", 1 if image else prod(shape[:-1])]
    inner = prod(shape[1:]) if image else 1
    arrays = plan.x, plan.extra(factor), plan.extra(shift), plan.y
    plan.call("scale", outer, layer.size, inner, *arrays)


def _norm(plan: Plan, layer: Layer, shape: Shape) -> None:
    plain = int("bias" not in layer.parameters)
    bias = 0 if plain else plan.w("bias")
    sizes = ["B", prod(shape[:-1])], shape[-1], plan.x, plan.w("weight"), bias
    plan.call("norm", *sizes, layer.epsilon, plain, plan.y)


def _embedding(plan: Plan, layer: Layer, shape: Shape) -> None:
    sizes = ["B", prod(shape)], layer.vocabulary_size, layer.embedding_size
    plan.call("embedding", *sizes, plan.x, plan.w("weight"), plan.y)


def _recurrent(plan: Plan, layer: Layer, shape: Shape) -> None:
    kind = ("RNN", "LSTM", "GRU").index(type(layer).__name__)
    p = layer.parameters
    if kind:
        packed = layer._packed()
    else:
        parts = p["weight_hh"], p["bias"][:, None], p["weight_ih"]
        packed = np.concatenate(parts, axis=1)
    sizes = *shape, layer.hidden_size, int(layer.return_sequences)
    plan.call("recurrent", kind, ["B", 1], *sizes, plan.x, plan.extra(packed), plan.y)


def _qrnn(plan: Plan, layer: Layer, shape: Shape) -> None:
    p = layer.parameters
    w = plan.extra(SequenceWindows.pack(p["weight"], p["bias"]))
    sizes = *shape, layer.kernel_size, layer.hidden_size, int(layer.return_sequences)
    plan.call("qrnn", ["B", 1], *sizes, plan.x, w, plan.y)


def _sru(plan: Plan, layer: Layer, shape: Shape) -> None:
    p, h = layer.parameters, layer.hidden_size
    bias = np.zeros(len(p["weight"]), np.float32)
    bias[h : 3 * h] = p["bias"]
    sizes = *shape, h, int(layer.return_sequences), layer.activation.code
    arrays = plan.x, plan.extra(p["weight"].T), plan.extra(bias), plan.y
    plan.call("sru", ["B", 1], *sizes, *arrays)


def _positional_encoding(plan: Plan, layer: Layer, shape: Shape) -> None:
    learned = layer.positions == "learned"
    p = plan.w("weight") if learned else plan.extra(sinusoids(*shape))
    plan.call("add_same", ["B", 1], prod(shape), plan.x, p, plan.y)


def _attention(plan: Plan, layer: Layer, shape: Shape) -> None:
    angles = 0
    if layer.positions == "rotary":
        angles = plan.extra(np.stack(rotary_table(shape[0], layer.head_dim)))
    code = layer.activation.code
    fused = LINEAR if code == SOFTMAX else code
    sizes = ["B", 1], *shape, layer.num_heads, int(layer.causal), plan.x, angles
    names = "qkv_weight", "qkv_bias", "output_weight", "output_bias"
    plan.call("attention", *sizes, *map(plan.w, names), fused, plan.y)
    if code == SOFTMAX:
        plan.activate(code, shape)


STEPS = {
    "Dense": _dense,
    "Elementwise": _elementwise,
    "Softmax": _softmax,
    "Flatten": _same,
    "Reshape": _same,
    "Dropout": _same,
    "Residual": _residual,
    "Conv2D": _conv2d,
    "Conv1D": _conv1d,
    "MaxPool2D": _pool,
    "AvgPool2D": _pool,
    "MaxPool1D": _pool,
    "AvgPool1D": _pool,
    "BatchNorm": _batch_norm,
    "LayerNorm": _norm,
    "RMSNorm": _norm,
    "Embedding": _embedding,
    "RNN": _recurrent,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "QRNN": _qrnn,
    "SRU": _sru,
    "PositionalEncoding": _positional_encoding,
    "MultiHeadAttention": _attention,
}
