"""The library starts anywhere, and where it cannot, says why."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.cabi.conftest import PROGRAMS, ROOT, output, run

BUILD = """
import sys
from pathlib import Path
from loom.cabi import build
exec(sys.argv[2])
print(build.build(Path(sys.argv[1])))
"""
LOST = {
    "there is no Python at its place": "sys.executable = '/nowhere/bin/python3'",
    "No such file or directory: '/nowhere/loom/__init__.py'": (
        "build.package_paths = lambda: ('/nowhere/loom/__init__.py', [])"
    ),
}
# What a start imports: nothing but NumPy and what it needs.
IMPORTED = """
import ctypes, sys
loom = ctypes.CDLL(sys.argv[1])
loom.Loom_NewNetwork.restype = ctypes.c_char_p
print(loom.Loom_NewNetwork(4, 1, 1, 1, False).decode())
print(sorted({name.split('.')[0] for name in sys.modules}))
"""


@pytest.fixture(scope="module")
def start(compile_program):
    """A program that opens the library at a path, and calls every function."""
    return compile_program(PROGRAMS / "start.c")


def replies(text: str) -> dict:
    """Function -> reply, as programs/start.c prints them."""
    return dict(line.split(" ", 1) for line in text.splitlines())


def test_from_another_folder(start, folder, tmp_path):
    made = replies(output([start, folder / "libloom.so"], cwd=tmp_path))
    assert json.loads(made["Loom_NewNetwork"])["handle"] == 1


def test_without_an_environment(start, folder):
    made = replies(output([start, folder / "libloom.so"], cwd="/", env={}))
    assert json.loads(made["Loom_NewNetwork"])["handle"] == 1


def test_with_an_environment_for_another_python(start, folder, tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('the wrong NumPy')")
    env = {
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": str(tmp_path),
        "PYTHONSTARTUP": "/nowhere",
        "VIRTUAL_ENV": "/nowhere",
        "LC_ALL": "C",
        "LC_NUMERIC": "de_DE.UTF-8",
    }
    made = replies(output([start, folder / "libloom.so"], env=env))
    assert json.loads(made["Loom_NewNetwork"])["handle"] == 1


def test_relocated(start, folder, tmp_path):
    """A copy elsewhere, under another name, opened in a local scope."""
    copy = tmp_path / "née Loom.so"
    shutil.copy(folder / "libloom.so", copy)
    made = replies(output([start, copy], cwd="/", env={}))
    assert json.loads(made["Loom_NewNetwork"])["handle"] == 1


def test_closed_and_opened_again(compile_program, folder, tmp_path):
    """dlclose leaves it in place, and networks with it."""
    source = tmp_path / "reopen.c"
    source.write_text("""
        #include <dlfcn.h>
        #include <stdbool.h>
        #include <stdio.h>
        int main(int argc, char **argv) {
            for (int i = 0; i < 3 && argc > 1; i++) {
                void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
                char *(*make)(int, int, int, int, bool) = NULL;
                *(void **)&make = dlsym(library, "Loom_NewNetwork");
                printf("%.12s\\n", make(4, 1, 1, 1, false));
                dlclose(library);
            }
            return 0;
        }
    """)
    text = output([compile_program(source), folder / "libloom.so"])
    assert text == "".join(f'{{"handle":{i},\n' for i in (1, 2, 3))


def test_linked_and_closed_streams(compile_program, folder):
    """A service may run without standard streams."""
    program = compile_program(PROGRAMS / "original.c")
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec '{program}' <&- 2>&- | tail -1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "freed\n"


@pytest.mark.parametrize("reason", LOST)
def test_a_failed_start_is_every_functions_error(start, tmp_path, reason):
    """Its Python or its package is gone: the process lives and is told."""
    command = [sys.executable, "-c", BUILD, tmp_path, LOST[reason]]
    built = output(command, cwd=ROOT, timeout=300).strip()
    made = replies(output([start, f"{built}/libloom.so"]))
    assert len(made) == 17
    for name, reply in made.items():
        if reply.startswith("{"):
            text = json.loads(reply)["error"]
        elif name == "Loom_LastError":
            text = reply
        else:
            assert reply == "1", name
            continue
        assert "Loom could not start: " in text
        assert reason in text
        assert "run python -m loom.cabi build again" in text


def test_a_python_of_the_same_version_is_joined(folder):
    """Without Loom on its own path; and nothing heavy is imported."""
    command = [_base_python(), "-I", "-c", IMPORTED, folder / "libloom.so"]
    made, modules = output(command, cwd="/", env={}).splitlines()
    assert json.loads(made)["handle"] == 1
    heavy = {"wgpu", "torch", "onnx", "rich", "typer", "matplotlib", "setuptools"}
    assert not heavy & set(eval(modules))


def _base_python() -> str:
    name = "python.exe" if sys.platform == "win32" else "bin/python3"
    return os.path.join(sys.base_prefix, name)


def _others() -> list[str]:
    """Pythons of other versions, as far as they run."""
    found = []
    for minor in (10, 11, 12, 13, 14):
        if minor == sys.version_info.minor:
            continue
        path = shutil.which(f"python3.{minor}")
        if path and run([path, "-c", "import ctypes"]).returncode == 0:
            found.append(path)
    pyenv = os.path.expanduser("~/.pyenv/versions")
    for name in os.listdir(pyenv) if os.path.isdir(pyenv) else ():
        path = os.path.join(pyenv, name, "bin", "python3")
        here = f"3.{sys.version_info.minor}."
        if os.path.exists(path) and not name.startswith((here, "2.")):
            found.append(path)
    return found


def test_another_version_of_python_gets_an_error(folder):
    others = _others()
    if not others:
        pytest.skip("no second version of Python found")
    for python in others:
        command = [python, "-I", "-c", IMPORTED, folder / "libloom.so"]
        reply = json.loads(output(command, timeout=30).splitlines()[0])
        assert "one process cannot hold both" in reply["error"]
        assert f"Python 3.{sys.version_info.minor}" in reply["error"]


def test_a_thread_that_holds_the_interpreter_may_call_first(folder):
    """ctypes.PyDLL keeps the lock during a call; the start must not wait with it."""
    program = """
import ctypes, sys, threading
held, free = ctypes.PyDLL(sys.argv[1]), ctypes.CDLL(sys.argv[1])
threads = [
    threading.Thread(target=library.Loom_NewNetwork, args=(4, 1, 1, 1, False))
    for library in (held, free) * 4
]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
held.Loom_GetVersion.restype = ctypes.c_char_p
print(held.Loom_GetVersion().decode())
"""
    import loom

    command = [sys.executable, "-c", program, folder / "libloom.so"]
    assert output(command, timeout=60).strip() == loom.__version__


def test_a_host_that_has_looked_into_a_capsule(folder):
    """cffi's own start would wait for ever (see build.py)."""
    program = "import datetime; datetime.datetime_CAPI.__doc__\n" + IMPORTED
    command = [sys.executable, "-c", program, folder / "libloom.so"]
    assert '"handle":1' in output(command, timeout=60)


def test_two_copies_in_one_process(folder, tmp_path):
    """They share the handles; each has its own texts."""
    copy = shutil.copy(folder / "libloom.so", tmp_path)
    program = IMPORTED + f"sys.argv[1] = {copy!r}\n" + IMPORTED
    command = [sys.executable, "-c", program, folder / "libloom.so"]
    text = output(command, timeout=60)
    assert '"handle":1' in text
    assert '"handle":2' in text


def test_another_loom_in_the_host_is_named(folder, tmp_path):
    package = tmp_path / "loom"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '99.0'")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import loom\n"
    command = [sys.executable, "-I", "-c", program + IMPORTED, folder / "libloom.so"]
    reply = json.loads(output(command).splitlines()[0])
    assert f"the package in {package} is Loom 99.0" in reply["error"]


def test_build_says_what_is_missing(tmp_path):
    env = os.environ | {"CC": "no-such-compiler"}
    command = [sys.executable, "-m", "loom.cabi", "build", "--out", tmp_path]
    done = run(command, cwd=ROOT, env=env)
    assert done.returncode == 1
    assert "loom.cabi: the C compiler failed:" in done.stderr
    assert "Traceback" not in done.stderr
