"""Curves in the terminal, by plotext."""

import numpy as np
from rich.text import Text

COLORS = "bright_blue", "bright_green"  # plotext's first two
_WIDE = 50  # a ratio of greatest to least from which the axis is logarithmic


def curves(series: dict[str, list[float]], total: int, width: int, height: int) -> Text:
    """One or two curves over the epochs 1 to `total`, with axes and a legend.

    The axis is logarithmic where the values are above 0 and far apart. Where a value is
    not finite there is no point.
    """
    import plotext  # a third of a second: only for who sees the curve

    total = max(2, total)
    rows = {name: np.asarray(row, float) for name, row in series.items()}
    values = np.concatenate(list(rows.values()))
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
    logarithmic = low > 0 and high > _WIDE * low
    if logarithmic:
        low, high = np.log10((low, high))
    figure = plotext.figure
    plotext.terminal.limit(False, False)  # `width` and `height` alone decide
    figure.clear().theme("simple").plot_size(width, height - 1)
    for row in rows.values():
        # plotext ends the process at a NaN.
        (there,) = np.isfinite(row).nonzero()
        y = np.log10(row[there]) if logarithmic else row[there]
        signal = figure.signal((there + 1).tolist(), y.tolist(), marker="braille")
        figure.draw(signal.lines())
    ticks = np.linspace(1, total, 6).astype(int)
    figure.ruler("x").lim(1, total).ticks(np.unique(ticks).tolist())
    ticks = np.unique(np.linspace(low, high, 4))
    labels = [f"{10**tick if logarithmic else tick:.3g}" for tick in ticks]
    figure.ruler("y").ticks(ticks.tolist(), labels)
    if high == low:
        figure.ruler("y").lim(low - 0.5, high + 0.5)
    figure.legend(False)  # it would lie on the curves
    text = Text.from_ansi(figure.build().string().rstrip("\n"))
    text.append("\nepoch", style="dim")
    for name, color in zip(rows, COLORS, strict=False):
        text.append("   ── ", style=color).append(name)
    return text
