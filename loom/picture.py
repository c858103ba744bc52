"""Pictures of a network: a table as text, and its grid with histograms as SVG."""

from html import escape
from math import log10

import numpy as np

from loom.layers.base import batch_text
from loom.network import Network

BINS = 24
CELL, GAP, HEAD, ROW, BARS = 268, 28, 34, 92, 46  # pixels
INK, FAINT, LINE, PAPER, ACCENT = "#1d2430", "#66707f", "#cfd6df", "#ffffff", "#2f6fed"


def summary(net: Network) -> str:
    """Place, layer, output shape, parameters and share of each layer, as a table."""
    shapes, total = net.shapes(), net.parameter_count()
    rows = [("place", "layer", "output", "parameters", "share")]
    for index, layer in enumerate(net.layers):
        count = layer.parameter_count()
        out = batch_text(layer.output_shape(shapes[index]))
        share = f"{count / total:.1%}" if total else "-"
        place = " ".join(map(str, net.position(index)))
        rows.append((place, _title(layer), out, f"{count:,}", share))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if column > 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * max(map(len, lines))
    grid = f"{net.grid_rows} x {net.grid_cols} x {net.layers_per_cell}"
    foot = (
        f"{len(net.layers)} layers on a grid of {grid}, input "
        f"{batch_text(net.input_shape)}, {total:,} parameters "
        f"({total * 4 / 1e6:.2f} MB as float32)"
    )
    return "\n".join([lines[0], rule, *lines[1:], rule, foot])


def draw(net: Network) -> str:
    """An SVG of the grid: each cell's layers, their shapes and weight histograms."""
    shapes = net.shapes()
    heights = [_height(layer) for layer in net.layers]
    per_cell = net.layers_per_cell
    cell_heights = [
        sum(heights[i : i + per_cell]) + HEAD for i in range(0, len(heights), per_cell)
    ]
    row_heights = [
        max(cell_heights[row * net.grid_cols : (row + 1) * net.grid_cols])
        for row in range(net.grid_rows)
    ]
    width = net.grid_cols * (CELL + GAP) + GAP
    height = sum(row_heights) + (net.grid_rows + 1) * GAP + 28
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" '
        'font-family="ui-sans-serif, system-ui, sans-serif" font-size="13">',
        f"<title>{escape(repr(net))}</title>",
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
    ]
    for cell in range(net.grid_rows * net.grid_cols):
        row, col = divmod(cell, net.grid_cols)
        x = GAP + col * (CELL + GAP)
        y = GAP + sum(row_heights[:row]) + row * GAP
        first = cell * per_cell
        parts += _cell(net, shapes, x, y, cell_heights[cell], first, (row, col))
    parts.append(
        _text(GAP, height - GAP / 2, f"{net.parameter_count():,} parameters", FAINT)
    )
    parts.append("</svg>")
    return "\n".join(parts)


def _cell(net, shapes, x, y, height, first, place) -> list[str]:
    parts = [
        f'<rect x="{x}" y="{y}" width="{CELL}" height="{height}" rx="8" '
        f'fill="none" stroke="{LINE}"/>',
        _text(x + 14, y + 22, f"cell {place[0]}, {place[1]}", FAINT),
    ]
    top = y + HEAD
    for index in range(first, first + net.layers_per_cell):
        layer = net.layers[index]
        out = batch_text(layer.output_shape(shapes[index]))
        parts.append(f'<path d="M{x} {top}h{CELL}" stroke="{LINE}"/>')
        parts.append(_text(x + 14, top + 20, _title(layer), INK, bold=True))
        parts.append(_text(x + 14, top + 37, f"-> {out}", FAINT))
        values = _values(layer)
        if values.size:
            parts.append(_histogram(values, x + 14, top + 44))
        top += _height(layer)
    return parts


def _histogram(values: np.ndarray, x: float, y: float) -> str:
    """Bars of the values between their extremes, written under them."""
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    bins = np.minimum(((values - low) * (BINS / span)).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    step = (CELL - 28) / BINS
    tall = counts / counts.max() * (BARS - 18)
    bars = "".join(
        f"M{x + i * step:.1f} {y + BARS - 16:.1f}v{-h:.1f}h{step - 1:.1f}v{h:.1f}z"
        for i, h in enumerate(tall)
        if h
    )
    left = _text(x, y + BARS - 3, _short(low), FAINT, 10)
    right = _text(x + CELL - 28, y + BARS - 3, _short(high), FAINT, 10, "end")
    label = f"<title>{values.size:,} weights, {_short(low)} to {_short(high)}</title>"
    return f'<path d="{bars}" fill="{ACCENT}">{label}</path>{left}{right}'


def _text(x, y, text, fill, size=13, anchor="start", bold=False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x}" y="{y}" fill="{fill}" font-size="{size}" '
        f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
    )


def _title(layer) -> str:
    name = type(layer).__name__
    f = layer.config.get("activation")
    return f"{name} {f.name}" if f else name


def _values(layer) -> np.ndarray:
    arrays = [np.ravel(w) for w in layer.parameters.values()]
    return np.concatenate(arrays) if arrays else np.zeros(0)


def _height(layer) -> int:
    return ROW + 6 if layer.weight_shapes() else ROW - BARS


def _short(value: float) -> str:
    digits = 0 if value == 0 else max(0, 2 - int(log10(abs(value)) // 1))
    return f"{value:.{min(digits, 6)}f}"
