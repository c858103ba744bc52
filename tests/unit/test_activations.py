"""Activations at the ends of the number line, and on both roads to log1p."""

import numpy as np
import pytest

from loom import activations
from loom.activations import ACTIVATIONS, activation


def line() -> np.ndarray:
    """Both signs of every magnitude that float32 has, and the middle in steps."""
    far = np.geomspace(1e-37, 3.4e38, 4001)
    near = np.linspace(-120, 120, 24001)
    return np.concatenate([far, -far, near, [0.0, -0.0]]).astype(np.float32)


def exact(name: str, v: np.ndarray) -> np.ndarray:
    """The formula in float64, in a form that cannot overflow."""
    v = v.astype(np.float64)
    u = np.exp(-np.abs(v))
    return {
        "sigmoid": np.where(v > 0, 1, u) / (1 + u),
        "softplus": np.maximum(v, 0) + np.log1p(u),
    }[name]


@pytest.mark.parametrize("name", ["sigmoid", "softplus"])
@pytest.mark.parametrize("log1p", ["_log1p_ufunc", "_log1p_by_log"])
def test_every_value_is_exact_to_rounding(name, log1p, monkeypatch):
    monkeypatch.setattr(activations, "_log1p", getattr(activations, log1p))
    v = line()
    y, wanted = activation(name)(v), exact(name, v)
    normal = wanted > np.finfo(np.float32).tiny
    unit = np.spacing(wanted[normal].astype(np.float32))
    worst = np.abs(y[normal] - wanted[normal]) / unit
    assert worst.max() < 5, f"{worst.max():.1f} units at {v[normal][worst.argmax()]}"
    assert np.abs(y[~normal] - wanted[~normal]).max() < 2e-38


# 1.1 times the greatest float, gelu's cube and softmax's differences leave float32.
WIDE = ("scaled_relu", "gelu", "softmax")
SAFE = [row for row in ACTIVATIONS if row.name not in WIDE]


@pytest.mark.parametrize("row", SAFE, ids=lambda row: row.name)
def test_any_finite_value_gives_a_finite_one(row):
    v = line()
    y = row(v)
    dv = row.backward(np.ones_like(v), *((None, y) if row.needs == "y" else (v, None)))
    assert np.isfinite(y).all()
    assert np.isfinite(dv).all()


@pytest.mark.parametrize("row", ACTIVATIONS, ids=lambda row: row.name)
def test_nan_stays_nan(row):
    assert np.isnan(row(np.array([[np.nan, 1.0]], np.float32))[0, 0])
