"""What the build makes: the header, the functions, nothing else."""

import re
import subprocess
import sys

import pytest

import loom
from loom import introspection
from loom.cabi import header
from loom.cabi.__main__ import main
from tests.cabi.conftest import WARNINGS, output, tool

USE = "#include <loom.h>\nint main(void) { return LOOM_OK; }\n"


def test_the_folder_and_its_files(folder):
    assert re.fullmatch(r"(linux|macos|windows)_\w+", folder.name)
    names = {path.name for path in folder.iterdir()}
    assert {"loom.h", "simple_bench"} < names
    assert len([name for name in names if name.startswith("libloom.")]) == 1


@pytest.mark.parametrize(
    ("compiler", "name", "flags"),
    [
        ("cc", "use.c", ["-std=c11"]),
        ("cc", "use.c", ["-std=c99"]),
        ("c++", "use.cpp", ["-std=c++11"]),
        ("c++", "use.cpp", ["-std=c++20"]),
    ],
)
def test_the_header_compiles(folder, tmp_path, compiler, name, flags):
    (tmp_path / name).write_text(USE)
    command = [tool(compiler, needed=True), *flags, *WARNINGS, "-I", folder]
    output([*command, "-c", tmp_path / name, "-o", tmp_path / "use.o"])


def test_the_header_is_readable(folder):
    text = (folder / "loom.h").read_text()
    assert not re.search(r"@[A-Z]+@", text)
    assert max(map(len, text.splitlines())) <= 88
    declared = re.findall(r"^LOOM_API .*?\b(Loom_\w+)\(", text, re.M)
    assert len(declared) == len(set(declared)) == 17 + len(header.initialisers())
    # A comment stands before each function.
    for name in declared:
        before = text[: text.index(f"{name}(", text.index("#define LOOM_VERSION"))]
        assert before.rsplit("\n\n", 1)[-1].lstrip().startswith("/*"), name


def test_every_method_and_activation_is_in_the_header(folder):
    text = (folder / "loom.h").read_text()
    for row in loom.ACTIVATIONS:
        assert f"LOOM_{row.name.upper()} = {row.code}," in text
    flat = re.sub(r"\s+", " ", text)
    for name in introspection.methods():
        assert introspection.get_method_signature(name) in flat


def test_every_initialiser_is_a_function(api):
    names = [row["method_name"] for row in header.initialisers()]
    assert "InitDenseLayer" in names
    for name in names:
        assert hasattr(api.lib, f"Loom_{name}")


def test_only_looms_names_are_exported(folder):
    if sys.platform != "linux":
        pytest.skip("reads ELF symbols")
    command = [tool("nm", needed=True), "-D", "--defined-only", folder / "libloom.so"]
    names = {line.split()[-1] for line in output(command).splitlines()}
    assert {name for name in names if not name.startswith("Loom_")} <= {
        "PyInit__loom_cabi"
    }


def test_other_types_become_json():
    row = {
        "method_name": "InitOddLayer",
        "parameters": [
            {"name": "sizes", "type": "int[]"},
            {"name": "rate", "type": "float", "default": 0.5},
            {"name": "kept", "type": "bool", "default": True},
            {"name": "mode", "type": "string", "default": "same"},
            {"name": "heads", "type": "int", "default": None},
        ],
    }
    assert " ".join(header._prototype(row).split()) == (
        "char *Loom_InitOddLayer(const char *sizes_json, double rate, bool kept, "
        "const char *mode, const char *heads_json)"
    )


@pytest.mark.parametrize("text", ["plain", 'a"b\\c', "né\n\0??/"])
def test_c_strings(text, tmp_path):
    source, program = tmp_path / "text.c", tmp_path / "text"
    source.write_text(
        "#include <stdio.h>\n"
        f"static const char text[] = {header.c_string(text)};\n"
        "int main(void) { return fwrite(text, sizeof text - 1, 1, stdout) != 1; }\n"
    )
    output([tool("cc", needed=True), source, "-o", program])
    printed = subprocess.run([program], capture_output=True, check=True).stdout
    assert printed == text.encode()


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["build", "--out", str(tmp_path / "file")]) == 1
    assert "loom.cabi: cannot make the folder" in capsys.readouterr().err
