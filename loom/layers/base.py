"""The layer contract.

A layer holds its configuration (fields, JSON-able) and its parameters (named arrays).
A subclass declares its rows and writes these methods:

    kind, code          name in bundles, permanent number on the wire
    fields              its configuration, one `Field` a row
    derived             values on the wire that follow from the fields (attributes)
    weights             its parameters, one `Weight` a row
    statistics          its saved state, one `Weight` a row
    weight_shapes()     shape and fan-in of each parameter
    input_shape(shape)  the sample shape it wants, given what comes before it
    output_shape(shape) the sample shape it gives
    forward(x, run)     -> y, cache
    backward(dy, cache) -> dx, gradients
    lower_forward(b, x), lower_backward(b, dy, cache)   the same on a GPU program

A layer that reads other grid positions beside what comes before it (a residual
connection) names them in `sources()`; forward then gets their outputs as further
arguments, and backward returns a tuple of gradients, x first.

Shapes exclude the batch; arrays include it, first. A layer never changes x or dy in
place, never keeps a batch in itself, and computes in the dtype of its parameters.
"""

import re
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from loom import random
from loom.activations import Activation, activation, activation_from_bundle
from loom.errors import ConfigError, DeviceError, InputError, ShapeError, known

Array = np.ndarray
Shape = tuple[int, ...]
REQUIRED = object()
LIMIT = 2**31 - 1  # values in one array; more is taken for a mistake

# Fields of the five layer types of the framework we follow. Its files and replies carry
# them in every layer, zero or empty where they mean nothing: there they are ignored.
_FOREIGN = """
Activation KernelSize Stride Padding Filters Kernel Bias InputHeight InputWidth
InputChannels OutputHeight OutputWidth NumHeads HeadDim DModel SeqLength QWeights
KWeights VWeights OutputWeight QBias KBias VBias OutputBias HiddenSize RNNInputSize
WeightIH WeightHH BiasH WeightIH_i WeightHH_i BiasH_i WeightIH_f WeightHH_f BiasH_f
WeightIH_g WeightHH_g BiasH_g WeightIH_o WeightHH_o BiasH_o Width Height InputSize
OutputSize
"""
FOREIGN = tuple(_FOREIGN.split())


@dataclass(frozen=True)
class Field:
    """One configuration value: its Python name, wire name, type and bounds.

    kind is int, float, bool, str, Activation, or tuple (a list of whole numbers, each
    within the bounds). The bundle's name is the wire's in snake_case unless given.
    """

    name: str
    wire: str
    kind: type = int
    default: Any = REQUIRED
    minimum: float | None = 1
    maximum: float | None = LIMIT
    choices: tuple[str, ...] = ()
    bundle: str = ""

    def check(self, value: Any, where: str) -> Any:
        """The value in its type, or ConfigError."""
        if self.kind is Activation:
            try:
                return activation(value)
            except ConfigError as error:
                raise ConfigError(f"{where}: {self.name}: {error}") from None
        if self.kind is tuple:
            return self._check_list(value, where)
        if self.kind is float and isinstance(value, int | float | np.number):
            value = float(value)
        if self.kind is int and isinstance(value, np.integer):
            value = int(value)
        if self.kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not self.kind:
            raise ConfigError(
                f"{where}: expected {self.name} as {self.kind.__name__}, "
                f"got {value!r} ({type(value).__name__})."
            )
        if self.choices and value not in self.choices:
            raise ConfigError(f"{where}: {known(value, self.choices, self.name)}")
        if self.kind in (int, float):
            low, high = self.minimum, self.maximum
            if not ((low is None or value >= low) and (high is None or value <= high)):
                raise ConfigError(
                    f"{where}: expected {self.name} from {low} to {high}, got {value}."
                )
        return value

    def _check_list(self, value: Any, where: str) -> tuple[int, ...]:
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if not isinstance(value, list | tuple):
            raise ConfigError(
                f"{where}: expected {self.name} as a list of whole numbers, "
                f"got {value!r} ({type(value).__name__})."
            )
        row = Field(f"each value of {self.name}", "", minimum=self.minimum)
        return tuple(row.check(item, where) for item in value)


ACTIVATION = Field("activation", "Activation", Activation, "scaled_relu")


@dataclass(frozen=True)
class Weight:
    """One array in files: its Python name, wire and bundle names, and whether a bias.

    It is the parameter of that name, or with `of` one gate of that parameter.
    """

    name: str
    wire: str
    bundle: str
    bias: bool = False
    of: str = ""


@dataclass
class Run:
    """What one pass through a network knows beside the data.

    training: dropout and batch statistics are on. seed and step choose the random
    numbers, together with the layer's index.
    """

    training: bool = False
    seed: int = 0
    step: int = 0


EVALUATE = Run()


class Arrays(dict):
    """A layer's named arrays. A GPU that has newer ones changes this class to one that
    fetches them (loom.gpu.mirror); until then it is a plain dict, and as fast to read.

    An array takes another's place by its values, in the dtype that stands: of a wrong
    shape, or no numbers, it is a ShapeError or InputError here, not in a pass later.
    """

    def __setitem__(self, name: str, value: Any) -> None:
        old = dict.get(self, name)
        if old is not None and not (
            type(value) is np.ndarray
            and value.shape == old.shape
            and value.dtype == old.dtype
        ):
            value = as_parameter(value, old.shape, name).astype(old.dtype)
        dict.__setitem__(self, name, value)


class Layer:
    """The base of every layer; see the module's docstring for the contract."""

    kind: ClassVar[str] = ""
    code: ClassVar[int] = -1
    aliases: ClassVar[tuple[str, ...]] = ()  # further kinds in bundles that are read
    fields: ClassVar[tuple[Field, ...]] = ()
    derived: ClassVar[tuple[Field, ...]] = ()
    weights: ClassVar[tuple[Weight, ...]] = ()
    statistics: ClassVar[tuple[Weight, ...]] = ()
    float_input: ClassVar[bool] = False  # x stays float32 where halves are stored
    is_view: ClassVar[bool] = False  # y is x in another shape: nothing is computed

    config: dict[str, Any]  # checked values of `fields`
    parameters: dict[str, Array]  # trained
    state: dict[str, Array]  # saved, not trained (running statistics)
    index: int  # place in the network: chooses the random stream

    def __init__(self, **config):
        where = type(self).__name__
        self.config = {}
        for row in self.fields:
            value = config.pop(row.name, row.default)
            if value is REQUIRED:
                raise ConfigError(f"{where}: {row.name} is missing.")
            self.config[row.name] = row.check(value, where)
        if config:
            names = [row.name for row in self.fields]
            raise ConfigError(f"{where}: {known(next(iter(config)), names, 'field')}")
        self.parameters, self.state, self.index = {}, {}, 0
        self.check()
        for name, (shape, _) in self.weight_shapes().items():
            if prod(shape) > LIMIT:
                raise ConfigError(
                    f"{where}: {name} of shape {shape} has {prod(shape):,} values; "
                    f"at most {LIMIT:,} are possible. Make the layer smaller."
                )

    def __setattr__(self, name: str, value) -> None:
        if name in ("parameters", "state") and type(value) is dict:
            value = Arrays(value)
        super().__setattr__(name, value)

    def __getattr__(self, name: str):
        # Configuration reads as attributes: layer.input_size.
        config = self.__dict__.get("config", {})
        if name in config:
            return config[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __repr__(self) -> str:
        values = (f"{k}={getattr(v, 'name', v)!r}" for k, v in self.config.items())
        return f"{type(self).__name__}({', '.join(values)})"

    # What a subclass writes ------------------------------------------------------

    def check(self) -> None:
        """Checks between fields; raise ConfigError. Called once, after the fields."""

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """Name -> (shape, fan-in) of each parameter; fan-in 0 means zeros."""
        return {}

    def declared_input_shape(self) -> Shape | None:
        """The sample shape that the configuration alone decides, if it does."""
        return None

    def input_shape(self, previous: Shape) -> Shape:
        """The sample shape wanted, given the one before; ShapeError if none fits."""
        return previous

    def output_shape(self, shape: Shape) -> Shape:
        """The sample shape that comes out of `shape`."""
        return shape

    def sources(self) -> tuple[tuple[int, int, int], ...]:
        """Grid positions (row, column, layer) whose outputs forward also takes."""
        return ()

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, Any]:
        """The output and what backward needs."""
        raise NotImplementedError

    def backward(
        self, dy: Array, cache: Any, need_dx: bool = True
    ) -> tuple[Array | None, dict[str, Array]]:
        """The gradient for x (None if not needed) and one for each parameter."""
        raise NotImplementedError

    def lower_forward(self, b, x, *sources) -> tuple[Any, Any]:
        """`forward` as dispatches of a GPU program (loom.gpu.builder.Builder b).

        x, y and what the cache holds are tensors of b; b.training says which mode,
        b.keep whether a backward pass follows.
        """
        raise self._no_program()

    def lower_backward(self, b, dy, cache: Any, need_dx: bool = True):
        """`backward` as dispatches; writes b.gradient(self, name) and gives dx."""
        raise self._no_program()

    def check_values(self, x: Array) -> None:
        """Raise InputError for values of x that have no meaning here (a GPU cannot)."""

    def takes_all_values(self) -> bool:
        """Whether check_values has nothing to refuse."""
        return type(self).check_values is Layer.check_values

    def _no_program(self) -> DeviceError:
        return DeviceError(
            f"{type(self).__name__}: this layer has no GPU program. Run it on the CPU."
        )

    # What every layer has -------------------------------------------------------

    def initialize(self, seed: int, dtype=np.float32) -> None:
        """Fill the parameters that are not there yet.

        He et al. 2015: uniform in +-sqrt(3 gain / fan_in), from the stream of (seed,
        this layer's index, the parameter's place). Uniform, since no platform's
        logarithm or cosine then decides a bit. Biases are zero.
        """
        gain = self.config["activation"].gain if "activation" in self.config else 1.0
        for slot, (name, (shape, fan_in)) in enumerate(self.weight_shapes().items()):
            if name in self.parameters:
                continue
            if fan_in == 0:
                self.parameters[name] = np.zeros(shape, dtype)
                continue
            bound = (3 * gain / fan_in) ** 0.5
            purpose = random.INITIALISE | slot << 8
            self.parameters[name] = random.uniform(
                seed, shape, -bound, bound, stream=self.index, purpose=purpose
            ).astype(dtype)
        self.state = {k: v.astype(dtype, copy=False) for k, v in self.state.items()}

    def set_parameter(self, name: str, value: Any, where: str = "") -> None:
        """Set a parameter from any array of its shape (or as many values)."""
        where = where or type(self).__name__
        shapes = self.weight_shapes()
        if name not in shapes:
            raise ConfigError(f"{where}: {known(name, shapes, 'parameter')}")
        self.parameters[name] = as_parameter(value, shapes[name][0], f"{where}: {name}")

    def set_state(self, name: str, value: Any) -> None:
        """Set a saved statistic from any array of its shape (or as many values)."""
        shape = self.state[name].shape
        self.state[name] = as_parameter(value, shape, f"{type(self).__name__}: {name}")

    def bias_names(self) -> set[str]:
        """The parameters that are biases."""
        return {row.of or row.name for row in self.weights if row.bias}

    def parameter_count(self) -> int:
        """Trainable values."""
        return sum(prod(shape) for shape, _ in self.weight_shapes().values())

    def copy(self) -> "Layer":
        """A layer of the same configuration with copies of the arrays."""
        other = type(self)(**self.config)
        other.parameters = {k: v.copy() for k, v in self.parameters.items()}
        other.state = {k: v.copy() for k, v in self.state.items()}
        return other

    # JSON ------------------------------------------------------------------------

    def bundle_config(self) -> dict[str, Any]:
        """Fields under their bundle names."""
        out: dict[str, Any] = {"type": self.kind}
        for row in self.fields:
            value = self.config[row.name]
            out[bundle_name(row)] = getattr(value, "bundle_name", value)
        return out | {bundle_name(row): getattr(self, row.name) for row in self.derived}

    @classmethod
    def from_bundle_config(cls, config: dict[str, Any]) -> "Layer":
        """The layer of a bundle's fields; unknown fields are errors."""
        rows = {bundle_name(row): row for row in cls.fields}
        derived = {bundle_name(row): row for row in cls.derived}
        foreign = {bundle_name(Field("", wire)) for wire in FOREIGN}
        values, follow = {}, {}
        for key, value in config.items():
            if key in rows:
                if rows[key].kind is Activation:
                    value = activation_from_bundle(value)
                values[rows[key].name] = value
            elif key in derived:
                follow[derived[key]] = value
            elif key != "type" and not cls._ignored(key, value, foreign):
                raise ConfigError(f"{cls.__name__}: {known(key, rows, 'field')}")
        layer = cls._of(values)
        layer._check_derived(follow)
        return layer

    def wire_config(self, arrays: bool = True) -> dict[str, Any]:
        """Fields, and parameters if there are any, under their wire names."""
        out: dict[str, Any] = {"Type": self.code}
        for row in self.fields:
            value = self.config[row.name]
            out[row.wire] = getattr(value, "code", value)
        out |= {row.wire: getattr(self, row.name) for row in self.derived}
        if arrays and (named := self.export_weights()):
            out |= {row.wire: named[row.name] for row in self.weight_rows()}
            out |= {row.wire: self.state[row.name] for row in self.statistics}
        return out

    @classmethod
    def from_wire_config(cls, config: dict[str, Any]) -> "Layer":
        """The layer of a wire configuration; unknown fields are errors."""
        fields = {row.wire: row for row in cls.fields}
        derived = {row.wire: row for row in cls.derived}
        weights = {row.wire: row for row in cls.weights}
        statistics = {row.wire: row for row in cls.statistics}
        values, follow, arrays, state = {}, {}, {}, {}
        for key, value in config.items():
            if key in fields:
                values[fields[key].name] = value
            elif key in derived:
                follow[derived[key]] = value
            elif key in weights:
                arrays[weights[key].name] = value
            elif key in statistics:
                state[statistics[key].name] = value
            elif key != "Type" and not cls._ignored(key, value, FOREIGN):
                names = ["Type", *fields, *derived, *weights, *statistics]
                raise ConfigError(f"{cls.__name__}: {known(key, names, 'field')}")
        layer = cls._of(values)
        layer._check_derived(follow)
        layer.import_weights({k: v for k, v in arrays.items() if v is not None})
        for name, value in state.items():
            layer.set_state(name, value)
        return layer

    @classmethod
    def _of(cls, values: dict[str, Any]) -> "Layer":
        """The layer of values by field name; those left out take their defaults."""
        values = {row.name: row.default for row in cls.fields} | values
        missing = [row.wire for row in cls.fields if values[row.name] is REQUIRED]
        if missing:
            raise ConfigError(
                f"{cls.__name__}: {missing[0]} is missing. Fields: "
                f"{', '.join(row.wire for row in cls.fields)}."
            )
        return cls(**values)

    @classmethod
    def _ignored(cls, key: str, value: Any, foreign) -> bool:
        """Whether a field is another layer type's, and says nothing here."""
        if key not in foreign:
            return False
        # Its LSTM names an activation that it does not use.
        unused = key.lower() == "activation" and cls.code <= 4
        return unused or value is None or (not hasattr(value, "shape") and not value)

    def _check_derived(self, values: dict[Field, Any]) -> None:
        where = type(self).__name__
        for row, value in values.items():
            right = getattr(self, row.name)
            if value and row.check(value, where) != right:
                raise ConfigError(
                    f"{where}: expected {row.name} {right} as the other fields give, "
                    f"got {value}. Leave it out, or correct them."
                )

    def weight_rows(self) -> tuple[Weight, ...]:
        """The rows of `weights` that this configuration has."""
        return self.weights

    def export_weights(self) -> dict[str, Array]:
        """Parameters as files and the wire name them (`Weight.name` -> array)."""
        return dict(self.parameters)

    def import_weights(self, arrays: dict[str, Any]) -> None:
        """The reverse of `export_weights`; some may be missing."""
        for name, value in arrays.items():
            self.set_parameter(name, value)


def bundle_name(row: Field) -> str:
    """A field's name in bundles: the wire's in snake_case (DModel is d_model)."""
    if row.bundle:
        return row.bundle
    return re.sub(
        r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", row.wire
    ).lower()


def batch_text(shape: Shape) -> str:
    """A sample shape with its batch axis, as text: (B, 3, 8, 8)."""
    return f"(B, {', '.join(map(str, shape))})"


def too_large(values: int) -> str:
    """What is wrong with a sample of so many values, or ""."""
    if values <= LIMIT:
        return ""
    return f"one sample has {values:,} values; at most {LIMIT:,} are possible."


def as_floats(value: Any, dtype=np.float32) -> Array:
    """`value` as an array of floats; what is too large becomes an infinity, what a mask
    hides becomes NaN.

    Raises ValueError, TypeError or OverflowError for what is no rectangle of numbers:
    NumPy alone would parse text, count dates and drop imaginary parts.
    """
    if type(value) is np.ndarray and value.dtype == dtype:
        return value
    if hasattr(value, "filled"):
        value = value.astype(dtype).filled(np.nan)
    array = np.asarray(value)
    if array.dtype.kind not in "biufO":
        raise TypeError(f"no numbers: {array.dtype}")
    with np.errstate(over="ignore"):
        return array.astype(dtype, copy=False)


def as_parameter(value: Any, shape: Shape, where: str) -> Array:
    """A fresh, finite float32 (or kept float64) array of `shape` from `value`."""
    try:
        kept = getattr(value, "dtype", None) == np.float64
        array = as_floats(value, np.float64 if kept else np.float32)
        array = array.copy() if array is value else array
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"{where}: expected numbers of shape {shape}.") from None
    if array.shape != shape and (array.ndim > 1 or array.size != prod(shape)):
        raise ShapeError(f"{where}: expected shape {shape}, got {array.shape}.")
    if not np.isfinite(array).all():
        raise InputError(f"{where}: has a NaN or an infinity.")
    return array.reshape(shape)
