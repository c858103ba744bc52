"""What hatchling makes of the sources for the wheel, so that it stays small.

    loom/**/*.py    indented by one space, without comments, and without the docstrings
                    that help() shows to nobody: those of private names, of modules
                    whose package shows what is in them, and of all INTERNAL lists
    loom/assets/*   the shaders, the page and the C sources as one file a kind, without
                    the lines that are comments, and without indentation
    *.whl           deflated once more, by libdeflate at its best, which is 2% smaller

Every line but those of shaders keeps its number, so a traceback or a compiler's message
of an installed Loom points into the repository. An editable install takes the sources
as they are.
"""

import ast
import bz2
import json
import re
import runpy
import shutil
import struct
import tempfile
import tokenize
import zipfile
from io import StringIO
from pathlib import Path

from deflate import deflate_compress
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# No name in them is for who uses Loom, but for KEPT: what the reflection reads, and
# what the command shows as its help.
INTERNAL = (
    *("loom/assets/", "loom/browser.py", "loom/cabi/", "loom/fabric/", "loom/files.py"),
    *("loom/gpu/", "loom/introspection.py", "loom/kernels/", "loom/linalg.py"),
    *("loom/page/", "loom/picture.py", "loom/random.py", "loom/tensorfile.py"),
    *("loom/export/steps.py", "loom/interchange/onnx/graph.py"),
    *("loom/interchange/onnx/layers.py", "loom/training/checkpoints.py"),
    *("loom/training/batches.py", "loom/training/optimizers.py", "loom/wire.py"),
)
KEPT = (
    *("loom/cabi/__main__.py", "loom/fabric/app.py", "loom/fabric/files.py"),
    *("loom/fabric/gpus.py", "loom/fabric/playing.py", "loom/fabric/page.py"),
    *("loom/gpu/calls.py", "loom/gpu/detector.py"),
)
# A line's end is taken for a comment where it can be no part of a text.
_LINES = re.compile(r"^[ \t]*//(?!:).*$|[ \t]+// [^'\"`\n]*$", re.MULTILINE)
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
# It has no strings; its lines are not those of a compiler's messages (shaders.raw).
_WGSL = re.compile(r"^[ \t]*(?://(?!:).*)?\n|^[ \t]+|[ \t]*//(?!:).*$", re.MULTILINE)
_BLOCKS = re.compile(r"^[ \t]*/\*.*?\*/[ \t]*$", re.MULTILINE | re.DOTALL)
# Others have none, or theirs are for who reads the file: loom.h's.
_COMMENTED = (".c", ".css", ".h", ".js", ".mjs", ".wgsl")


class WheelHook(BuildHookInterface):
    """Stages the smaller files, and lets hatchling take them for the sources."""

    def initialize(self, version, build_data):
        """Before a build: nothing for an editable install."""
        if version == "editable":
            return
        root = Path(self.root)
        self.stage = Path(tempfile.mkdtemp(prefix="loom-wheel-"))
        assets = runpy.run_path(str(root / "loom/assets/__init__.py"))
        files = {}
        for kind, folder in assets["FOLDERS"].items():
            found = assets["found"](root / folder)
            rows = {name: without_comments(name, found[name]) for name in found}
            text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
            files[f"loom/assets/{kind}.json.bz2"] = bz2.compress(text.encode())
        for path in sorted((root / "loom").rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if not name.startswith("loom/cabi/examples/"):
                files[name] = smaller(name, path.read_text("utf-8")).encode()
        for number, (name, data) in enumerate(files.items()):
            staged = self.stage / str(number)
            staged.write_bytes(data)
            build_data["force_include"][str(staged)] = name

    def finalize(self, version, build_data, artifact_path):
        """After a build."""
        if version != "editable":
            shutil.rmtree(self.stage)
            deflate(Path(artifact_path))


def deflate(path: Path) -> None:
    """Write a zip file anew, every member deflated as well as can be."""
    out, directory = bytearray(), bytearray()
    with zipfile.ZipFile(path) as archive:
        rows = [(info, archive.read(info)) for info in archive.infolist()]
    for info, data in rows:
        packed = deflate_compress(data, 12)
        info.compress_size = len(packed)
        header = info.FileHeader(zip64=False)
        # The directory repeats a header, but for its first four bytes, behind the
        # system (3: Unix modes), with no comment on the first disk, and the place.
        directory += b"PK\1\2" + bytes([info.create_version, 3]) + header[4:30]
        directory += struct.pack("<3H2L", 0, 0, 0, info.external_attr, len(out))
        directory += header[30:]
        out += header + packed
    sizes = len(rows), len(rows), len(directory), len(out)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *sizes, 0)
    path.write_bytes(out + directory + end)


def without_comments(name: str, text: str) -> str:
    """A text of loom.assets with empty lines where there are comments alone (WGSL:
    without them), and without what else nobody reads there.

    `//: ...` is an instruction of loom.gpu.expand, no comment.
    """
    if name.endswith(".html"):
        return _INDENT.sub("", text)
    if name.endswith(".py"):  # part of the page's runtime
        return smaller(f"loom/page/{name}", text)
    if not name.endswith(_COMMENTED):
        return text
    if name.endswith(".wgsl"):
        return _WGSL.sub("", text)
    text = _BLOCKS.sub(lambda match: "\n" * match[0].count("\n"), text)
    if name.endswith((".c", ".h", ".js", ".mjs")):
        text = _LINES.sub("", text)
        if any(line.count("`") % 2 for line in text.splitlines()):
            return text  # a text of several lines, whose spaces count
    return _INDENT.sub("", text)


def smaller(name: str, source: str) -> str:
    """A Python file without its comments, and the docstrings that nobody is shown."""
    lines = source.splitlines(keepends=True)
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip() + "\n"
    internal = name.startswith(INTERNAL) and name not in KEPT
    shown = name.count("/") < 2 or name.endswith("/__init__.py") or name in KEPT
    tree = ast.parse(source)
    nodes = list(hidden(tree, internal))
    if not shown and tree not in nodes and ast.get_docstring(tree):
        nodes.append(tree)
    for node in nodes:
        doc = node.body[0]
        indent = lines[doc.lineno - 1][: doc.col_offset]
        lines[doc.lineno - 1 : doc.end_lineno] = ["\n"] * len(
            lines[doc.lineno - 1 : doc.end_lineno]
        )
        if len(node.body) == 1:
            lines[doc.lineno - 1] = f"{indent}pass\n"
    return "".join(indented(lines))


def indented(lines: list[str]) -> list[str]:
    """The lines with one space for four, but for those inside of texts."""
    texts = set()
    for node in ast.walk(ast.parse("".join(lines))):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            texts |= set(range(node.lineno, node.end_lineno))
    return [
        line if number in texts else re.sub("^(    )+", _spaces, line)
        for number, line in enumerate(lines)
    ]


def _spaces(match: re.Match) -> str:
    return " " * (len(match[0]) // 4)


def hidden(node: ast.AST, private: bool):
    """Every node with a docstring that is private, or inside of something private."""
    definitions = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    named = isinstance(node, definitions)
    private = private or (named and re.match(r"_(?!_)", node.name) is not None)
    if private and (named or isinstance(node, ast.Module)) and ast.get_docstring(node):
        yield node
    inside = private or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for child in ast.iter_child_nodes(node):
        yield from hidden(child, inside)
