"""The SIMD kernels: loom/kernels/c -> _simd.wasm, _relaxed.wasm and standalone.wasm.

    python -m tools.wasm.kernels

The first two are Python extension modules, the last is for `loom export web`.

The compiled files are committed, so nobody else needs a compiler. Each carries the
SHA-256 of what it was made from in a section `loom.sources`; a build for which the two
differ compiles again if it can (Debian: apt-get install clang-19 lld-19) and fails if
not. The same compiler gives the same bytes.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from loom.fabric.vendor import digest
from tools.wasm.sources import ROOT, BuildError, run

KERNELS = ROOT / "loom" / "kernels"
SECTION = b"loom.sources"
CLANG, LINK = "clang-19", "wasm-ld-19"
COMPILE = (
    *("-std=c11", "-O3", "-msimd128"),
    *("-mbulk-memory", "-mnontrapping-fptoint", "-ffreestanding", "-fno-math-errno"),
    *("-fvisibility=hidden", "-nostdlib", "-Wall", "-Wextra", "-Werror"),
)
# Without import-dynamic an extension does not link: Python's symbols come at run time.
SHARE = (
    *("-shared", "--experimental-pic", "--no-entry", "--strip-all", "-O3"),
    "--unresolved-symbols=import-dynamic",
)
ALONE = ("--no-entry", "--strip-all", "-O3", "-z", "stack-size=65536")
EXTENSION = ("--target=wasm32-unknown-emscripten", "-fPIC")
# Name -> options of the compiler, and of the linker.
FLAVOURS = {
    "_simd": (EXTENSION, SHARE),
    "_relaxed": ((*EXTENSION, "-mrelaxed-simd"), SHARE),
    "standalone": (
        ("--target=wasm32-unknown-unknown", "-DLOOM_STANDALONE", "-Os"),
        ALONE,
    ),
}


def sources() -> list[Path]:
    """The C files and their headers."""
    return sorted((KERNELS / "c").glob("*.[ch]"))


def fingerprint(flavour: str) -> bytes:
    """SHA-256 of the sources and of how they are compiled, in hexadecimal."""
    compiling, linking = FLAVOURS[flavour]
    options = " ".join((*COMPILE, *compiling, *linking))
    text = [f"{path.name}\n{path.read_text()}" for path in sources()]
    return digest("\n".join((options, *text)).encode()).encode()


def built_from(path: Path) -> bytes | None:
    """What a compiled file says that it was made from."""
    data = path.read_bytes() if path.is_file() else b""
    _, found, rest = data.rpartition(SECTION)
    return rest if found else None


def missing_tools() -> list[str]:
    """The compilers that are not here."""
    return [name for name in (CLANG, LINK) if not shutil.which(name)]


def compile_kernels(folder: Path = KERNELS) -> list[Path]:
    """Compile every flavour into `folder`."""
    if missing := missing_tools():
        raise BuildError(
            f"the kernels need {' and '.join(missing)} to be compiled "
            "(Debian: apt-get install clang-19 lld-19)."
        )
    return [_compile(name, folder / f"{name}.wasm") for name in FLAVOURS]


def current() -> None:
    """Compile again what was not made from the sources that are here."""
    stale = [
        name
        for name in FLAVOURS
        if built_from(KERNELS / f"{name}.wasm") != fingerprint(name)
    ]
    if stale:
        print(f"Compiling the SIMD kernels: {', '.join(stale)} is of other sources.")
        compile_kernels()


def _compile(flavour: str, target: Path) -> Path:
    compiling, linking = FLAVOURS[flavour]
    with tempfile.TemporaryDirectory() as scratch:
        objects = []
        for path in sources():
            if path.suffix == ".c":
                objects.append(Path(scratch, path.stem + ".o"))
                options = (*COMPILE, *compiling, "-c", path.name)
                run(CLANG, *options, "-o", objects[-1], cwd=path.parent)
        linked = Path(scratch, "linked.wasm")
        run(LINK, *linking, *objects, "-o", linked)
        name = bytes([len(SECTION)]) + SECTION
        body = name + fingerprint(flavour)
        # A custom section: id 0, its length (below 128: one byte), its name, the hash.
        target.write_bytes(linked.read_bytes() + bytes([0, len(body)]) + body)
    return target


if __name__ == "__main__":
    try:
        for made in compile_kernels():
            print(f"{made.relative_to(ROOT)}: {made.stat().st_size:,} bytes")
    except BuildError as error:
        sys.exit(f"kernels: {error}")
