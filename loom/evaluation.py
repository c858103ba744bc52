"""Evaluation: deviation of predictions in seven buckets, accuracy, confusion matrix.

A prediction is a network's one output value, or of several the index of the greatest
(NaN never wins). Its deviation in percent is

    100 |actual - expected| / |expected|,   or 100 |actual - expected|
                                            where |expected| < 1e-10,

and 100 where that is not finite. A bucket holds deviations above its lower edge, its
upper edge included; the first holds 0 too. The score is mean(max(0, 100 - deviation)).
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import isfinite, prod
from time import perf_counter_ns
from typing import Any

import numpy as np

from loom.errors import ConfigError, FormatError, InputError, ShapeError, known
from loom.files import read_bytes, write_atomic
from loom.layers.base import batch_text

Array = np.ndarray
CHUNK = 1024  # samples of one forward pass
EDGES = (0, 10, 20, 30, 40, 50, 100)
BUCKETS = (*(f"{a}-{b}%" for a, b in pairwise(EDGES)), f"{EDGES[-1]}%+")
_BAR = 40  # characters of a bar of 100%


@dataclass(frozen=True)
class DeviationBucket:
    """The samples whose deviation lies in (range_min, range_max]; None: no end."""

    range_min: float
    range_max: float | None
    count: int
    samples: list[int]


@dataclass(frozen=True)
class PredictionResult:
    """One sample: what was expected, what came, and how far off in percent."""

    sample_index: int
    expected: float
    actual: float
    deviation: float
    bucket: str


class DeviationMetrics:
    """How far predictions are from what was expected.

    Shapes: actual (N,), expected (N,). Raises ShapeError when they differ, InputError
    when an expected value is not finite.

    Attributes:
        expected, actual, deviation: (N,) float64 arrays.
        score: 0 to 100, mean(max(0, 100 - deviation)).
        average_deviation: percent.
        failures: samples in "100%+".
        accuracy: share of samples whose prediction is exactly what was expected.
        non_finite: predictions that were NaN or infinite.
    """

    def __init__(self, actual: Array, expected: Array):
        self.actual = _numbers(actual, "actual").reshape(-1)
        self.expected = _numbers(expected, "expected").reshape(-1)
        n = self.actual.size
        if n == 0 or n != self.expected.size:
            raise ShapeError(
                f"evaluate: expected as many values as predictions, at least one, got "
                f"{self.expected.size} for {n}. Give one expected value a sample."
            )
        if not np.isfinite(self.expected).all():
            at = int(np.flatnonzero(~np.isfinite(self.expected))[0])
            raise InputError(
                f"evaluate: expected finite values, got {self.expected[at]} at sample "
                f"{at}. Clean the data first."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            deviation = np.abs(self.actual - self.expected)
            size = np.abs(self.expected)
            deviation /= np.where(size < 1e-10, 1, size)
            deviation *= 100
        deviation[~np.isfinite(deviation)] = 100
        self.deviation = deviation
        self._bucket = np.searchsorted(np.array(EDGES[1:], float), deviation)
        self.total_samples = n
        self.score = float(np.maximum(0, 100 - deviation).sum()) / n
        self.average_deviation = float((deviation / n).sum())
        self.failures = int((self._bucket == len(BUCKETS) - 1).sum())
        self.accuracy = float((self.actual == self.expected).sum()) / n
        self.non_finite = int((~np.isfinite(self.actual)).sum())

    @cached_property
    def buckets(self) -> dict[str, DeviationBucket]:
        """Name -> bucket, in order, empty ones too."""
        found = {}
        for index, name in enumerate(BUCKETS):
            samples = np.flatnonzero(self._bucket == index).tolist()
            top = EDGES[index + 1] if index + 1 < len(EDGES) else None
            found[name] = DeviationBucket(EDGES[index], top, len(samples), samples)
        return found

    @property
    def results(self) -> list[PredictionResult]:
        """One result a sample, in the order of the samples."""
        return [self._result(i) for i in range(self.total_samples)]

    def worst(self, n: int) -> list[PredictionResult]:
        """The n samples that deviate most, the worst first."""
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
            raise ConfigError(f"worst: expected a whole number from 0, got {n!r}.")
        order = np.argsort(-self.deviation, kind="stable")[:n]
        return [self._result(int(i)) for i in order]

    def samples_in(self, bucket: str) -> list[int]:
        """Indices of the samples in a bucket."""
        if bucket not in BUCKETS:
            raise ConfigError(f"samples_in: {known(bucket, BUCKETS, 'bucket')}")
        return list(self.buckets[bucket].samples)

    def summary(self) -> str:
        """The figures and a bar for each bucket, as text."""
        n = self.total_samples
        lines = [
            f"samples            {n:,}",
            f"score              {self.score:.2f} of 100",
            f"average deviation  {self.average_deviation:.2f}%",
            f"exact              {self.accuracy:.2%}",
            f"failures           {self.failures:,} ({self.failures / n:.1%})",
        ]
        if self.non_finite:
            lines.append(f"not finite         {self.non_finite:,}")
        lines.append("")
        width = len(f"{n:,}")
        for name, bucket in self.buckets.items():
            share = bucket.count / n
            line = f"{name:>8}  {bucket.count:>{width},}  {share:>6.1%}  {_bar(share)}"
            lines.append(line.rstrip())
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"DeviationMetrics(score={self.score:.2f}, "
            f"total_samples={self.total_samples}, failures={self.failures})"
        )

    # Files and the wire ----------------------------------------------------------

    def to_wire(self) -> dict[str, Any]:
        """JSON-able: no infinity, no NaN; a prediction that was one is null.

        The last bucket's range_max is null: it has no end.
        """
        names = [BUCKETS[i] for i in self._bucket.tolist()]
        columns = (self.expected, self.actual, self.deviation)
        rows = zip(*(column.tolist() for column in columns), names, strict=True)
        return {
            "score": self.score,
            "total_samples": self.total_samples,
            "failures": self.failures,
            "average_deviation": self.average_deviation,
            "accuracy": self.accuracy,
            "non_finite": self.non_finite,
            "buckets": {name: vars(row).copy() for name, row in self.buckets.items()},
            "results": [
                {
                    "sample_index": index,
                    "expected": expected,
                    "actual": actual if isfinite(actual) else None,
                    "deviation": deviation,
                    "bucket": bucket,
                }
                for index, (expected, actual, deviation, bucket) in enumerate(rows)
            ],
        }

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> "DeviationMetrics":
        """Metrics made again from the results; what was null becomes NaN.

        Raises FormatError when the values are damaged or disagree with the results.
        """
        where = "evaluation metrics"
        rows = values.get("results") if isinstance(values, dict) else None
        if not isinstance(rows, list) or not rows:
            raise FormatError(f"{where}: expected an object with a list of results.")
        actual, expected = [], []
        for index, row in enumerate(rows):
            row = row if isinstance(row, dict) else {}
            if row.get("sample_index") != index:
                raise FormatError(f"{where}: result {index} is not of sample {index}.")
            got, wanted = row.get("actual"), row.get("expected")
            if not (_is_number(wanted) and (got is None or _is_number(got))):
                raise FormatError(
                    f"{where}: result {index} has no numbers: expected {wanted!r}, "
                    f"actual {got!r}."
                )
            actual.append(np.nan if got is None else got)
            expected.append(wanted)
        self = cls(np.array(actual, float), np.array(expected, float))
        for name in ("score", "average_deviation", "failures", "total_samples"):
            stated, own = values.get(name), getattr(self, name)
            if not _is_number(stated) or abs(stated - own) > 1e-6 * max(1, abs(own)):
                raise FormatError(
                    f"{where}: {name} is {stated!r}, but the results give {own!r}."
                )
        return self

    def save(self, path: str | os.PathLike) -> None:
        """Write the metrics as JSON, atomically."""
        text = json.dumps(self.to_wire(), allow_nan=False, indent=1)
        write_atomic(path, text.encode())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "DeviationMetrics":
        """The metrics that `save` wrote. Raises FormatError for anything else."""
        return cls.from_wire(_json(path, "evaluation metrics"))

    def _result(self, i: int) -> PredictionResult:
        return PredictionResult(
            i,
            float(self.expected[i]),
            float(self.actual[i]),
            float(self.deviation[i]),
            BUCKETS[self._bucket[i]],
        )


# From outputs --------------------------------------------------------------------


def evaluate(outputs: Array, expected: Array) -> DeviationMetrics:
    """Deviation of predictions, or of a network's outputs, from `expected`.

    Shapes:  outputs (N,) or (N, K) or (N, T, K); expected one value or class index a
             row, or as the outputs (then the greatest of a row is its class).
    """
    return DeviationMetrics(*decide(outputs, expected))


def evaluate_network(net, inputs: Array, expected: Array) -> DeviationMetrics:
    """Run `net` over the inputs (N, ...) in chunks and evaluate its outputs.

    After init_gpu on the GPU, which gives back its decisions alone.
    """
    where, session = "evaluate_network", net.open_session()
    if session is None:
        return evaluate(outputs_of(net, inputs, where), expected)
    x = samples_of(net, inputs, where)
    t = _numbers(expected, "expected")
    columns, t = expected_of((len(x), *net.shapes()[-1]), t)
    parts = range(0, len(x), CHUNK)
    decided = [session.assess(x[at : at + CHUNK], columns)[0] for at in parts]
    return DeviationMetrics(np.concatenate(decided), t)


def evaluate_from_checkpoint_files(
    net, paths: Iterable[str], expected: Array
) -> tuple[DeviationMetrics, int, int]:
    """Evaluate samples that files hold, each a JSON array of floats.

    Returns the metrics, and the nanoseconds of loading and of the forward passes.
    Raises FormatError that lists every file which cannot be read.
    """
    start = perf_counter_ns()
    samples, problems = [], []
    for path in paths:
        try:
            values = _json(path, "sample")
            if not isinstance(values, list) or not all(map(_is_number, values)):
                raise FormatError(f"{str(path)!r}: expected a JSON array of numbers.")
            if len(values) != net.input_size:
                raise FormatError(
                    f"{str(path)!r}: expected {net.input_size} values, "
                    f"got {len(values)}."
                )
            samples.append(values)
        except FormatError as error:
            problems.append(str(error))
    if problems:
        raise FormatError("evaluate_from_checkpoint_files: " + "\n".join(problems))
    if not samples:
        raise InputError(
            "evaluate_from_checkpoint_files: expected at least one file, got none."
        )
    loaded = perf_counter_ns()
    outputs = outputs_of(net, samples, "evaluate_from_checkpoint_files")
    done = perf_counter_ns()
    return evaluate(outputs, expected), loaded - start, done - loaded


def samples_of(net, inputs: Any, where: str) -> Array:
    """Inputs checked once, as (N, *input_shape); a flat array holds whole samples."""
    net.output_size()  # lays out the network, or says which layer does not fit
    x = net._array(inputs, where)
    size = net.input_size
    flat = x.ndim == 1 and x.size % size == 0
    if x.size == 0 or not (flat or (x.ndim > 1 and x.size == x.shape[0] * size)):
        shapes = dict.fromkeys((batch_text(net.input_shape), f"(B, {size})"))
        raise ShapeError(
            f"{where}: expected inputs of shape {' or '.join(shapes)}, at least one "
            f"sample, got {x.shape}."
        )
    return x.reshape(-1, *net.input_shape)


def outputs_of(net, inputs: Any, where: str) -> Array:
    """The network's outputs (N, ...) over inputs (N, ...), in chunks."""
    x = samples_of(net, inputs, where)
    parts = [net.forward(x[at : at + CHUNK]) for at in range(0, len(x), CHUNK)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def decide(outputs: Array, expected: Array) -> tuple[Array, Array]:
    """Predictions and expected values, both (N,)."""
    y, t = _numbers(outputs, "outputs"), _numbers(expected, "expected")
    if y.ndim <= 1:
        return y, t
    columns, t = expected_of(y.shape, t)
    return _greatest(y.reshape(-1, columns)), t


def expected_of(shape: tuple[int, ...], t: Array) -> tuple[int, Array]:
    """For outputs of `shape`: how many make one decision, and what it should be."""
    if shape[0] and t.size == shape[0]:
        return prod(shape[1:]), t
    if t.size == prod(shape) and (t.ndim == 1 or t.shape[0] == shape[0]):
        return shape[-1], _greatest(t.reshape(-1, shape[-1]))
    if t.size == prod(shape[:-1]):
        return shape[-1], t
    raise ShapeError(
        f"evaluate: expected {shape[0]} values, or targets of shape {shape}, "
        f"got {t.shape}. Give one expected value or class index a sample."
    )


def _greatest(y: Array) -> Array:
    """The value where there is one, else the index of the greatest.

    A row that is NaN throughout has no greatest: NaN.
    """
    if y.shape[-1] == 1:
        return y[..., 0]
    bad = np.isnan(y)
    if not bad.any():
        return y.argmax(axis=-1).astype(float)
    chosen = np.where(bad, -np.inf, y).argmax(axis=-1).astype(float)
    chosen[bad.all(axis=-1)] = np.nan
    return chosen


# Classifiers ---------------------------------------------------------------------


def accuracy(outputs: Array, expected: Array) -> float:
    """Share of right classes, 0 to 1. One output decides between 0 and 1 at 0.5."""
    predicted, wanted = _classes(outputs, expected)
    return float((predicted == wanted).sum()) / wanted.size


def confusion_matrix(
    outputs: Array, expected: Array, classes: int | None = None
) -> Array:
    """Counts (K, K): row the expected class, column the predicted one."""
    predicted, wanted = _classes(outputs, expected)
    least = int(max(predicted.max(), wanted.max())) + 1
    k = classes or max(least, np.shape(outputs)[-1] if np.ndim(outputs) > 1 else 2)
    if k < least:
        raise ConfigError(
            f"confusion_matrix: expected classes 0 to {k - 1}, got {least - 1}. "
            f"Set classes={least}."
        )
    return np.bincount(wanted * k + predicted, minlength=k * k).reshape(k, k)


def per_class(matrix: Array) -> list[dict[str, float]]:
    """For each class of a confusion matrix: support, precision, recall and f1.

    A ratio whose denominator is 0 is 0.
    """
    matrix = np.asarray(matrix)
    rows = []
    for k in range(len(matrix)):
        hits = int(matrix[k, k])
        support, predicted = int(matrix[k].sum()), int(matrix[:, k].sum())
        rows.append(
            {
                "class": k,
                "support": support,
                "precision": hits / predicted if predicted else 0.0,
                "recall": hits / support if support else 0.0,
                "f1": 2 * hits / (support + predicted) if support + predicted else 0.0,
            }
        )
    return rows


def _classes(outputs: Array, expected: Array) -> tuple[Array, Array]:
    predicted, wanted = decide(outputs, expected)
    if np.ndim(outputs) > 1 and np.shape(outputs)[-1] == 1:
        predicted = (predicted >= 0.5).astype(float)
    if predicted.size == 0 or predicted.size != wanted.size:
        raise ShapeError(
            f"evaluate: expected one class a prediction, at least one, got "
            f"{wanted.size} for {predicted.size}."
        )
    for name, values in (("predicted", predicted), ("expected", wanted)):
        if not (np.isfinite(values) & (values >= 0) & (values % 1 == 0)).all():
            raise InputError(f"evaluate: expected {name} classes as whole numbers.")
    return predicted.astype(np.intp), wanted.astype(np.intp)


def _numbers(values: Any, what: str) -> Array:
    try:
        return np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError):
        raise InputError(
            f"evaluate: expected {what} as numbers, got {type(values).__name__}."
        ) from None


def _json(path: str | os.PathLike, what: str) -> Any:
    try:
        return json.loads(read_bytes(path, what))
    except (ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{what} {str(path)!r} is no JSON: {error}.") from None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value)


def _bar(share: float) -> str:
    eighths = round(share * _BAR * 8)
    if share and not eighths:
        eighths = 1
    whole, rest = divmod(eighths, 8)
    return "█" * whole + " ▏▎▍▌▋▊▉"[rest].strip()
