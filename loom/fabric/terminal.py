"""What all commands print with: a console, bars, an image."""

import json
from typing import Any

import numpy as np
from rich.console import Console

console = Console(highlight=False)
_SHADES = " ░▒▓█"
_BAR = 24  # characters of a bar of 100%


def plain() -> bool:
    """Whether the output goes to a file or a pipe."""
    return not console.is_terminal


def say(text: str = "", style: str | None = None) -> None:
    """A line of output; the style shows in a terminal only. Never wrapped in pipes."""
    console.print(text, style=style, markup=False, soft_wrap=True)


def say_json(value: Any) -> None:
    """A value for a program to read."""
    print(json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False))


def bar(share: float) -> str:
    """A share from 0 to 1 as a bar of text."""
    return "█" * round(share * _BAR) or ("▏" if share > 0 else "")


def picture(values: np.ndarray) -> str:
    """An image (H, W) in 0..1 as text, two characters a pixel."""
    top = len(_SHADES) - 1
    rows = np.clip(np.rint(np.asarray(values) * top), 0, top).astype(int)
    return "\n".join("".join(_SHADES[v] * 2 for v in row).rstrip() for row in rows)


def first_sentence(error: Exception) -> str:
    """What went wrong, without the advice."""
    return str(error).partition(". ")[0].rstrip(".")


def duration(seconds: float) -> str:
    """Seconds in a unit that fits: 23.6 us, 5.61 ms, 1.20 s."""
    for unit, scale in (("us", 1e6), ("ms", 1e3)):
        if seconds * scale < 999.5:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def size(count: int) -> str:
    """Bytes in a unit that fits: 980 B, 201 kB, 1.2 MB."""
    if count < 1000:
        return f"{count} B"
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.1f} MB"
