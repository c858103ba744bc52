"""Network: a grid of layers, and the methods that every bridge reflects.

Data flows row by row, column by column, layer by layer through grid_rows x grid_cols x
layers_per_cell. A public method here is a method in JavaScript and C too, under its
wire name (`forward_cpu` is ForwardCPU); `@python_only` keeps one to Python.
"""

from collections.abc import Callable, Iterable
from math import prod
from numbers import Real
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from loom.asynchronous import AsyncMethods
from loom.errors import ConfigError, DeviceError, InputError, ShapeError
from loom.gpu.array import GPUArray
from loom.grid import Grid, integer, python_only
from loom.layers import Run
from loom.layers.base import LIMIT, Shape, as_floats, batch_text
from loom.linalg import all_finite

if TYPE_CHECKING:
    from loom.evaluation import DeviationMetrics
    from loom.gpu.session import Session
    from loom.training import TrainingConfig, TrainingResult

Array = np.ndarray


class Network(Grid, AsyncMethods):
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
        metadata: what a model file should remember beside the numbers (class names,
            ...), JSON-able; the network itself never reads it.
    """

    def __init__(
        self,
        input_size: int,
        grid_rows: int,
        grid_cols: int,
        layers_per_cell: int,
        seed: int | None = None,
    ):
        super().__init__(input_size, grid_rows, grid_cols, layers_per_cell, seed)
        self.batch_size = 1
        self.metadata: dict[str, Any] = {}
        self.step = 0  # forward passes in training mode: chooses dropout's masks
        self._caches: list[Any] | None = None
        self._gradients: list[dict[str, Array]] | None = None
        self._flat = False
        self._rows = 0
        self._gpu: Session | None = None

    def set_batch_size(self, batch_size: int) -> None:
        """How many samples a flat array holds."""
        self.batch_size = batch_size

    @property
    def batch_size(self) -> int:
        """Samples in a flat array, at least 1; setting it checks it."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self._batch_size = integer(value, "batch_size", 1, LIMIT)

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
        if self._plan is None or self._caches is None:
            raise ConfigError("backward_cpu: run forward_cpu first.")
        dy = self._output_gradient(gradient, self._rows, "backward_cpu")
        start = perf_counter_ns()
        dx = self.backward(dy)
        elapsed = perf_counter_ns() - start
        return (dx.reshape(-1) if self._flat else dx), elapsed

    def layer_outputs(self, inputs: Array) -> list[Array]:
        """Every layer's output in evaluation mode, in the order of the data.

        Shapes: (B, ...) or flat batch_size * input_size -> for each layer (B, ...).
        """
        outputs: list[Array] = []
        self.forward(self._samples(inputs, "layer_outputs"), watch=outputs)
        return outputs

    @python_only
    def forward(
        self, x: Array, training: bool = False, watch: list[Array] | None = None
    ) -> Array:
        """The core of every forward pass, without checks: x (B, *input_shape).

        Each pass in training mode draws new masks (`step` counts them). `watch` gets
        the output of every layer.
        """
        if self._plan is None:
            self._prepare()
        run = Run(training, self.seed, self.step)
        self.step += training
        self._rows = x.shape[0]
        self._caches = None  # until all of them are there
        caches: list[Any] = []
        outputs = []
        try:
            for layer, shape, reshape, sources, kept in self._plan:
                if reshape:
                    x = x.reshape(-1, *shape)
                if sources:
                    x, cache = layer.forward(x, run, *(outputs[i] for i in sources))
                else:
                    x, cache = layer.forward(x, run)
                caches.append(cache)
                outputs.append(x if kept else None)
                if watch is not None:
                    watch.append(x)
        except (InputError, ShapeError) as error:
            place = self.position(len(caches))
            raise type(error)(f"layer {place} {error}") from None
        self._caches = caches
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
        number = isinstance(learning_rate, Real)
        if not number or not abs(learning_rate) <= float(np.finfo(self._dtype).max):
            raise InputError(
                "update_weights: expected a finite rate, got "
                f"{learning_rate!r:.60}. Rates are mostly from 1e-5 to 1."
            )
        for layer, gradients in zip(self.layers, self.gradients(), strict=True):
            for name, gradient in gradients.items():
                layer.parameters[name] -= learning_rate * gradient

    # On a GPU ----------------------------------------------------------------------

    def init_gpu(self, precision: str = "f32", devices: str = "one") -> None:
        """Open the GPU that LOOM_GPU chooses (loom.gpu.detector) for this network.

        precision "f16" stores weights, activations and training's gradients in halves,
        and computes in float32 (loom.gpu.packed: what is kept in how many bits);
        "auto" does so where the GPU can. devices "all" trains on every GPU of
        the machine, each with a share of the batch: the result of one, but for batch
        norms, which see their own share alone (as in PyTorch's
        DistributedDataParallel). Again with the same options it does nothing; others
        close it first. Raises DeviceError: no GPU, or one that cannot do it, and what
        to do.
        """
        from loom.gpu import open_session

        if self._gpu is None or not self._gpu.serves(precision, devices):
            self._gpu = open_session(self, precision, devices)

    @python_only
    def to_gpu(self, values: Array) -> GPUArray:
        """Send finite numbers to the GPU once, for many passes of networks there."""
        session = self._session_at_once()
        return session.array(self._array(values, "to_gpu"))

    def forward_gpu(self, inputs: Array | GPUArray) -> tuple[Array, int]:
        """As forward_cpu, on the GPU (opened if it is not); time with both transfers.

        Weights changed in Python since are sent first.
        """
        start = perf_counter_ns()
        y = None if self._gpu is None else self._gpu.again(inputs)
        if y is None:
            x = self._samples(inputs, "forward_gpu", finite=False)
            session = self._session_at_once()
            start = perf_counter_ns()
            # Whether x is finite is looked at while the GPU computes.
            y = session.forward(x, lambda: self._check_finite(x, "forward_gpu"))
        else:
            self._flat = False
        elapsed = perf_counter_ns() - start
        return (y.reshape(-1) if self._flat else y), elapsed

    def backward_gpu(self, gradient: Array | GPUArray) -> tuple[Array, int]:
        """As backward_cpu, of the last forward_gpu; keeps every gradient there."""
        if self._gpu is None or self._gpu.rows == 0:
            raise ConfigError("backward_gpu: run forward_gpu first.")
        session = self._session_at_once()
        dy = self._output_gradient(gradient, session.rows, "backward_gpu")
        start = perf_counter_ns()
        dx = session.backward(dy)
        elapsed = perf_counter_ns() - start
        self._gradients = None
        return (dx.reshape(-1) if self._flat else dx), elapsed

    def release_gpu(self) -> None:
        """Bring the weights back and free everything on the GPU."""
        if self._gpu is not None:
            self._gpu.close()
            self._gpu = None

    def gpu_info(self) -> dict:
        """The GPU's report, the precision, and the bytes that lie on it."""
        return self.session().info()

    @property
    def on_gpu(self) -> bool:
        """Whether the network holds a GPU: from init_gpu to release_gpu."""
        return self._gpu is not None

    @python_only
    def has_gpu(self) -> bool:
        """Whether a GPU is open for this network."""
        return self._gpu is not None

    @python_only
    def open_session(self) -> "Session | None":
        """The session of init_gpu whose passes return results, if there is one."""
        return None if self._gpu is None or self._gpu.awaited else self._gpu

    @python_only
    def session(self) -> "Session":
        """The network on its GPU, opened if it is not."""
        if self._gpu is None:
            self.init_gpu()
        return self._gpu

    # Parameters and gradients ----------------------------------------------------

    def parameters(self) -> list[dict[str, Array]]:
        """For each layer, its live parameters by name."""
        return [layer.parameters for layer in self.layers]

    def gradients(self) -> list[dict[str, Array]]:
        """For each layer, dL/dw by parameter name, from the last backward pass."""
        if self._gradients is None and self._gpu and self._gpu.has_gradients:
            self._gradients = self._gpu.gradients()
        if self._plan is None or self._gradients is None:
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

    def evaluate_from_checkpoint_files(
        self, paths: list[str], expected: Array
    ) -> tuple["DeviationMetrics", int, int]:
        """Evaluate samples kept in files, each a JSON array of floats.

        Returns the metrics, and the nanoseconds of loading and of running.
        """
        from loom.evaluation import evaluate_from_checkpoint_files

        return evaluate_from_checkpoint_files(self, paths, expected)

    def summary(self) -> str:
        """A table of the layers: place, shape, parameters and their share."""
        from loom.picture import summary

        return summary(self)

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

    def _session_at_once(self) -> "Session":
        """The session, of those whose calls need not be awaited."""
        session = self.session()
        if session.awaited:
            from loom.gpu import AWAIT

            raise DeviceError(AWAIT)
        return session

    # Inside ----------------------------------------------------------------------

    def _prepare(self) -> Shape:
        if self._plan is None:  # a layer is new: what the old ones left is no use
            self._caches = self._gradients = None
        return super()._prepare()

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without the GPU, and what passes left."""
        left = {"_gpu": None, "_plan": None, "_caches": None, "_gradients": None}
        return self.__dict__ | left

    def __repr__(self) -> str:
        grid = f"{self.grid_rows} x {self.grid_cols} x {self.layers_per_cell}"
        return (
            f"Network(input_size={self.input_size}, grid {grid}, "
            f"{self.parameter_count():,} parameters, seed={self.seed})"
        )

    def _array(self, values: Any, where: str, finite: bool = True) -> Array:
        """An array in the network's dtype, and finite unless that is checked later."""
        if isinstance(values, GPUArray) and where in ("forward_gpu", "backward_gpu"):
            return values
        try:
            array = as_floats(values, self._dtype)
        except (ValueError, TypeError, OverflowError):
            kind = f" of {values.dtype}" if hasattr(values, "dtype") else ""
            raise InputError(
                f"{where}: expected numbers in rows of equal length, "
                f"got {type(values).__name__}{kind}."
            ) from None
        if finite:
            self._check_finite(array, where)
        return array

    def _check_finite(self, array: Array, where: str) -> None:
        # What is on the GPU was checked by to_gpu.
        if not isinstance(array, GPUArray) and not all_finite(array):
            at = int(np.flatnonzero(~np.isfinite(array))[0])
            place = tuple(int(i) for i in np.unravel_index(at, array.shape))
            raise InputError(
                f"{where}: expected finite numbers, got {array[place]} at index "
                f"{place}. Clean the data first."
            )

    def _samples(
        self, inputs: Any, where: str = "forward_cpu", finite: bool = True
    ) -> Array:
        """Inputs as (B, *input_shape), from (B, ...) or a flat array."""
        if self._plan is None:
            self._prepare()
        x = self._array(inputs, where, finite)
        if x.shape[1:] == self.input_shape and len(x):
            self._flat = False
            return x
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
            shapes = dict.fromkeys((batch_text(self.input_shape), f"(B, {size})"))
            raise ShapeError(
                f"{where}: expected x of shape {' or '.join(shapes)}, at least one "
                f"sample, got {x.shape}."
            )
        return x.reshape(-1, *self.input_shape)

    def _output_gradient(self, gradient: Any, rows: int, where: str) -> Array:
        """dL/dy as (rows, *output shape)."""
        shape = (rows, *self._prepare())
        dy = self._array(gradient, where)
        if dy.size != prod(shape) or (dy.ndim > 1 and dy.shape[0] != rows):
            forward = where.replace("backward", "forward")
            raise ShapeError(
                f"{where}: expected dL/dy of shape {shape} as {forward} returned, "
                f"got {dy.shape}."
            )
        return dy.reshape(*shape)

    @python_only
    def astype(self, dtype) -> "Network":
        """Compute in another dtype (float64 for gradient checks). Returns self."""
        self.release_gpu()  # it computes in float32
        self._dtype = np.dtype(dtype)
        for layer in self.layers:
            for arrays in (layer.parameters, layer.state):
                arrays.update({n: a.astype(dtype) for n, a in arrays.items()})
        return self

    def _flat_gradients(self, bias: bool) -> list[Array]:
        out = []
        for layer, gradients in zip(self.layers, self.gradients(), strict=True):
            biases = layer.bias_names()
            # The order of the weights' table, whatever wrote the gradients.
            names = [n for n in layer.weight_shapes() if n in gradients]
            chosen = [gradients[n].ravel() for n in names if (n in biases) is bias]
            out.append(np.concatenate(chosen or [np.zeros(0, self._dtype)]))
        return out
