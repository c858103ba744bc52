"""`loom demo` and `loom bench`."""

from pathlib import Path
from typing import Annotated

import typer

from loom.errors import ConfigError
from loom.fabric import benchmark, demos, menu
from loom.fabric.cli import FAILED, STOPPED
from loom.fabric.terminal import say, say_json

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program.")]


def demo(
    which: Annotated[
        str | None,
        typer.Argument(help="A number or name; without one they are listed."),
    ] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="Play every one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Play a demo: it trains on something real and verifies itself."""
    if which is None and not all_of_them:
        if as_json:
            rows = [
                {"number": r.number, "name": r.name, "title": r.title}
                for r in demos.DEMOS
            ]
            say_json(rows)
        else:
            menu.show()
        return
    if which is not None and all_of_them:
        raise ConfigError(f"give {which!r} or --all, not both.")
    chosen = demos.DEMOS if all_of_them else [demos.demo(which)]
    results: list[dict] = []

    def play() -> bool:
        for row in chosen:
            results.append(demos.play(row, as_json))
        return all(row["passed"] for row in results)

    code = code_of(play)
    if as_json:
        say_json(results)
    elif len(results) > 1:
        failed = [str(row["demo"]) for row in results if not row["passed"]]
        verdict = f"not verified: {', '.join(failed)}" if failed else "all verified"
        say(f"{len(results)} demos, {verdict}", "bold")
    raise typer.Exit(code)


def code_of(play) -> int:
    """The exit code of demos."""
    try:
        return 0 if play() else FAILED
    except demos.Stopped:
        return STOPPED


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Smaller shapes and less time.")
    ] = False,
    only: Annotated[str | None, typer.Option(help="Lines whose name has this.")] = None,
    out: Annotated[
        Path, typer.Option(help="The folder for loom-bench.json and .svg.")
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Time every layer forward and backward, CPU beside GPU."""
    result = benchmark.run(quick, only, None if as_json else out, as_json)
    if as_json:
        say_json(result)
    if result["interrupted"]:
        raise typer.Exit(STOPPED)
    if any(row["problem"] and row["difference"] for row in result["rows"]):
        raise typer.Exit(FAILED)
