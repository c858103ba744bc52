"""An ONNX graph being built: nodes and constants by name."""

from typing import Any

import numpy as np

Array = np.ndarray
ELEMENTWISE = {"sigmoid": "Sigmoid", "tanh": "Tanh", "softplus": "Softplus"}


class Graph:
    """Appends nodes; a value is its name. `prefix` is that of the layer in work."""

    def __init__(self):
        from onnx import helper, numpy_helper

        self._helper, self._numpy = helper, numpy_helper
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.prefix = ""
        self._count = 0

    def name(self, what: str) -> str:
        """A fresh name."""
        self._count += 1
        return f"{self.prefix}{what}_{self._count}"

    def constant(self, value, what: str = "constant") -> str:
        """An initializer: floats as float32, whole numbers as int64."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        name = self.name(what)
        self.constants[name] = self._numpy.from_array(array, name)
        return name

    def op(self, kind: str, *inputs, outputs: int = 1, **attributes):
        """Append a node; its output's name, or a list of them.

        An input is a value's name, an array for a constant, or None where it is left
        out.
        """
        names = [
            "" if x is None else x if isinstance(x, str) else self.constant(x)
            for x in inputs
        ]
        out = [self.name(kind.lower()) for _ in range(outputs)]
        self.nodes.append(
            self._helper.make_node(kind, names, out, name=out[0], **attributes)
        )
        return out[0] if outputs == 1 else out

    def reshape(self, x: str, *shape: int) -> str:
        """Each sample in another shape; the batch is what is left."""
        return self.op("Reshape", x, np.array([-1, *shape]))

    def transpose(self, x: str, *order: int) -> str:
        """Axes in another order, the batch among them."""
        return self.op("Transpose", x, perm=order)

    def take(self, x: str, index: int, axis: int) -> str:
        """One index of an axis, which goes away."""
        return self.op("Gather", x, np.array(index), axis=axis)

    def split(self, x: str, count: int, axis: int) -> list[str]:
        """Equal parts along an axis."""
        return self.op("Split", x, outputs=count, axis=axis, num_outputs=count)

    def scan(self, sequences: list[str], state: str, step, axis: int) -> str:
        """state_t = step(graph, state_{t-1}, values at t); all states along `axis`."""
        inner = Graph()
        inner.prefix = self.name("scan") + "_"
        names = [inner.name("state"), *(inner.name("value") for _ in sequences)]
        result = step(inner, *names)
        again = inner.op("Identity", result)
        info = self._helper.make_tensor_value_info
        float32 = 1
        body = self._helper.make_graph(
            inner.nodes,
            inner.prefix,
            [info(name, float32, None) for name in names],
            [info(name, float32, None) for name in (result, again)],
            list(inner.constants.values()),
        )
        _, states = self.op(
            "Scan",
            state,
            *sequences,
            outputs=2,
            body=body,
            num_scan_inputs=len(sequences),
            scan_input_axes=[axis] * len(sequences),
            scan_output_axes=[axis],
        )
        return states

    def activate(self, x: str, row) -> str:
        """f(x) of a row of the activation table."""
        name = row.name
        if name in ELEMENTWISE:
            return self.op(ELEMENTWISE[name], x)
        if name == "linear":
            return x
        if name == "relu":
            return self.op("Relu", x)
        if name == "scaled_relu":
            return self.op("Mul", self.op("Relu", x), np.float32(1.1))
        if name == "leaky_relu":
            return self.op("LeakyRelu", x, alpha=0.1)
        if name == "softmax":
            return self.op("Softmax", x, axis=-1)
        if name == "silu":
            return self.op("Mul", x, self.op("Sigmoid", x))
        if name == "gelu":  # ONNX has Gelu from opset 20 only
            cube = self.op("Mul", self.op("Mul", x, x), x)
            inner = self.op("Add", x, self.op("Mul", cube, np.float32(0.044715)))
            scaled = self.op("Mul", inner, np.float32(np.sqrt(2 / np.pi)))
            bent = self.op("Add", self.op("Tanh", scaled), np.float32(1))
            return self.op("Mul", self.op("Mul", x, bent), np.float32(0.5))
        raise NotImplementedError(name)
