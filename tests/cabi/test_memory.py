"""Memory: AddressSanitizer, valgrind, and a process that does not grow."""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.cabi.conftest import PROGRAMS, ROOT, output, run, tool

SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"]
# CPython leaves its objects at the end; replies are counted by the soak test.
ASAN = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0"}
BUILD = """
import sys
from pathlib import Path
from loom.cabi.build import build
print(build(Path(sys.argv[1]), sys.argv[2:]))
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's tools")


@pytest.fixture(scope="module")
def sanitized(folder, tmp_path_factory) -> Path:
    """The library with AddressSanitizer and UndefinedBehaviorSanitizer inside."""
    out = tmp_path_factory.mktemp("sanitized")
    command = [sys.executable, "-c", BUILD, out, *SANITIZE]
    return Path(output(command, cwd=ROOT, timeout=300).strip())


@linux
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("exercise", ["3"]), ("threads", []), ("fuzz", ["11", "1500"])],
)
def test_sanitizers_find_nothing(compile_program, sanitized, name, arguments):
    program = compile_program(PROGRAMS / f"{name}.c", SANITIZE, sanitized)
    done = run([program, *arguments], env=os.environ | ASAN, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    assert "runtime error" not in done.stderr


@linux
def test_the_sanitizer_would_find_it(compile_program, sanitized, tmp_path):
    """A buffer smaller than its capacity says: the library's writes are watched."""
    source = tmp_path / "overflow.c"
    source.write_text("""
        #include <loom.h>
        #include <stdlib.h>
        int main(void) {
            float x[2] = {1, 2}, *y = malloc(sizeof *y);
            Loom_FreeCString(Loom_NewNetwork(2, 1, 1, 1, false));
            int status = Loom_ForwardF32(1, x, 2, y, 2, NULL);
            free(y);
            return status;
        }
    """)
    program = compile_program(source, SANITIZE, sanitized)
    done = run([program], env=os.environ | ASAN)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr


@linux
def test_valgrind_finds_nothing(compile_program):
    valgrind = tool("valgrind", needed=True)
    program = compile_program(PROGRAMS / "exercise.c", ["-g"])
    command = [valgrind, "--leak-check=full", "--show-leak-kinds=all"]
    command += [f"--suppressions={Path(__file__).with_name('valgrind.supp')}"]
    command += ["--errors-for-leak-kinds=definite,indirect,possible"]
    command += ["--error-exitcode=9", "--num-callers=20", program]
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = run(command, env=env, timeout=500)
    assert done.returncode == 0, _errors(done.stderr)
    # Nothing that we allocated is left but the table of replies, once.
    ours = re.findall(
        r"(?:malloc|calloc|realloc).*\n.* by 0x\w+: (\w+) \((?:text|api|"
        r"start|numbers|glue|layers)\.c",
        done.stderr,
    )
    assert ours in ([], ["grow"])


def _errors(log: str) -> str:
    """The records that count, without those of what is still reachable."""
    records = re.split(r"\n==\d+== \n", log)
    return "\n\n".join(r for r in records if "still reachable" not in r)[-6000:]


@linux
def test_a_hundred_thousand_calls_do_not_grow_the_process(compile_program):
    program = compile_program(PROGRAMS / "soak.c", ["-O1"])
    grown = int(output([program], timeout=500))
    assert grown < 512, f"the process grew by {grown} KiB"
