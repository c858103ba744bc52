"""Grid: where each layer stands, and how shapes flow from one to the next."""

import os
from collections.abc import Iterable
from copy import deepcopy
from math import prod
from typing import Any

import numpy as np

from loom.errors import ConfigError, InputError, ShapeError
from loom.layers import Elementwise, Layer, layer_from_wire
from loom.layers.base import LIMIT, Shape, batch_text

Array = np.ndarray
Position = tuple[int, int, int]
DEFAULT_CYCLE = ("scaled_relu", "sigmoid", "tanh", "softplus", "leaky_relu")
MAX_LAYERS = 1_000_000
LARGE = 1 << 28  # bytes; below this nobody asks how much memory is free
MAX_SEED = 2**53 - 1  # the greatest whole number that JavaScript keeps exactly


def python_only(method):
    """Keep a public method of Network out of the reflection."""
    method.python_only = True
    return method


class Grid:
    """grid_rows x grid_cols x layers_per_cell layers over samples of `input_size`.

    The base of Network: it places layers and checks shapes, and computes nothing.
    """

    _dtype = np.float32

    def __init__(
        self,
        input_size: int,
        grid_rows: int,
        grid_cols: int,
        layers_per_cell: int,
        seed: int | None = None,
    ):
        where = "Network"
        self.input_size = integer(input_size, f"{where}: input_size", 1, LIMIT)
        self.grid_rows = integer(grid_rows, f"{where}: grid_rows", 1, MAX_LAYERS)
        self.grid_cols = integer(grid_cols, f"{where}: grid_cols", 1, MAX_LAYERS)
        self.layers_per_cell = integer(
            layers_per_cell, f"{where}: layers_per_cell", 1, MAX_LAYERS
        )
        if seed is None:
            seed = int.from_bytes(os.urandom(6), "little")
        self.seed = integer(seed, f"{where}: seed", 0, MAX_SEED)
        total = self.grid_rows * self.grid_cols * self.layers_per_cell
        if total > MAX_LAYERS:
            raise ConfigError(
                f"{where}: {total:,} layers asked for; at most {MAX_LAYERS:,} are "
                "possible. Make the grid smaller."
            )
        self.input_shape: Shape = (self.input_size,)
        self.layers: list[Layer] = []
        self._chosen: set[int] = set()
        for index in range(total):
            layer = Elementwise(DEFAULT_CYCLE[index % len(DEFAULT_CYCLE)])
            layer.index = index
            self.layers.append(layer)
        self._shapes: list[Shape] = [self.input_shape]
        self._plan: list[tuple] | None = None

    @classmethod
    def stack(
        cls,
        *layers: Layer,
        input_shape: int | Iterable[int] | None = None,
        seed: int | None = None,
    ) -> "Grid":
        """A plain chain: one cell that holds `layers` in order.

        `input_shape` is the shape of one sample; it may be left out when the first
        layer declares its own (Dense, Conv2D, RNN, ...).
        """
        if not layers:
            raise ConfigError("Network.stack: expected at least one layer, got none.")
        for number, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                name = getattr(layer, "__name__", type(layer).__name__)
                raise ConfigError(
                    f"Network.stack: expected a layer as argument {number}, got "
                    f"{name}. Write layers, e.g. stack(Dense(64, 10)); *list for a "
                    "list of them."
                )
        if input_shape is None:
            shape = layers[0].declared_input_shape()
            if shape is None:
                raise ConfigError(
                    f"Network.stack: {type(layers[0]).__name__} takes any shape. "
                    "Set input_shape, e.g. input_shape=(64,)."
                )
        else:
            shape = input_shape
        return cls.from_layers(layers, shape, seed=seed)

    @classmethod
    def from_layers(
        cls,
        layers: Iterable[Layer],
        input_shape: int | Iterable[int],
        grid_rows: int = 1,
        grid_cols: int = 1,
        layers_per_cell: int | None = None,
        seed: int | None = None,
    ) -> "Grid":
        """A grid filled with copies of `layers`, in the order of the data."""
        layers = list(layers)
        input_shape = _sample_shape(input_shape)
        per_cell = len(layers) if layers_per_cell is None else layers_per_cell
        net = cls(prod(input_shape), grid_rows, grid_cols, per_cell, seed=seed)
        net.input_shape = input_shape
        net._shapes = [input_shape]
        for index, layer in enumerate(layers):
            net.set_layer(*net.position(index), layer)
        net._prepare()
        return net

    def __copy__(self) -> "Grid":
        """As deepcopy: networks that shared layers would train each other's."""
        return deepcopy(self)

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
            try:
                at = self._index(*source)
            except ConfigError as error:
                name = type(new).__name__
                raise ConfigError(f"{where} {name}: source {source}: {error}") from None
            if at >= index:
                raise ConfigError(
                    f"{where} {type(new).__name__}: expected a source before it, got "
                    f"{source}. Data flows row by row, column by column."
                )
        self._check_neighbours(index, new)
        self._check_room(where, new)
        new.initialize(self.seed, self._dtype)
        self.layers[index] = new
        self._chosen.add(index)
        del self._shapes[index + 1 :]
        self._plan = None

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

    @python_only
    def plan(self) -> list[tuple]:
        """For each layer: it, the sample shape it takes, the shape that arrives if it
        is another, the indices of its sources, and whether it is a source itself."""
        self._prepare()
        return self._plan

    @python_only
    def first(self) -> Layer:
        """The first layer that is no mere view: what the inputs mean."""
        return next((row for row in self.layers if not row.is_view), self.layers[0])

    @python_only
    def check_values(self, x: Array) -> None:
        """InputError for inputs that the first layer cannot take: token ids."""
        first = self.first()
        try:
            first.check_values(x)
        except InputError as error:
            raise InputError(f"layer {self.position(first.index)} {error}") from None

    @python_only
    def where(self, index: int) -> str:
        """A layer's place and type as text, for errors."""
        return f"layer {self.position(index)} {type(self.layers[index]).__name__}"

    # Inside --------------------------------------------------------------------

    def _index(self, row: int, col: int, layer: int) -> int:
        limits = (self.grid_rows, self.grid_cols, self.layers_per_cell)
        names = ("row", "col", "layer")
        place = []
        for name, value, limit in zip(names, (row, col, layer), limits, strict=True):
            place.append(integer(value, f"{name} of the grid", 0, limit - 1))
        row, col, layer = place
        return (row * self.grid_cols + col) * self.layers_per_cell + layer

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

    def _check_room(self, where: str, new: Layer) -> None:
        """ConfigError when there is no memory to draw a large layer's parameters.

        Linux grants more than there is, and ends the process that takes it.
        """
        need = 2 * np.dtype(self._dtype).itemsize * new.parameter_count()
        free = available_memory() if need > LARGE else None
        if free is not None and need > free:
            raise ConfigError(
                f"{where} {type(new).__name__}: its {new.parameter_count():,} "
                f"parameters need {need / 1e9:.1f} GB to be drawn, and "
                f"{free / 1e9:.1f} GB are free. Make the layer smaller."
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
                f"{self.where(index)}: expected its source {self.where(source)} to "
                f"give {batch_text(taken)} as comes before it, got {batch_text(shape)}."
            )


def _sample_shape(value: int | Iterable[int]) -> Shape:
    """The shape of one sample, from a size or sizes of at least 1."""
    where = "Network: input_shape"
    sizes = value if isinstance(value, Iterable) else (value,)
    shape = tuple(integer(size, where, 1, LIMIT) for size in sizes)
    if not shape:
        raise ConfigError(f"{where}: expected at least one size, got none.")
    return shape


def _from_wire(config: dict | str) -> Layer:
    if isinstance(config, str):
        import json

        try:
            config = json.loads(config)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"expected a configuration as JSON: {error}.") from None
    return layer_from_wire(config)


def available_memory() -> int | None:
    """Bytes that can be taken without ending a process; None where no one says."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def integer(value: Any, where: str, low: int, high: int) -> int:
    """The value as an int within the bounds, or ConfigError."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ConfigError(f"{where}: expected a whole number, got {value!r}.")
    if not low <= value <= high:
        raise ConfigError(f"{where}: expected {low} to {high:,}, got {value}.")
    return int(value)
