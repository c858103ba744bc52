"""A bar chart as SVG, on a logarithmic axis."""

from html import escape
from math import ceil, floor, log10

COLORS = ("#66707f", "#2f6fed")
INK, FAINT, LINE, PAPER = "#1d2430", "#66707f", "#cfd6df", "#ffffff"
LEFT, WIDTH, RIGHT, TOP, BAR, GAP = 310, 520, 90, 74, 14, 12  # pixels


def bars(title: str, names: list[str], series: dict[str, list[float | None]]) -> str:
    """Horizontal bars: one group a name, one bar a series; None leaves a bar out."""
    values = [v for row in series.values() for v in row if v]
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    high = max(high, low + 1)
    group = BAR * len(series) + GAP
    height = TOP + group * len(names) + 34
    total = LEFT + WIDTH + RIGHT

    def place(value: float) -> float:
        return (log10(value) - low) / (high - low) * WIDTH

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" '
        f'width="{total}" height="{height}" role="img" '
        'font-family="ui-sans-serif, system-ui, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{total}" height="{height}" fill="{PAPER}"/>',
        _text(20, 28, title, INK, size=16),
    ]
    at = 20.0
    for color, label in zip(COLORS, series, strict=False):
        parts.append(
            f'<rect x="{at:.0f}" y="42" width="12" height="12" fill="{color}"/>'
        )
        parts.append(_text(at + 18, 53, label, FAINT))
        at += 40 + 7 * len(label)
    for power in range(low, high + 1):
        x = LEFT + place(10.0**power)
        parts.append(
            f'<path d="M{x:.1f} {TOP}V{height - 28}" stroke="{LINE}" fill="none"/>'
        )
        parts.append(_text(x, height - 12, f"{10.0**power:g}", FAINT, anchor="middle"))
    for row, name in enumerate(names):
        y = TOP + row * group + GAP / 2
        middle = y + BAR * len(series) / 2 + 5
        parts.append(_text(LEFT - 12, middle, name, INK, anchor="end"))
        for number, (color, figures) in enumerate(
            zip(COLORS, series.values(), strict=False)
        ):
            value = figures[row]
            if not value:
                continue
            top, width = y + number * BAR, max(1.0, place(value))
            parts.append(
                f'<rect x="{LEFT}" y="{top:.1f}" width="{width:.1f}" '
                f'height="{BAR - 2}" rx="2" fill="{color}"/>'
            )
            label = f"{value:.3g}"
            parts.append(_text(LEFT + width + 6, top + 11, label, FAINT, size=11))
    return "\n".join([*parts, "</svg>"])


def _text(x, y, text, fill, size=13, anchor="start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" font-size="{size}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
