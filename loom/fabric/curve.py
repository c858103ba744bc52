"""Curves in the terminal, drawn with braille: two by four dots a character."""

from math import log10

import numpy as np
from rich.text import Text

COLORS = ("bright_blue", "yellow", "green", "magenta")
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_EMPTY = 0x2800
_GUTTER = 10  # characters of the labels at the left
_WIDE = 50  # a ratio of greatest to least from which the axis is logarithmic


def curves(series: dict[str, list[float]], total: int, width: int, height: int) -> Text:
    """One curve a series over the epochs 1 to `total`, with axes and a legend.

    The axis is logarithmic where the values are above 0 and far apart. Takes `height`
    lines and two more.
    """
    series = {name: values for name, values in series.items() if values}
    values = np.concatenate([np.asarray(row, float) for row in series.values()])
    low, high = float(values.min()), float(values.max())
    logarithmic = low > 0 and high > _WIDE * low
    if logarithmic:
        low, high = log10(low), log10(high)
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    across = max(10, width - _GUTTER)
    cells = np.zeros((height, across), int)
    owner = np.zeros((height, across), int)
    for number, row in enumerate(series.values()):
        y = np.log10(row) if logarithmic else np.asarray(row, float)
        drawn = _draw(y, total, (low, high), across, height)
        cells |= drawn
        owner[drawn > 0] = number
    text = Text()
    for line in range(height):
        value = high - (high - low) * line / (height - 1)
        shown = line in (0, height // 2, height - 1)
        label = f"{10**value if logarithmic else value:.3g}" if shown else ""
        text.append(f"{label:>{_GUTTER - 2}} {'┤' if shown else '│'}", style="dim")
        for cell, series_number in zip(cells[line], owner[line], strict=True):
            style = COLORS[series_number % len(COLORS)] if cell else None
            text.append(chr(_EMPTY + cell) if cell else " ", style=style)
        text.append("\n")
    text.append(f"{'':>{_GUTTER - 1}}└{'─' * across}\n", style="dim")
    text.append(f"{'':>{_GUTTER}}1", style="dim")
    for number, name in enumerate(series):
        text.append("  ── ", style=COLORS[number % len(COLORS)])
        text.append(name)
    end = f"epoch {total}"
    room = width - len(text.plain.rpartition("\n")[2]) - len(end)
    text.append(" " * max(2, room) + end, style="dim")
    return text


def _draw(y, total: int, limits: tuple[float, float], across: int, height: int):
    """Braille bits (height, across) of one curve."""
    low, high = limits
    share = (len(y) - 1) / max(1, total - 1)
    columns = max(1, round((across * 2 - 1) * share) + 1)
    places = np.interp(
        np.linspace(0, len(y) - 1, columns), np.arange(len(y)), np.asarray(y)
    )
    rows = np.rint((high - places) / (high - low) * (height * 4 - 1)).astype(int)
    dots = np.zeros((height * 4, across * 2), bool)
    before = rows[0]
    for column, row in enumerate(rows):
        # No gap between two columns: half of the way up or down belongs to each.
        start = before if abs(row - before) <= 1 else before + np.sign(row - before)
        dots[min(start, row) : max(start, row) + 1, column] = True
        before = row
    blocks = dots.reshape(height, 4, across, 2).transpose(0, 2, 1, 3)
    return (blocks * _DOTS).sum(axis=(2, 3))
