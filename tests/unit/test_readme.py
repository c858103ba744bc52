"""README.md: its programs print what it says, its tables are those of the code."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from loom.fabric.app import app
from tools import tables

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")
LANGUAGES = {"python", "text", "console", "sh", "javascript", "c"}
# Other processors round otherwise: figures may be off by so much, relative or absolute.
RELATIVE, ABSOLUTE = 0.03, 2.0


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall(README.read_text())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOM_GPU", "software")
    iris = Path(tables.__file__).parents[1] / "loom" / "data/texts/iris.csv"
    (tmp_path / "flowers.csv").write_text(iris.read_text())
    lines = iris.read_text().splitlines()
    names, rows = lines[0], [lines[1], lines[-1]]
    new = [line.rpartition(",")[0] for line in (names, *rows)]
    (tmp_path / "new.csv").write_text("\n".join(new) + "\n")
    return tmp_path


def assert_printed(expected: str, got: str, what: str) -> None:
    """The same lines but for figures a little apart; `...` stands for any lines."""
    wanted, lines = expected.rstrip().splitlines(), got.rstrip().splitlines()
    at, skipping = 0, False
    for line in wanted:
        if line == "...":
            skipping = True
            continue
        found = [i for i in range(at, len(lines)) if alike(line, lines[i])]
        assert at in found if not skipping else found, (
            f"{what}: expected the line {line!r}, got "
            f"{lines[at] if at < len(lines) else 'the end'!r} in\n{got}"
        )
        at, skipping = found[0] + 1, False
    assert skipping or at == len(lines), f"{what}: more than expected:\n{got}"


def alike(one: str, two: str) -> bool:
    bars = re.compile(r"[█▏▎▍▌▋▊▉]+")
    texts = [NUMBER.sub("#", bars.sub("", line)).split() for line in (one, two)]
    if texts[0] != texts[1]:
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(two), strict=True)
    figures = [[float(n.replace(",", "")) for n in pair] for pair in pairs]
    return all(abs(a - b) <= max(ABSOLUTE, RELATIVE * abs(a)) for a, b in figures)


def test_the_programs_print_what_it_says(folder):
    names: dict = {}
    pending, ran, before = None, 0, ""
    for language, text in blocks():
        if language == "text" and before == "javascript":
            continue  # tests/web/test_readme.py runs it
        before = language
        if language == "text":
            assert pending is not None, f"no program prints\n{text}"
            assert_printed(text, pending, "README")
            pending = None
            continue
        assert not pending, f"README does not show what is printed:\n{pending}"
        if language == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output), np.errstate(under="ignore"):
                exec(compile(text, "README.md", "exec"), names)
            pending, ran = output.getvalue(), ran + 1
    assert not pending
    assert ran >= 6


def test_the_commands_print_what_it_says(folder):
    ran = 0
    for language, text in blocks():
        if language != "console":
            continue
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            line, _, expected = part.partition("\n")
            program, *words = shlex.split(line)
            assert program == "loom", f"only loom is run here, not {program}"
            result = CliRunner().invoke(app, words)
            assert result.exit_code == 0, f"{line}: {result.output} {result.exception}"
            assert_printed(expected, result.output, line)
            ran += 1
    assert ran >= 6


def test_the_c_is_that_of_the_example():
    example = README.parent / "loom" / "cabi" / "examples" / "c" / "xor.c"
    found = [text for language, text in blocks() if language == "c"]
    assert found
    for text in found:
        assert text in example.read_text()


def test_the_packages_page_shows_the_same_program():
    page = (README.parent / "docs" / "package.md").read_text()
    shown = [row for row in BLOCK.findall(page) if row[0] != "sh"]
    assert shown == blocks()[1:3]


def test_every_block_is_of_a_language_that_a_test_runs():
    assert {language for language, _ in blocks()} <= LANGUAGES


def test_the_tables_are_those_of_the_code():
    text = README.read_text()
    assert tables.fill(text) == text, "README.md: run python -m tools.tables"


def test_the_first_screen_has_one_sentence_two_commands_and_a_program():
    head = README.read_text().split("\n\n")
    assert head[0] == "# Loom"
    assert head[1].count(". ") == 0
    assert head[2].startswith("```sh\nmake demo")
    assert "loom train digits" in head[2]
    assert [language for language, _ in blocks()][:3] == ["sh", "python", "text"]


def test_every_path_it_names_exists():
    root = README.parent
    pattern = r"`((?:loom|tests|tools|web|bench)/[\w./]*)`"
    named = set(re.findall(pattern, README.read_text())) - {"web/dist"}  # is built
    missing = [path for path in named if not (root / path).exists()]
    assert not missing
