"""Tables of one's own: a CSV's text as arrays, every problem named by line."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

import numpy as np

from loom.errors import ConfigError, FormatError, InputError, known

Array = np.ndarray
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-"))
MAX_CLASSES = 20  # whole numbers of more values than this are a regression's target
_MAX_PROBLEMS = 5
_DECIMAL = re.compile(r"^([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)$")


@dataclass(frozen=True)
class Table:
    """Samples of a table.

    Attributes:
        inputs: (N, C) float32.
        targets: (N,) class indices, or (N, 1) float32 for a regression.
        columns: names of the inputs.
        target: name of the target.
        classes: names of the classes; empty for a regression.
    """

    inputs: Array
    targets: Array
    columns: tuple[str, ...]
    target: str
    classes: tuple[str, ...]


def read_table(
    text: str,
    target: str | None = None,
    *,
    name: str = "table",
    header: bool | None = None,
    task: str | None = None,
    ignore: Iterable[str] = (),
) -> Table:
    """Inputs and targets of a CSV (commas, tabs, or semicolons and then 1,5 for 1.5).

    target: a column's name or its number from 1 (None: the last). header: whether
    the first line names the columns (None: when no cell of it is a number). task:
    "classification" or "regression" (None: classification when the target is text
    or at most 20 different whole numbers). ignore: columns to leave out.

    Raises FormatError for ragged rows and missing values, by line; InputError for a
    column of text; ConfigError for an unknown column.
    """
    if task not in (None, "classification", "regression"):
        raise ConfigError(known(task, ("classification", "regression"), "task"))
    names, lines, rows = _cells(text, name, header)
    at = _column(target if target is not None else names[-1], names, name)
    dropped = {_column(column, names, name) for column in ignore} | {at}
    kept = [i for i in range(len(names)) if i not in dropped]
    if not kept:
        raise InputError(f"{name}: no column is left beside the target {names[at]!r}.")
    _check_missing(name, names, lines, rows, [*kept, at])
    inputs = _numbers(name, names, lines, rows, kept)
    cells = [row[at] for row in rows]
    targets, classes = _targets(cells, names[at], name, task)
    return Table(
        inputs, targets, tuple(names[i] for i in kept), names[at], tuple(classes)
    )


def columns_of(text: str, *, name: str = "table", header=None) -> tuple[list, list]:
    """Names of a CSV's columns: those in which no cell is a number, and all.

    Raises as `read_table`.
    """
    names, _, rows = _cells(text, name, header)
    words = [
        column
        for i, column in enumerate(names)
        if not any(_is_number(row[i]) for row in rows)
    ]
    return words, names


def read_inputs(
    text: str, columns: Iterable[str], *, name: str = "table", header=None
) -> Array:
    """The named columns of a CSV, in their order; others are passed over.

    Without a header the file must have exactly these columns, in this order.
    Shapes: -> (N, C) float32. Raises as `read_table`.
    """
    columns = list(columns)
    names, lines, rows = _cells(text, name, header)
    if names == _numbered(len(names)) and names != columns:
        if len(names) != len(columns):
            raise FormatError(
                f"{name}: expected {len(columns)} columns ({', '.join(columns[:4])}"
                f"{', ...' if len(columns) > 4 else ''}), got {len(names)}."
            )
        chosen = list(range(len(columns)))
    else:
        chosen = [_column(column, names, name) for column in columns]
    _check_missing(name, names, lines, rows, chosen)
    return _numbers(name, names, lines, rows, chosen)


def _cells(text: str, name: str, header: bool | None):
    """Column names, and for each row its line number and its cells."""
    text = text.removeprefix("\ufeff")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    # Strict: a quote left open would swallow the lines after it.
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        skipinitialspace=True,
        strict=True,
    )
    lines, rows = [], []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                lines.append(reader.line_num)
                rows.append([cell.strip() for cell in row])
                if delimiter == ";":
                    rows[-1] = [_DECIMAL.sub(r"\1.\2", cell) for cell in rows[-1]]
    except csv.Error as error:
        raise FormatError(f"{name}: line {reader.line_num}: {error}.") from None
    if not rows:
        raise FormatError(f"{name}: the file is empty.")
    width = len(rows[0])
    ragged = [
        f"line {line}: expected {width} values as in line {lines[0]}, got {len(row)}"
        for line, row in zip(lines, rows, strict=True)
        if len(row) != width
    ]
    _refuse(name, ragged)
    if header is None:
        header = not any(_is_number(cell) for cell in rows[0])
    if not header:
        return _numbered(width), lines, rows
    names = rows[0]
    for column in names:
        if names.count(column) > 1:
            raise FormatError(f"{name}: two columns are named {column!r}.")
    if len(rows) < 2:
        raise FormatError(f"{name}: the file has a header and no rows.")
    return names, lines[1:], rows[1:]


def _numbered(width: int) -> list[str]:
    """Names of columns that the file does not name: their numbers from 1."""
    return [str(number) for number in range(1, width + 1)]


def _column(which: str, names: list[str], name: str) -> int:
    if which in names:
        return names.index(which)
    if which.isdigit() and 1 <= int(which) <= len(names):
        return int(which) - 1
    raise ConfigError(f"{name}: {known(which, names, 'column')}")


def _check_missing(name, names, lines, rows, columns) -> None:
    missing = [
        f"line {line}: {names[i]} is missing (got {row[i]!r})"
        for line, row in zip(lines, rows, strict=True)
        for i in columns
        if row[i].lower() in MISSING
    ]
    _refuse(name, missing, "Fill them in, or remove these lines.")


def _numbers(name, names, lines, rows, columns) -> Array:
    """Columns as float32; InputError when one holds text or is not finite."""
    out = np.empty((len(rows), len(columns)), np.float32)
    for place, i in enumerate(columns):
        for number, row in enumerate(rows):
            value = float(row[i]) if _is_number(row[i]) else None
            if value is None:
                raise InputError(
                    f"{name}: expected numbers in column {names[i]!r}, got "
                    f"{row[i]!r} in line {lines[number]}. Leave the column out, or "
                    "write it as numbers."
                )
            if not isfinite(value) or abs(value) > 3e38:
                raise InputError(
                    f"{name}: expected a finite number in column {names[i]!r}, got "
                    f"{row[i]} in line {lines[number]}."
                )
            out[number, place] = value
    return out


def _targets(cells: list[str], column: str, name: str, task: str | None):
    """Targets and class names; no names for a regression."""
    numeric = all(_is_number(cell) for cell in cells)
    values = [float(cell) for cell in cells] if numeric else []
    if task is None:
        few = len(set(values)) <= MAX_CLASSES and all(v.is_integer() for v in values)
        task = "regression" if numeric and not few else "classification"
    different = set(values) if numeric else set(cells)
    if len(different) < 2:
        raise InputError(
            f"{name}: expected different values in the target {column!r}, got "
            f"{cells[0]!r} in every row."
        )
    if task == "regression":
        if not numeric or not all(map(isfinite, values)):
            text = next(c for c in cells if not (_is_number(c) and isfinite(float(c))))
            raise InputError(
                f"{name}: expected finite numbers in the target {column!r} of a "
                f"regression, got {text!r}."
            )
        return np.array(values, np.float32)[:, None], []
    if len(different) > max(2, len(cells) // 2):
        raise InputError(
            f"{name}: the target {column!r} has {len(different)} classes in "
            f"{len(cells)} rows. Choose another column, or make it a regression."
        )
    order = sorted(different)
    index = {value: i for i, value in enumerate(order)}
    labels = np.array([index[v] for v in (values if numeric else cells)], np.int64)
    return labels, [f"{v:g}" if numeric else v for v in order]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _refuse(name: str, problems: list[str], advice: str = "") -> None:
    if problems:
        more = len(problems) - _MAX_PROBLEMS
        shown = "; ".join(problems[:_MAX_PROBLEMS]) + (
            f"; and {more} more" if more > 0 else ""
        )
        raise FormatError(f"{name}: {shown}. {advice}".rstrip())
