"""The activation table: one row an activation, and all that is known of it.

Codes are permanent and append-only. `forward(v, out)` writes f(v) to `out`, which may
be `v` itself where `needs` is "y". `backward(dy, v, y)` gives dy * f'(v) in a new
array; a row whose `needs` is "y" reads only y (v may be gone), one with "v" only v.
Every f is finite and exact to rounding for any finite input; NaN stays NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from loom.errors import ConfigError, known
from loom.kernels import simd
from loom.linalg import affine, fused, softmax, softmax_backward

Array = np.ndarray
_GELU_SCALE = 0.7978845608028654  # sqrt(2 / pi)
_GELU_CUBIC = 0.044715


@dataclass(frozen=True)
class Activation:
    """One row of the table.

    Attributes:
        code: permanent number, the same in JSON, C and shaders.
        name: the field's name, snake_case.
        bundle_name: the name inside model bundles (there `relu` means ScaledReLU).
        formula: f as text.
        forward: (v, out) -> f(v), written to out.
        backward: (dy, v, y) -> dy * f'(v).
        needs: "v" or "y": which of the two backward reads.
        gain: variance gain of He initialisation, 1 / E[f'(v)^2] for v ~ N(0, 1).
        elementwise: False where a value depends on its whole row (softmax).
        wgsl: f in WGSL, of v; its parts stand in shaders/activation_parts.wgsl.
        wgsl_slope: f' in WGSL, of v or y as `needs` says.
    """

    code: int
    name: str
    bundle_name: str
    formula: str
    forward: Callable[[Array, Array], Array]
    backward: Callable[[Array, Array | None, Array | None], Array]
    needs: str
    gain: float = 1.0
    elementwise: bool = True
    wgsl: str = ""
    wgsl_slope: str = ""

    def __call__(self, v: Array) -> Array:
        """f(v) in a new array."""
        return self.forward(v, np.empty_like(v))

    def affine(self, x: Array, w: Array, b: Array) -> Array:
        """f(x @ w + b) in a new array, in one pass where a kernel does it."""
        y = fused(x, w, b, self.code)
        if y is None:
            y = affine(x, w, b)
            y = self.forward(y, y)
        return y


def _scaled_relu(v, out):
    np.maximum(v, 0, out=out)
    return np.multiply(out, 1.1, out=out)


def _scaled_relu_backward(dy, v, y):
    dv = np.multiply(dy, 1.1)
    return np.multiply(dv, y > 0, out=dv)


def _sigmoid(v, out):
    # Where exp overflows to infinity, its reciprocal is the zero that is meant. Not
    # np.negative: of strided float32 into strided memory NumPy 2.4 gets it wrong.
    np.multiply(v, -1, out=out)
    with np.errstate(over="ignore"):
        np.exp(out, out=out)
    out += 1
    return np.reciprocal(out, out=out)


def _sigmoid_backward(dy, v, y):
    dv = np.subtract(1, y)
    dv *= y
    return np.multiply(dv, dy, out=dv)


def _tanh_backward(dy, v, y):
    dv = np.multiply(y, y)
    np.subtract(1, dv, out=dv)
    return np.multiply(dv, dy, out=dv)


def _log1p_is_simd() -> bool:
    """Whether np.log1p of float32 is vectorised here (NumPy: AVX-512 on Linux)."""
    try:
        from numpy.lib.introspect import opt_func_info

        found = opt_func_info(func_name="^log1p$", signature="float32")
        return not found["log1p"]["ff"]["current"].startswith("baseline")
    except (ImportError, KeyError):
        return False


def _log1p_by_log(u):
    # With w = 1 + u rounded, log1p(u) = log(w) + (u - (w - 1)) / w to a bit or two.
    w = u + 1
    u -= w - 1
    u /= w
    return np.add(u, np.log(w, out=w), out=u)


def _log1p_ufunc(u):
    return np.log1p(u, out=u)


_log1p = _log1p_ufunc if _log1p_is_simd() else _log1p_by_log


def _softplus(v, out):
    # max(v, log1p(exp(v))): beyond the bound, where exp would overflow, v itself.
    np.minimum(v, 88.0 if v.dtype == np.float32 else 709.0, out=out)
    np.exp(out, out=out)
    _log1p(out)
    return np.maximum(out, v, out=out)


def _softplus_backward(dy, v, y):
    dv = _sigmoid(v, np.empty_like(v))
    return np.multiply(dv, dy, out=dv)


def _leaky_relu(v, out):
    return np.maximum(v, v * 0.1, out=out)


def _leaky_relu_backward(dy, v, y):
    # np.where is slower; 0.9 + 0.1 is 1 in float32 and float64.
    slope = np.multiply(y > 0, dy.dtype.type(0.9))
    slope += 0.1
    return np.multiply(slope, dy, out=slope)


def _linear(v, out):
    if out is not v:
        np.copyto(out, v)
    return out


def _linear_backward(dy, v, y):
    return dy


def _relu(v, out):
    return np.maximum(v, 0, out=out)


def _relu_backward(dy, v, y):
    return np.multiply(dy, y > 0)


def _gelu_tanh(v):
    t = v * v
    t *= _GELU_CUBIC
    t += 1
    t *= v
    t *= _GELU_SCALE
    return np.tanh(t, out=t)


def _gelu(v, out):
    t = _gelu_tanh(v)
    t += 1
    t *= 0.5
    return np.multiply(t, v, out=out)


def _gelu_backward(dy, v, y):
    t = _gelu_tanh(v)
    slope = v * v
    slope *= 3 * _GELU_CUBIC
    slope += 1
    slope *= _GELU_SCALE
    slope *= v
    slope *= 1 - t * t
    slope += t
    slope += 1
    slope *= 0.5
    return np.multiply(slope, dy, out=slope)


def _silu(v, out):
    s = _sigmoid(v, np.empty_like(v))
    return np.multiply(s, v, out=out)


def _silu_backward(dy, v, y):
    s = _sigmoid(v, np.empty_like(v))
    slope = 1 - s
    slope *= v
    slope += 1
    slope *= s
    return np.multiply(slope, dy, out=slope)


def _softmax(v, out):
    return softmax(v, out=out)


def _softmax_backward(dy, v, y):
    return softmax_backward(dy, y)


def _on_simd(row: Activation) -> Activation:
    """The row on the browser's kernels, where they take the arrays."""

    def forward(v, out):
        return out if simd.forward(row.code, v, out) else row.forward(v, out)

    def backward(dy, v, y):
        dv = np.empty_like(dy)
        if simd.backward(row.code, dy, y if row.needs == "y" else v, dv):
            return dv
        return row.backward(dy, v, y)

    return replace(row, forward=forward, backward=backward)


ACTIVATIONS: tuple[Activation, ...] = (
    Activation(
        0,
        "scaled_relu",
        "relu",
        "1.1 * max(0, v)",
        _scaled_relu,
        _scaled_relu_backward,
        "y",
        gain=2 / 1.21,
        wgsl="1.1 * select(v, 0.0, v < 0.0)",
        wgsl_slope="select(0.0, 1.1, y > 0.0)",
    ),
    Activation(
        1,
        "sigmoid",
        "sigmoid",
        "1 / (1 + exp(-v))",
        _sigmoid,
        _sigmoid_backward,
        "y",
        wgsl="sigmoid(v)",
        wgsl_slope="y * (1.0 - y)",
    ),
    Activation(
        2,
        "tanh",
        "tanh",
        "tanh(v)",
        np.tanh,
        _tanh_backward,
        "y",
        wgsl="tanh_of(v)",
        wgsl_slope="1.0 - y * y",
    ),
    Activation(
        3,
        "softplus",
        "softplus",
        "log(1 + exp(v))",
        _softplus,
        _softplus_backward,
        "v",
        gain=2.0,
        wgsl="softplus(v)",
        wgsl_slope="sigmoid(v)",
    ),
    Activation(
        4,
        "leaky_relu",
        "leaky_relu",
        "v if v > 0 else 0.1 * v",
        _leaky_relu,
        _leaky_relu_backward,
        "y",
        gain=2 / 1.01,
        wgsl="select(v, 0.1 * v, v < 0.0)",
        wgsl_slope="select(0.1, 1.0, y > 0.0)",
    ),
    Activation(
        5,
        "linear",
        "linear",
        "v",
        _linear,
        _linear_backward,
        "y",
        wgsl="v",
        wgsl_slope="1.0",
    ),
    Activation(
        6,
        "relu",
        "plain_relu",
        "max(0, v)",
        _relu,
        _relu_backward,
        "y",
        gain=2.0,
        wgsl="select(v, 0.0, v < 0.0)",
        wgsl_slope="select(0.0, 1.0, y > 0.0)",
    ),
    Activation(
        7,
        "gelu",
        "gelu",
        "0.5 v (1 + tanh(sqrt(2 / pi) (v + 0.044715 v^3)))",
        _gelu,
        _gelu_backward,
        "v",
        gain=2.0,
        wgsl="0.5 * v * (1.0 + gelu_tanh(v))",
        wgsl_slope="gelu_slope(v)",
    ),
    Activation(
        8,
        "silu",
        "silu",
        "v / (1 + exp(-v))",
        _silu,
        _silu_backward,
        "v",
        gain=2.0,
        wgsl="v * sigmoid(v)",
        wgsl_slope="silu_slope(v)",
    ),
    Activation(
        9,
        "softmax",
        "softmax",
        "exp(v_i) / sum_j exp(v_j) over the last axis",
        _softmax,
        _softmax_backward,
        "y",
        elementwise=False,
    ),
)

if simd is not None:
    # Softmax has its kernel in linalg; linear has nothing to compute.
    ACTIVATIONS = tuple(
        row if row.name in ("softmax", "linear") else _on_simd(row)
        for row in ACTIVATIONS
    )

NAMES = tuple(row.name for row in ACTIVATIONS)
_BY_NAME = {row.name: row for row in ACTIVATIONS}
_BY_BUNDLE_NAME = {row.bundle_name: row for row in ACTIVATIONS} | {
    "scaled_relu": ACTIVATIONS[0]
}


def activation(which: "int | str | Activation") -> Activation:
    """The row of a code or a name. Raises ConfigError for an unknown one."""
    if isinstance(which, Activation):
        return which
    if isinstance(which, str) and which in _BY_NAME:
        return _BY_NAME[which]
    if isinstance(which, int | np.integer) and not isinstance(which, bool):
        if 0 <= which < len(ACTIVATIONS):
            return ACTIVATIONS[which]
        rows = ", ".join(f"{row.code} {row.name}" for row in ACTIVATIONS)
        raise ConfigError(f"unknown activation code {which}. Known: {rows}.")
    raise ConfigError(known(which, NAMES, "activation"))


def activation_from_bundle(name: object) -> Activation:
    """The row of a bundle's activation name."""
    if isinstance(name, str) and name in _BY_BUNDLE_NAME:
        return _BY_BUNDLE_NAME[name]
    raise ConfigError(known(name, _BY_BUNDLE_NAME, "activation"))
