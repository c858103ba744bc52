"""Build libloom for this platform: cffi writes the glue, the C compiler does the rest.

    compiled/<platform>_<arch>/    libloom.so (.dylib, .dll), loom.h, simple_bench

The glue is cffi's `extern "Python"`. Its embedding_api() would also start Python, but
not as we need it: it takes the host's prefix, and guards the start by waiting for a
field of the type PyCapsule to be zero, which it never is again in a host that has
looked up an attribute of a capsule (import torch does). start.c starts it instead.
"""

import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path

import loom
from loom import assets
from loom.cabi import header
from loom.files import make_folder

SOURCES = ("start.c", "text.c", "numbers.c", "api.c")
MODULE = "_loom_cabi"

# What the two sides say to each other; internal.h has the comments.
_DECLARATIONS = """
typedef struct loom_value {
    char kind;
    int64_t whole;
    double real;
    const char *text;
} loom_value;

char *loom_text(const char *data, size_t size);
char *loom_error_reply(const char *message);
void loom_set_error(const char *message);
bool loom_finite(const float *values, size_t n);
long loom_numbers(const char *text, double *out, size_t capacity);

extern "Python+C" char *loom_python_text(const char *, const loom_value *, int);
extern "Python+C" int loom_python_free(int64_t);
extern "Python+C" int loom_python_pass(bool, int64_t, const float *, size_t, float *,
                                       size_t, size_t *);
extern "Python+C" int loom_python_train(int64_t, const float *, size_t, const float *,
                                        size_t, const char *, float *);
"""


class BuildError(RuntimeError):
    """The library cannot be built here; the text says what to do."""


def build(out: Path, flags: Iterable[str] = ()) -> Path:
    """Build into out/<platform>_<arch>/; that folder.

    `flags` go to the compiler and the linker (-fsanitize=address, ...). Raises
    BuildError when cffi, a C compiler or Python's shared library is missing.
    """
    if sys.implementation.name != "cpython":
        raise BuildError(f"{sys.implementation.name} cannot be embedded; use CPython.")
    try:
        import cffi
        import setuptools  # noqa: F401  (it puts distutils in its place)
    except ImportError as error:
        raise BuildError(f"{error}. Install the extra: loom-nn[cabi].") from None
    errors = import_module("distutils.errors")
    target = Path(out).absolute() / platform_name()
    make_folder(target)
    ffi = cffi.FFI()
    ffi.cdef(_DECLARATIONS)
    ffi.set_source(MODULE, '#include "internal.h"')
    with tempfile.TemporaryDirectory(prefix="loom-cabi-") as folder:
        work = Path(folder)
        with redirect_stdout(StringIO()):
            ffi.emit_c_code(str(work / "glue.c"))
        for name, text in {
            **assets.texts("native"),
            "loom.h": header.header(),
            "layers.c": header.layer_functions(),
            "built.h": header.built(sys.executable, *package_paths()),
        }.items():
            (work / name).write_text(text, encoding="utf-8")
        try:
            _compile(work, target, list(flags))
        except (errors.CCompilerError, errors.DistutilsError, OSError) as error:
            raise BuildError(
                f"the C compiler failed: {error}. Set CC to a C11 compiler, and "
                "install the headers of this Python (python3-dev on Debian)."
            ) from None
        shutil.copy(work / "loom.h", target)
    return target


def platform_name() -> str:
    """linux_x86_64, macos_arm64, windows_x86_64, ..."""
    systems = {"darwin": "macos", "win32": "windows"}
    machines = {"amd64": "x86_64", "aarch64": "arm64"}
    machine = platform.machine().lower()
    system = systems.get(sys.platform, sys.platform)
    return f"{system}_{machines.get(machine, machine)}"


def library_name() -> str:
    """libloom.so, libloom.dylib or libloom.dll."""
    return "libloom" + {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


def package_paths() -> tuple[str, list[str]]:
    """The package's __init__.py, and the folders of what it imports."""
    import _cffi_backend
    import numpy

    folders = [Path(numpy.__file__).parents[1], Path(_cffi_backend.__file__).parent]
    paths = list(dict.fromkeys(str(folder.absolute()) for folder in folders))
    return str(Path(loom.__file__).absolute()), paths


def _compile(work: Path, target: Path, flags: list[str]) -> None:
    compiler = import_module("distutils.ccompiler").new_compiler()
    import_module("distutils.sysconfig").customize_compiler(compiler)
    posix, linux = compiler.compiler_type == "unix", sys.platform == "linux"
    if posix:
        flags = [*flags, "-std=gnu11", "-fvisibility=hidden", "-pthread"]
    sources = [str(work / name) for name in SOURCES]
    sources += [str(work / "glue.c"), str(work / "layers.c")]
    objects = compiler.compile(
        sources,
        output_dir=str(work / "objects"),
        macros=[("LOOM_BUILDING", "1")],
        include_dirs=[str(work), *_python_includes()],
        extra_postargs=flags,
    )
    library, folder = _python_library()
    compiler.link_shared_object(
        objects,
        str(target / library_name()),
        libraries=[library, *(["dl"] if linux else [])],
        library_dirs=[folder],
        runtime_library_dirs=[folder] if posix else [],
        # Python cannot be unloaded, so neither may what it points into.
        extra_postargs=[*flags, *(["-Wl,-z,nodelete"] if linux else [])],
    )
    objects = compiler.compile(
        [str(work / "simple_bench.c")],
        output_dir=str(work / "objects"),
        extra_postargs=["-std=gnu11"] if posix else [],
    )
    compiler.link_executable(
        objects,
        str(target / "simple_bench"),
        libraries=["dl"] if linux else [],
    )


def _python_includes() -> list[str]:
    paths = sysconfig.get_paths()
    return list(dict.fromkeys([paths["include"], paths["platinclude"]]))


def _python_library() -> tuple[str, str]:
    """Name (for -l) and folder of the Python library that this interpreter has."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix)
    if sys.platform == "win32":
        return f"python{version.replace('.', '')}", str(base / "libs")
    name = f"python{version}{getattr(sys, 'abiflags', '')}"
    suffix = "dylib" if sys.platform == "darwin" else "so"
    variables = (sysconfig.get_config_var(v) for v in ("LIBDIR", "LIBPL"))
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [*filter(None, variables), str(base / "lib"), f"/usr/lib/{multiarch}"]
    for folder in folders:
        if os.path.exists(os.path.join(folder, f"lib{name}.{suffix}")):
            return name, folder
    raise BuildError(
        f"no lib{name}.{suffix} in {', '.join(folders)}: this Python has no shared "
        "library to embed. Install libpython3-dev (Debian), or build Python with "
        "--enable-shared."
    )
