"""Network: a grid of layers, and the methods that every bridge reflects.

Data flows row by row, column by column, layer by layer through grid_rows x grid_cols x
layers_per_cell. A public method here is a method in JavaScript and C too, under its
wire name (`forward_cpu` is ForwardCPU); `@python_only` keeps one to Python.
"""

import os
from collections.abc import Callable, Iterable
from math import isfinite, prod
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from loom.errors import ConfigError, InputError, ShapeError
from loom.layers import Elementwise, Layer, Run, layer_from_wire
from loom.layers.base import LIMIT, Shape, batch_text

if TYPE_CHECKING:
    from loom.evaluation import DeviationMetrics
    from loom.training import TrainingConfig, TrainingResult

Array = np.ndarray
Position = tuple[int, int, int]
DEFAULT_CYCLE = ("scaled_relu", "sigmoid", "tanh", "softplus", "leaky_relu")
MAX_LAYERS = 1_000_000


def python_only(method):
    """Keep a public method of Network out of the reflection."""
    method.python_only = True
    return method


class Network:
    """A grid of layers over samples of `input_size` values.

    A new network is element-wise activation layers cycling through ScaledReLU, Sigmoid,
    Tanh, Softplus and LeakyReLU; `set_layer` replaces any of them.

        net = Network(784, 1, 1, 2, seed=1)
        net.set_layer(0, 0, 0, loom.Dense(784, 392, "scaled_relu"))
        net.set_layer(0, 0, 1, loom.Dense(392, 10, "sigmoid"))
        y, nanoseconds = net.forward_cpu(x)          # x (B, 784) -> y (B, 10)

    Attributes:
        batch_size: samples in a flat 1-D array; arrays of (B, ...) ignore it.
        seed: decides every initial weight, order and mask. None draws one, kept here.
        layers: the layers in the order of the data.
    """

    def __init__(
        self,
        input_size: int,
        grid_rows: int,
        grid_cols: int,
        layers_per_cell: int,
        seed: int | None = None,
    ):
        where = "Network"
        self.input_size = _integer(input_size, f"{where}: input_size", 1, LIMIT)
        self.grid_rows = _integer(grid_rows, f"{where}: grid_rows", 1, MAX_LAYERS)
        self.grid_cols = _integer(grid_cols, f"{where}: grid_cols", 1, MAX_LAYERS)
        self.layers_per_cell = _integer(
            layers_per_cell, f"{where}: layers_per_cell", 1, MAX_LAYERS
        )
        if seed is None:
            seed = int.from_bytes(os.urandom(6), "little")
        self.seed = _integer(seed, f"{where}: seed", 0, 2**64 - 1)
        total = self.grid_rows * self.grid_cols * self.layers_per_cell
        if total > MAX_LAYERS:
            raise ConfigError(
                f"{where}: {total:,} layers asked for; at most {MAX_LAYERS:,} are "
                "possible. Make the grid smaller."
            )
        self.input_shape: Shape = (self.input_size,)
        self.batch_size = 1
        self.step = 0  # forward passes in training mode: chooses dropout's masks
        self.layers: list[Layer] = []
        self._chosen: set[int] = set()
        for index in range(total):
            layer = Elementwise(DEFAULT_CYCLE[index % len(DEFAULT_CYCLE)])
            layer.index = index
            self.layers.append(layer)
        self._shapes: list[Shape] = [self.input_shape]
        self._plan: list[tuple] | None = None
        self._caches: list[Any] | None = None
        self._flat = False
        self._gradients: list[dict[str, Array]] | None = None

    @classmethod
    def stack(
        cls,
        *layers: Layer,
        input_shape: int | Iterable[int] | None = None,
        seed: int | None = None,
    ) -> "Network":
        """A plain chain: one cell that holds `layers` in order.

        `input_shape` is the shape of one sample; it may be left out when the first
        layer declares its own (Dense, Conv2D, RNN, ...).
        """
        if not layers:
            raise ConfigError("Network.stack: expected at least one layer, got none.")
        if input_shape is None:
            shape = layers[0].declared_input_shape()
            if shape is None:
                raise ConfigError(
                    f"Network.stack: {type(layers[0]).__name__} takes any shape. "
                    "Set input_shape, e.g. input_shape=(64,)."
                )
        elif isinstance(input_shape, int):
            shape = (input_shape,)
        else:
            shape = tuple(int(n) for n in input_shape)
        return cls.from_layers(layers, shape, seed=seed)

    @classmethod
    def from_layers(
        cls,
        layers: Iterable[Layer],
        input_shape: Shape,
        grid_rows: int = 1,
        grid_cols: int = 1,
        layers_per_cell: int | None = None,
        seed: int | None = None,
    ) -> "Network":
        """A grid filled with copies of `layers`, in the order of the data."""
        layers = list(layers)
        per_cell = len(layers) if layers_per_cell is None else layers_per_cell
        net = cls(prod(input_shape), grid_rows, grid_cols, per_cell, seed=seed)
        net.input_shape = input_shape
        net._shapes = [input_shape]
        for index, layer in enumerate(layers):
            net.set_layer(*net.position(index), layer)
        net._prepare()
        return net

    # The grid --------------------------------------------------------------------

    def set_layer(
        self, row: int, col: int, layer: int, config: Layer | dict | str
    ) -> None:
        """Place a layer (a Layer, a wire configuration or its JSON) on the grid.

        The network keeps a copy. Parameters that are not given are initialised from
        the seed. Raises ConfigError for a place off the grid, ShapeError when a
        neighbour that was set does not fit.
        """
        index = self._index(row, col, layer)
        where = f"layer {(row, col, layer)}"
        try:
            new = config.copy() if isinstance(config, Layer) else _from_wire(config)
        except (ConfigError, ShapeError, InputError) as error:
            raise type(error)(f"{where}: {error}") from None
        new.index = index
        for source in new.sources():
            if self._index(*source) >= index:
                raise ConfigError(
                    f"{where} {type(new).__name__}: expected a source before it, got "
                    f"{source}. Data flows row by row, column by column."
                )
        self._check_neighbours(index, new)
        new.initialize(self.seed, self._dtype)
        self.layers[index] = new
        self._chosen.add(index)
        del self._shapes[index + 1 :]
        self._plan = self._caches = self._gradients = None

    def get_layer(self, row: int, col: int, layer: int) -> Layer:
        """The layer at a place of the grid (live: its arrays are the network's)."""
        return self.layers[self._index(row, col, layer)]

    def get_activation(self, row: int, col: int, layer: int) -> str:
        """The name of the activation at a place; "linear" for a layer with none."""
        found = self.get_layer(row, col, layer).config.get("activation")
        return found.name if found else "linear"

    def total_layers(self) -> int:
        """grid_rows * grid_cols * layers_per_cell."""
        return len(self.layers)

    def set_batch_size(self, batch_size: int) -> None:
        """How many samples a flat array holds."""
        self.batch_size = _integer(batch_size, "batch_size", 1, LIMIT)

    @python_only
    def position(self, index: int) -> Position:
        """Grid place (row, column, layer) of the index-th layer."""
        cell, layer = divmod(index, self.layers_per_cell)
        return (*divmod(cell, self.grid_cols), layer)

    def output_size(self) -> int:
        """Values a sample has at the end of the network."""
        return prod(self._prepare())

    @python_only
    def shapes(self) -> list[Shape]:
        """Sample shapes: what enters each layer, and last what leaves the network."""
        last = self._prepare()
        return [taken for _, taken, _, _, _ in self._plan] + [last]

    # Forward and backward --------------------------------------------------------

    def forward_cpu(self, inputs: Array) -> tuple[Array, int]:
        """Run the network in evaluation mode.

        Shapes: (B, ...) or flat batch_size * input_size -> outputs in the same form,
        and the time in nanoseconds. Raises ShapeError, InputError (NaN, infinity).
        """
        x = self._samples(inputs)
        start = perf_counter_ns()
        y = self.forward(x)
        elapsed = perf_counter_ns() - start
        return (y.reshape(-1) if self._flat else y), elapsed

    def backward_cpu(self, gradient: Array) -> tuple[Array, int]:
        """Back-propagate dL/dy of the last forward_cpu; keeps every gradient.

        Shapes: as the outputs -> dL/dx as the inputs, and the time in nanoseconds.
        """
        if self._caches is None:
            raise ConfigError("backward_cpu: run forward_cpu first.")
        shape = (self._rows, *self._prepare())
        dy = self._array(gradient, "backward_cpu")
        if dy.size != prod(shape) or (dy.ndim > 1 and dy.shape[0] != self._rows):
            raise ShapeError(
                f"backward_cpu: expected dL/dy of shape {shape} as forward_cpu "
                f"returned, got {dy.shape}."
            )
        start = perf_counter_ns()
        dx = self.backward(dy.reshape(shape))
        elapsed = perf_counter_ns() - start
        return (dx.reshape(-1) if self._flat else dx), elapsed

    @python_only
    def forward(self, x: Array, training: bool = False) -> Array:
        """The core of every forward pass, without checks: x (B, *input_shape).

        Each pass in training mode draws new masks (`step` counts them).
        """
        if self._plan is None:
            self._prepare()
        run = Run(training, self.seed, self.step)
        self.step += training
        self._rows = x.shape[0]
        caches = self._caches = []
        outputs = []
        for layer, shape, reshape, sources, kept in self._plan:
            if reshape:
                x = x.reshape(-1, *shape)
            if sources:
                x, cache = layer.forward(x, run, *(outputs[i] for i in sources))
            else:
                x, cache = layer.forward(x, run)
            caches.append(cache)
            outputs.append(x if kept else None)
        return x

    @python_only
    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        """The core of every backward pass: dL/dy (B, *output shape) -> dL/dx."""
        plan, caches = self._plan, self._caches
        gradients: list[dict[str, Array]] = [{}] * len(plan)
        later: dict[int, Array] = {}  # gradients that residual connections bring
        for index in range(len(plan) - 1, -1, -1):
            layer, _, reshape, sources, kept = plan[index]
            if kept and index in later:
                dy = dy + later.pop(index)
            wanted = need_dx or index > 0
            dx, gradients[index] = layer.backward(dy, caches[index], wanted)
            for source, extra in zip(sources, dx[1:] if sources else (), strict=True):
                later[source] = later[source] + extra if source in later else extra
            dy = dx[0] if sources else dx
            if reshape and wanted:
                dy = dy.reshape(-1, *reshape)
        self._gradients = gradients
        return dy

    def update_weights(self, learning_rate: float) -> None:
        """Plain gradient descent, w -= learning_rate * dL/dw, on every parameter."""
        if not isfinite(learning_rate):
            raise InputError(
                f"update_weights: expected a finite rate, got {learning_rate}."
            )
        for layer, gradients in zip(self.layers, self.gradients(), strict=True):
            for name, gradient in gradients.items():
                layer.parameters[name] -= learning_rate * gradient

    # Parameters and gradients ----------------------------------------------------

    def parameters(self) -> list[dict[str, Array]]:
        """For each layer, its live parameters by name."""
        return [layer.parameters for layer in self.layers]

    def gradients(self) -> list[dict[str, Array]]:
        """For each layer, dL/dw by parameter name, from the last backward pass."""
        if self._gradients is None:
            raise ConfigError("gradients: run forward_cpu and backward_cpu first.")
        return self._gradients

    def kernel_gradients(self) -> list[Array]:
        """For each layer, the gradients of all but its biases as one flat array."""
        return self._flat_gradients(bias=False)

    def bias_gradients(self) -> list[Array]:
        """For each layer, the gradients of its biases as one flat array."""
        return self._flat_gradients(bias=True)

    def parameter_count(self) -> int:
        """Trainable values in the network."""
        return sum(layer.parameter_count() for layer in self.layers)

    # Training and evaluation (rooms above this one, entered when they are asked for)

    def train(
        self,
        batches: "Iterable | Array",
        config: "TrainingConfig | dict | None" = None,
        callback: Callable | None = None,
    ) -> "TrainingResult":
        """Train on batches of (inputs, targets) pairs or {Input, Target} objects.

        See TrainingConfig for what can be set; `callback(event)` is called after each
        batch and epoch and stops the training by returning False.
        """
        from loom.training import train

        return train(self, batches, config, callback)

    def evaluate_network(self, inputs: Array, expected: Array) -> "DeviationMetrics":
        """Deviation of the outputs from `expected` in seven buckets, and the score.

        One output: its value is compared. Several: the index of the greatest.
        """
        from loom.evaluation import evaluate_network

        return evaluate_network(self, inputs, expected)

    # Files -----------------------------------------------------------------------

    def save_model(self, path: str, model_id: str = "model") -> None:
        """Write a model bundle to a file, atomically."""
        from loom.serialization import save_model

        save_model(self, path, model_id)

    def save_model_to_string(self, model_id: str = "model") -> str:
        """The model bundle as JSON text."""
        from loom.serialization import save_model_to_string

        return save_model_to_string(self, model_id)

    def serialize_model(self, model_id: str = "model") -> dict:
        """One entry of a bundle's `models`: {id, cfg, weights}."""
        from loom.serialization import serialize_model

        return serialize_model(self, model_id)

    # Reflection ------------------------------------------------------------------

    def get_methods(self) -> list[dict]:
        """Name, parameters, results and a line of text for each method."""
        from loom.introspection import get_methods

        return get_methods()

    def get_methods_json(self) -> str:
        """`get_methods` as JSON text."""
        import json

        return json.dumps(self.get_methods())

    def list_methods(self) -> list[str]:
        """The methods' wire names."""
        return [method["method_name"] for method in self.get_methods()]

    def has_method(self, method_name: str) -> bool:
        """Whether a method of this wire name exists."""
        return method_name in self.list_methods()

    def get_method_signature(self, method_name: str) -> str:
        """A method's signature as text: ForwardCPU(inputs: float32[]) -> ..."""
        from loom.introspection import get_method_signature

        return get_method_signature(method_name)

    # Inside ----------------------------------------------------------------------

    def __repr__(self) -> str:
        grid = f"{self.grid_rows} x {self.grid_cols} x {self.layers_per_cell}"
        return (
            f"Network(input_size={self.input_size}, grid {grid}, "
            f"{self.parameter_count():,} parameters, seed={self.seed})"
        )

    def _index(self, row: int, col: int, layer: int) -> int:
        limits = (self.grid_rows, self.grid_cols, self.layers_per_cell)
        names = ("row", "col", "layer")
        place = []
        for name, value, limit in zip(names, (row, col, layer), limits, strict=True):
            place.append(_integer(value, f"{name} of the grid", 0, limit - 1))
        row, col, layer = place
        return (row * self.grid_cols + col) * self.layers_per_cell + layer

    def _where(self, index: int) -> str:
        return f"layer {self.position(index)} {type(self.layers[index]).__name__}"

    def _check_neighbours(self, index: int, new: Layer) -> None:
        """ShapeError when a neighbour that was set does not fit; others come later."""
        if index and index - 1 not in self._chosen:
            return
        try:
            shape = self._arriving(index)
        except ShapeError:
            return  # an earlier place is unfinished; the first run reports it
        taken = self._accept(index, shape, new)
        if index + 1 in self._chosen:
            self._accept(
                index + 1, new.output_shape(taken), self.layers[index + 1], new
            )

    def _arriving(self, index: int) -> Shape:
        """The sample shape that arrives at a layer, before the layer reshapes it."""
        known = self._shapes
        while len(known) <= index:
            at = len(known) - 1
            layer = self.layers[at]
            known.append(layer.output_shape(self._accept(at, known[at], layer)))
        return known[index]

    def _accept(
        self, index: int, shape: Shape, layer: Layer, previous: Layer | None = None
    ) -> Shape:
        """The shape a layer takes, or a ShapeError that names both neighbours."""
        try:
            return layer.input_shape(shape)
        except ShapeError as error:
            if index == 0:
                source = f"the network's input, whose shape is {batch_text(shape)}"
            else:
                previous = previous or self.layers[index - 1]
                source = (
                    f"layer {self.position(index - 1)} {type(previous).__name__}, "
                    f"whose output is {batch_text(shape)}"
                )
            raise ShapeError(
                f"layer {self.position(index)} {type(layer).__name__}: {error} "
                f"Or check {source}."
            ) from None

    def _prepare(self) -> Shape:
        """Check all shapes and lay out the passes; the output's sample shape."""
        if self._plan is None:
            sources = [
                tuple(self._index(*place) for place in layer.sources())
                for layer in self.layers
            ]
            kept = {index for row in sources for index in row}
            plan = []
            for index, layer in enumerate(self.layers):
                arrives = self._arriving(index)
                taken = self._accept(index, arrives, layer)
                for source in sources[index]:
                    self._check_source(index, taken, source)
                reshape = arrives if taken != arrives else None
                plan.append((layer, taken, reshape, sources[index], index in kept))
            self._plan = plan
        return self._arriving(len(self.layers))

    def _check_source(self, index: int, taken: Shape, source: int) -> None:
        shape = self._arriving(source + 1)
        if shape != taken:
            raise ShapeError(
                f"{self._where(index)}: expected its source {self._where(source)} to "
                f"give {batch_text(taken)} as comes before it, got {batch_text(shape)}."
            )

    def _array(self, values: Any, where: str) -> Array:
        """A finite array in the network's dtype."""
        try:
            array = np.asarray(values, dtype=self._dtype)
        except (ValueError, TypeError):
            raise InputError(
                f"{where}: expected numbers in rows of equal length, "
                f"got {type(values).__name__}."
            ) from None
        flat = array.reshape(-1)
        # One pass without a temporary; an overflow is looked at again.
        if not isfinite(np.dot(flat, flat)) and not np.isfinite(flat).all():
            at = int(np.flatnonzero(~np.isfinite(flat))[0])
            place = tuple(int(i) for i in np.unravel_index(at, array.shape))
            raise InputError(
                f"{where}: expected finite numbers, got {flat[at]} at index {place}. "
                "Clean the data first."
            )
        return array

    def _samples(self, inputs: Any, where: str = "forward_cpu") -> Array:
        """Inputs as (B, *input_shape), from (B, ...) or a flat array."""
        if self._plan is None:
            self._prepare()
        x = self._array(inputs, where)
        size = self.input_size
        self._flat = x.ndim == 1
        if x.ndim == 1:
            if x.size != self.batch_size * size:
                raise ShapeError(
                    f"{where}: expected {self.batch_size} x {size} = "
                    f"{self.batch_size * size} values (batch_size x input_size), got "
                    f"{x.size}. Set batch_size, or pass an array of (B, {size})."
                )
        elif x.ndim == 0 or x.shape[0] == 0 or x.size != x.shape[0] * size:
            raise ShapeError(
                f"{where}: expected x of shape {batch_text(self.input_shape)} or "
                f"(B, {size}), got {x.shape}."
            )
        return x.reshape(-1, *self.input_shape)

    _dtype = np.float32
    _rows = 0

    @python_only
    def astype(self, dtype) -> "Network":
        """Compute in another dtype (float64 for gradient checks). Returns self."""
        self._dtype = np.dtype(dtype)
        for layer in self.layers:
            for arrays in (layer.parameters, layer.state):
                for name in arrays:
                    arrays[name] = arrays[name].astype(dtype)
        return self

    def _flat_gradients(self, bias: bool) -> list[Array]:
        out = []
        for layer, gradients in zip(self.layers, self.gradients(), strict=True):
            biases = {row.name for row in layer.weights if row.bias}
            chosen = [g.ravel() for n, g in gradients.items() if (n in biases) is bias]
            out.append(np.concatenate(chosen or [np.zeros(0, self._dtype)]))
        return out


def _from_wire(config: dict | str) -> Layer:
    if isinstance(config, str):
        import json

        try:
            config = json.loads(config)
        except ValueError as error:
            raise ConfigError(f"expected a configuration as JSON: {error}.") from None
    return layer_from_wire(config)


def _integer(value: Any, where: str, low: int, high: int) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ConfigError(f"{where}: expected a whole number, got {value!r}.")
    if not low <= value <= high:
        raise ConfigError(f"{where}: expected {low} to {high:,}, got {value}.")
    return int(value)
