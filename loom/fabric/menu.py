"""The menu: `loom` alone in a terminal."""

from rich.table import Table

from loom.fabric.demos import DEMOS, demo, play
from loom.fabric.terminal import console, plain, say

QUIT = ("q", "quit", "exit", "0")


def show() -> None:
    """The list of demos."""
    if plain():
        for row in DEMOS:
            say(f"{row.number:>4}  {row.name:<15}{row.title}")
        return
    table = Table(box=None, padding=(0, 2), show_header=False)
    for row in DEMOS:
        table.add_row(f"[bold]{row.number}[/]", row.title, f"[dim]{row.name}[/]")
    console.print(table)


def run() -> bool:
    """Ask for a number and play, until q; whether all that was played passed."""
    say("Loom", "bold")
    say("Each demo trains on something real and says what it verified.\n")
    show()
    good = True
    while True:
        try:
            answer = console.input("\nnumber, or q to quit: ").strip().lower()
        except (EOFError, KeyboardInterrupt):
            say()
            return good
        if answer in QUIT:
            return good
        if not answer:
            show()
            continue
        chosen = [row for row in DEMOS if answer in (str(row.number), row.name)]
        if not chosen:
            say(f"There is no {answer!r}. Choose one of the numbers above, or q.")
            continue
        say()
        good = play(demo(answer))["passed"] and good
