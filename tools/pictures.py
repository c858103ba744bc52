"""Make the README's pictures from the real thing: python -m tools.pictures [NAME].

    terminal    docs/terminal.svg: `loom train digits`, filmed in a terminal
    page        docs/page.png: the page in Chromium, trained

Needs the extras `docs` and `test`, and Chromium for the page.
"""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
from html import escape
from pathlib import Path
from time import monotonic

import pyte

from tools.wasm import chromium

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COLUMNS, ROWS = 92, 44
FRAMES = 14  # of the film, at most
HOLD = 5.0  # seconds that the last frame stays
SLOWER = 3.0  # the film's time over the real one: two seconds would be too short to see
CHARACTER, LINE_HEIGHT, MARGIN, BAR = 8.4, 18, 16, 34  # pixels
PAPER, INK, FAINT, FRAME = "#12161d", "#d7dde5", "#7d8794", "#232a35"
COLORS = {
    "default": INK,
    "black": "#3a4350",
    "red": "#ff7b72",
    "green": "#56d364",
    "brown": "#e3b341",
    "yellow": "#e3b341",
    "blue": "#6cb6ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
    "white": INK,
    "brightblack": FAINT,
    "brightblue": "#6cb6ff",
    "brightgreen": "#56d364",
    "brightmagenta": "#d2a8ff",
}

Frame = list[list[tuple[str, str, bool]]]  # rows of (text, colour, bold) runs


def terminal() -> Path:
    """Film `loom train digits`."""
    command = ["train", "digits", "--epochs", "60"]
    with tempfile.TemporaryDirectory() as folder:
        film = record(command, folder)
    path = DOCS / "terminal.svg"
    path.write_text(svg(film, "Loom"))
    return path


def record(words: list[str], folder: str) -> list[tuple[float, Frame]]:
    """Run `loom` in a terminal; (seconds, what it shows), each change of it."""
    command = [sys.executable, "-m", "loom.fabric.cli", *words]
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "LINES": str(ROWS),
        "OPENBLAS_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        command, stdin=child, stdout=child, stderr=child, cwd=folder, env=environment
    )
    os.close(child)
    stream.feed(f"$ loom {' '.join(words)}\r\n".encode())
    frames = [(0.0, snapshot(screen))]
    screen.dirty.clear()
    start = None
    while True:
        ready, _, _ = select.select([parent], [], [], 0.02)
        if not ready:
            if screen.dirty:
                now = monotonic()
                start = start or now - 0.5  # the prompt is seen for half a second
                frames.append((now - start, snapshot(screen)))
                screen.dirty.clear()
            continue
        try:
            data = os.read(parent, 65536)
        except OSError:
            break
        if not data:
            break
        stream.feed(data)
    os.close(parent)
    if process.wait():
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    frames.append((monotonic() - (start or 0), snapshot(screen)))
    return frames


def snapshot(screen: pyte.Screen) -> Frame:
    """The screen as runs of one colour."""
    frame: Frame = []
    for y in range(ROWS):
        runs: list[tuple[str, str, bool]] = []
        for x in range(COLUMNS):
            cell = screen.buffer[y][x]
            color = COLORS.get(cell.fg) or f"#{cell.fg}"
            if runs and runs[-1][1:] == (color, cell.bold):
                runs[-1] = (runs[-1][0] + cell.data, color, cell.bold)
            else:
                runs.append((cell.data, color, cell.bold))
        frame.append(runs)
    while frame and not "".join(run[0] for run in frame[-1]).strip():
        frame.pop()
    return frame


def svg(film: list[tuple[float, Frame]], title: str) -> str:
    """An animated SVG; without animation it shows the last frame."""
    step = max(1, len(film) / (FRAMES - 1))
    chosen = [film[int(i * step)] for i in range(min(FRAMES - 1, len(film) - 1))]
    chosen.append(film[-1])
    times = [second * SLOWER for second, _ in chosen]
    total = times[-1] + HOLD
    rows = max(len(frame) for _, frame in chosen)
    width = round(COLUMNS * CHARACTER + 2 * MARGIN)
    height = BAR + rows * LINE_HEIGHT + 2 * MARGIN
    style = [
        f".f{{visibility:hidden;animation-duration:{total:.1f}s;"
        "animation-iteration-count:infinite;animation-timing-function:step-end}"
    ]
    groups = []
    for number, (begin, (_, frame)) in enumerate(zip(times, chosen, strict=True)):
        last = number == len(chosen) - 1
        a = begin / total * 100
        b = 100 if last else times[number + 1] / total * 100
        frames = "" if a == 0 else "0%{visibility:hidden}"
        frames += f"{a:.2f}%{{visibility:visible}}"
        frames += "" if last else f"{b:.2f}%{{visibility:hidden}}"
        style.append(f"@keyframes k{number}{{{frames}}}")
        style.append(f".f{number}{{animation-name:k{number}}}")
        groups.append(f'<g class="f f{number}">{_lines(frame)}</g>')
    style.append(f".f{len(chosen) - 1}{{visibility:visible}}")
    style.append(
        "@media(prefers-reduced-motion:reduce){.f{animation:none}}"
        f"text{{white-space:pre;fill:{INK}}}.b{{font-weight:700}}"
    )
    dots = "".join(
        f'<circle cx="{20 + 18 * i}" cy="17" r="5.5" fill="{color}"/>'
        for i, color in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" font-size="14" '
        'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace">'
        f"<title>{escape(title)}</title><style>{''.join(style)}</style>"
        f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>'
        f'<path d="M0 {BAR}h{width}" stroke="{FRAME}"/>{dots}'
        f'<text x="{width / 2}" y="22" text-anchor="middle" style="fill:{FAINT}">'
        f"{escape(title)}</text>{''.join(groups)}</svg>\n"
    )


def _lines(frame: Frame) -> str:
    out = []
    for number, runs in enumerate(frame):
        y = BAR + MARGIN + number * LINE_HEIGHT + 12
        column = 0
        for text, color, bold in runs:
            shown = text.rstrip()
            if shown:
                x = MARGIN + column * CHARACTER
                length = len(shown) * CHARACTER
                style = f' style="fill:{color}"' if color != INK else ""
                kind = ' class="b"' if bold else ""
                out.append(
                    f'<text x="{x:.1f}" y="{y}" textLength="{length:.1f}"{kind}{style}>'
                    f"{escape(shown)}</text>"
                )
            column += len(text)
    return "".join(out)


# The page ------------------------------------------------------------------------


def page() -> Path:
    """Train in the built page, draw a seven, and take its picture."""
    from playwright.sync_api import expect, sync_playwright

    path = DOCS / "page.png"
    command = [sys.executable, "build_wasm.py", "--serve", "--port", "0"]
    with (
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as server,
        sync_playwright() as driver,
    ):
        try:
            address = next(
                word
                for line in server.stdout
                for word in line.split()
                if word.startswith("http://")
            )
            browser = driver.chromium.launch(
                executable_path=chromium.found(),
                args=["--no-sandbox"],
            )
            view = {"width": 1180, "height": 900}
            shown = browser.new_page(viewport=view, color_scheme="light")
            shown.goto(address)
            shown.wait_for_selector("html[data-ready]", timeout=120_000)
            shown.click("#start")
            expect(shown.locator("#status")).to_have_text("Trained", timeout=120_000)
            _draw_seven(shown)
            shown.evaluate("scrollTo(0, 0)")
            shown.wait_for_timeout(500)
            shown.screenshot(path=path)
            browser.close()
        finally:
            server.terminate()
    return path


def _draw_seven(shown) -> None:
    pad = shown.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    for number, (x, y) in enumerate([(0.3, 0.18), (0.7, 0.18), (0.46, 0.85)]):
        at = box["x"] + x * box["width"], box["y"] + y * box["height"]
        shown.mouse.move(*at, steps=8)
        if number == 0:
            shown.mouse.down()
    shown.mouse.up()


PICTURES = {"terminal": terminal, "page": page}


if __name__ == "__main__":
    DOCS.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PICTURES:
        made = PICTURES[name]()
        print(f"{made.relative_to(ROOT)}: {made.stat().st_size:,} bytes")
