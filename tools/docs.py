"""Build the API documentation from the docstrings: python -m tools.docs [FOLDER].

pdoc (extra `docs`) writes one page a module. A warning is an error, and so is a public
module, class or function without a docstring.
"""

import inspect
import pkgutil
import sys
import warnings
from importlib import import_module
from pathlib import Path
from unittest.mock import MagicMock

import pdoc

import loom

OUT = Path(__file__).parents[1] / "docs" / "api"
# What the browser's modules import; they are documented without it.
BROWSER = ("js", "pyodide", "pyodide.code", "pyodide.ffi")


def modules() -> list[str]:
    """Every public module of the package."""
    found = ["loom"]
    for row in pkgutil.walk_packages(loom.__path__, "loom."):
        parts = row.name.split(".")
        if not any(part.startswith("_") for part in parts):
            found.append(row.name)
    return found


def undocumented(names: list[str]) -> list[str]:
    """Public things without a docstring, by their full name."""
    found = []
    for name in names:
        module = import_module(name)
        if not module.__doc__:
            found.append(name)
        for key, value in vars(module).items():
            own = getattr(value, "__module__", None) == name
            named = inspect.isclass(value) or inspect.isfunction(value)
            if named and own and not key.startswith("_") and not value.__doc__:
                found.append(f"{name}.{key}")
    return found


def main(out: str | None = None) -> int:
    """Build; 1 where a docstring is missing."""
    warnings.simplefilter("error")
    # A package brings those of its modules that its __all__ does not hide.
    warnings.filterwarnings("ignore", "The module specification .* already been added")
    sys.modules |= {name: MagicMock() for name in BROWSER if name not in sys.modules}
    names = modules()
    if missing := undocumented(names):
        print("no docstring: " + ", ".join(missing), file=sys.stderr)
        return 1
    pdoc.render.configure(docformat="google", footer_text=f"Loom {loom.__version__}")
    folder = Path(out) if out else OUT
    pdoc.pdoc(*names, output_directory=folder)
    print(f"{len(names)} modules in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
