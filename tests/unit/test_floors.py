"""The floors of the house: a module imports from its own floor and those below it.

Imports inside functions are doors that open when they are asked for (Network.train
enters training): they may lead upwards, but never to a bridge.
"""

import ast
import sys
from pathlib import Path

import pytest

import loom

ROOT = Path(loom.__file__).parent
# The first floor whose name begins a module's decides; from the ground up.
FLOORS = (
    (
        "assets",
        "errors",
        "files",
        "kernels",
        "linalg",
        "random",
        "activations",
        "tensorfile",
        "gpu.program",
        "gpu.builder",
        "gpu.memory",
        "gpu.layout",
        "gpu.packed",
        "gpu.array",
        "gpu.calls",
        "gpu.expand",
        "gpu.shaders",
        "gpu.kernels",
        "gpu.executable",
        "gpu.run",
        "gpu.native",
        "gpu.store",
        "gpu.detector",
    ),
    ("layers", "initializers", "pods"),
    ("grid", "network", "asynchronous"),
    (
        "training",
        "evaluation",
        "serialization",
        "interchange",
        "export",
        "picture",
        "data",
        "gpu",
    ),
    ("examples", "api"),
    ("introspection", "wire"),
    ("browser", "cabi", "fabric", "page"),
)
BRIDGES = len(FLOORS) - 1
NO_LAYERS = (
    "gpu.executable",
    "gpu.run",
    "gpu.native",
    "gpu.program",
    "gpu.kernels",
    "gpu.builder",
)


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "examples" in parts and parts[0] == "cabi":
            continue
        name = ".".join(part for part in parts if part != "__init__")
        if name:
            found[name] = path
    return found


MODULES = modules()


def floor(name: str) -> int:
    best = max(
        (
            (len(prefix), number)
            for number, prefixes in enumerate(FLOORS)
            for prefix in prefixes
            if name == prefix or name.startswith(f"{prefix}.")
        ),
        default=None,
    )
    assert best, f"loom.{name} stands on no floor: name it in {Path(__file__).name}"
    return best[1]


def imported(tree: ast.AST) -> set[str]:
    """Modules of loom that the nodes import, without the package's name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                known = inner.removeprefix("loom.") in MODULES
                names.add(inner if known else node.module)
    return {name.removeprefix("loom.") for name in names if name.startswith("loom.")}


def parts(path: Path) -> tuple[set[str], set[str]]:
    """What a module imports when it is loaded, and what its functions import."""
    tree = ast.parse(path.read_text())
    inside = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    later = set().union(*(imported(node) for node in inside))
    for node in inside:
        node.body = [ast.Pass()]
    return imported(tree), later


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_from_its_floor_and_below(name):
    loaded, later = parts(MODULES[name])
    own = floor(name)
    up = {other for other in loaded if floor(other) > own}
    assert not up, f"loom.{name} is on floor {own}, but imports {sorted(up)}"
    if own < BRIDGES:
        bridges = {other for other in later if floor(other) == BRIDGES}
        assert not bridges, f"loom.{name} enters a bridge: {sorted(bridges)}"
    if name.startswith(NO_LAYERS):
        layers = {other for other in loaded | later if other.startswith("layers")}
        assert not layers, f"loom.{name} knows layers: {sorted(layers)}"


def test_the_core_needs_numpy_alone():
    """In a browser there is nothing else, but for the browser itself."""
    allowed = {"numpy", "loom", "js", "pyodide"}
    for name, path in MODULES.items():
        if floor(name) == BRIDGES or name.startswith(("interchange", "gpu")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            roots = []
            if isinstance(node, ast.Import):
                roots = [alias.name.partition(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                roots = [node.module.partition(".")[0]]
            foreign = set(roots) - allowed - sys.stdlib_module_names
            assert not foreign, f"loom.{name} imports {sorted(foreign)}"
