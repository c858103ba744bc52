"""How far a kernel may be from float64, and float64's forms that keep every digit."""

import numpy as np

NAMES = (
    "scaled_relu",
    "sigmoid",
    "tanh",
    "softplus",
    "leaky_relu",
    "linear",
    "relu",
    "gelu",
    "silu",
)
EXP = 100
NEEDS_V = {"softplus", "gelu", "silu"}
TINY = float(np.finfo(np.float32).tiny)  # the smallest normal number
EPSILON = 2.0**-24  # half a unit in the last place of one

# Row -> units in the last place of the exact result, and an absolute floor below which
# an error counts as none: subnormal results may be zero.
BOUNDS = {
    "exp": (1.0, 0.0),
    "scaled_relu": (1.0, 0.0),
    "sigmoid": (2.5, TINY),
    "tanh": (3.0, 0.0),
    "softplus": (2.0, TINY),
    "leaky_relu": (1.0, 0.0),
    "linear": (0.0, 0.0),
    "relu": (0.0, 0.0),
    "gelu": (130.0, 2e-37),  # exp(2 u) multiplies u's rounding by 2 u
    "silu": (4.0, TINY),
    "scaled_relu'": (1.0, 0.0),
    "sigmoid'": (2.5, 2 * TINY),
    "tanh'": (2.5, 2 * TINY),
    "softplus'": (2.5, 2 * TINY),  # dy is up to 2
    "leaky_relu'": (1.0, 0.0),
    "linear'": (0.0, 0.0),
    "relu'": (0.0, 0.0),
    "softmax": (6.0, TINY),
    # The rest in units of EPSILON times the sum of what was added, without signs.
    "gelu'": (10.0, TINY),  # terms near one cancel where it is zero
    "silu'": (6.0, TINY),
    "softmax'": (2.0, TINY),
    "exp_rows": (6.0, TINY),
    "norm": (6.0, TINY),
    "norm'": (6.0, TINY),
    "matmul": (0.6, TINY),  # times 2 + sqrt(K)
    "convolve": (0.6, TINY),  # times 2 + sqrt(C K K)
    "scatter": (2.0, TINY),
    "squares": (1e-6, TINY),
    "sgd": (2.0, TINY),
    "adam": (3.0, TINY),
    # In units of EPSILON times the greatest value, after 5 steps.
    "recurrent": (30.0, TINY),
}


class Worst(dict):
    """The worst error by row, checked as it comes."""

    def ulp(self, row, got, expected, what):
        """Compare with the exact result in units in its last place."""
        expected = np.asarray(expected, np.float64)
        with np.errstate(over="ignore"):
            rounded = expected.astype(np.float32)
        unit = np.spacing(np.maximum(np.abs(rounded), TINY)).astype(np.float64)
        self._check(row, got, expected, np.where(np.isfinite(unit), unit, 1), what)

    def scaled(self, row, got, expected, scale, what):
        """Compare in units of EPSILON times `scale`."""
        self._check(row, got, expected, EPSILON * np.asarray(scale), what)

    def _check(self, row, got, expected, unit, what):
        bound, floor = BOUNDS[row]
        got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
        assert got.shape == expected.shape, f"{row} {what}: shape {got.shape}"
        with np.errstate(over="ignore"):
            special = ~np.isfinite(expected.astype(np.float32))
        kind = expected[special].astype(np.float32)
        np.testing.assert_array_equal(got[special], kind, f"{row} {what}")
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.where(special, 0, np.abs(got - expected))
            error = np.where(difference <= floor, 0, difference / unit)
        error = np.where(np.isnan(error), np.inf, error)
        if error.size:
            at = np.unravel_index(error.argmax(), error.shape)
            self[row] = max(self.get(row, 0.0), float(error[at]))
            assert error[at] <= bound, (
                f"{row} {what}: {error[at]:.2f} units, {bound} allowed, at {at}: "
                f"got {got[at]!r}, expected {expected[at]!r}"
            )


# Activations ---------------------------------------------------------------------


def sigmoid(v):
    e = np.exp(-np.abs(v))
    return np.where(v < 0, e, 1.0) / (1 + e)


def gelu_argument(v):
    return 2 * np.sqrt(2 / np.pi) * v * (1 + 0.044715 * v * v)


def positive(v):
    return np.where(np.isnan(v), np.nan, np.maximum(v, 0))


def exact(name, v):
    """f(v) in float64."""
    return {
        "exp": lambda: np.exp(v),
        "scaled_relu": lambda: positive(v) * np.float64(np.float32(1.1)),
        "sigmoid": lambda: sigmoid(v),
        "tanh": lambda: np.tanh(v),
        "softplus": lambda: positive(v) + np.log1p(np.exp(-np.abs(v))),
        "leaky_relu": lambda: np.where(v > 0, v, v * np.float64(np.float32(0.1))),
        "linear": lambda: v,
        "relu": lambda: positive(v),
        "gelu": lambda: v * sigmoid(gelu_argument(v)),
        "silu": lambda: v * sigmoid(v),
    }[name]()


def exact_slope(name, s):
    """f' of what the row reads: the result, or for NEEDS_V the argument."""

    def gelu():
        g, v = sigmoid(gelu_argument(s)), s
        square = np.minimum(v * v, 1e30)
        return g + v * g * (1 - g) * 2 * np.sqrt(2 / np.pi) * (1 + 0.134145 * square)

    def silu():
        g = sigmoid(s)
        return g * (1 + s * (1 - g))

    one = np.where(s > 0, 1.0, 0.0)
    return {
        "scaled_relu": lambda: one * np.float64(np.float32(1.1)),
        "sigmoid": lambda: s * (1 - s),
        "tanh": lambda: (1 - s) * (1 + s),
        "softplus": lambda: sigmoid(s),
        "leaky_relu": lambda: np.where(s > 0, 1.0, np.float64(np.float32(0.1))),
        "linear": lambda: np.ones_like(s),
        "relu": lambda: one,
        "gelu": gelu,
        "silu": silu,
    }[name]()
