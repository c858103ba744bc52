"""The examples in each language, and the programs of the original's documentation."""

import json
import os
import re
import sys

import pytest

from tests.cabi.conftest import EXAMPLES, PROGRAMS, ROOT, output, tool

XOR = "0 xor 0 = 0\n0 xor 1 = 1\n1 xor 0 = 1\n1 xor 1 = 0\n"


def learned(text: str) -> str:
    """The four lines, after a small loss; what follows them."""
    loss, rest = text.split("\n", 1)
    assert float(loss.removeprefix("loss ")) < 0.02
    assert rest.startswith(XOR)
    return rest.removeprefix(XOR)


def test_c(compile_program):
    assert learned(output([compile_program(EXAMPLES / "c" / "xor.c")])) == ""


def test_cpp(compile_program):
    rest = learned(output([compile_program(EXAMPLES / "cpp" / "xor.cpp")]))
    assert rest.startswith("parameters [33]\n")
    assert "unknown method 'NoSuchMethod'" in rest


def test_rust(folder, tmp_path):
    command = [tool("cargo"), "run", "--quiet", "--offline", "--locked"]
    command += ["--manifest-path", EXAMPLES / "rust" / "Cargo.toml"]
    command += ["--target-dir", tmp_path]
    env = os.environ | {"LOOM_DIR": str(folder), "RUSTFLAGS": "-Dwarnings"}
    assert learned(output(command, env=env, timeout=300)) == ""


def test_go(folder, tmp_path):
    env = os.environ | {
        "CGO_CFLAGS": f"-I{folder}",
        "CGO_LDFLAGS": f"-L{folder} -lloom -Wl,-rpath,{folder}",
        "GOCACHE": str(tmp_path),
        "GOFLAGS": "-mod=mod",
    }
    command = [tool("go"), "run", "."]
    assert learned(output(command, env=env, cwd=EXAMPLES / "go", timeout=300)) == ""


def test_ctypes(folder):
    program = EXAMPLES / "python" / "xor.py"
    assert learned(output([sys.executable, program, folder], cwd="/")) == ""


def test_the_originals_c_program(compile_program):
    """Its own declarations, no header of ours; a missing GPU ends it in good order."""
    text = output([compile_program(PROGRAMS / "original.c")])
    assert re.search(r'^made \{"handle":1,"type":"Network","input_size":784,', text)
    assert '"gpu_enabled":false' in text
    values, nanoseconds = json.loads(re.search(r"^output (.*)$", text, re.M)[1])
    assert len(values) == 10
    assert nanoseconds > 0
    assert re.search(r"^loaded 2$", text, re.M)
    assert text.rstrip().endswith("freed")


def test_the_originals_ctypes_program(folder):
    """It hands copies of replies to Loom_FreeCString, which must survive that."""
    text = output([sys.executable, PROGRAMS / "original.py", folder], cwd=ROOT)
    values, _ = json.loads(text.splitlines()[0])
    assert len(values) == 784
    assert text.rstrip().endswith("freed")


def test_the_benchmark_runs(folder):
    lines = output([folder / "simple_bench", folder / "libloom.so", "20"]).splitlines()
    times = {name: float(value) for name, value in map(str.split, lines)}
    assert {"first_network_ms", "forward_cpu_json", "forward_f32"} <= set(times)
    assert all(value > 0 for value in times.values())


@pytest.mark.parametrize("language", ["c", "cpp", "rust", "go", "python"])
def test_every_language_has_an_example(language):
    assert any((EXAMPLES / language).rglob("*.*"))
