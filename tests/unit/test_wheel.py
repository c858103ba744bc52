"""The installed wheel, away from the checkout: shaders, data, kernels and command."""

import ast
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import loom
from loom import assets

ROOT = Path(__file__).parents[2]
LIMIT = 400_000  # bytes without the SIMD kernels

PROGRAM = """
import loom, loom.data, loom.examples
from loom.gpu import shaders
from pathlib import Path

print(Path(loom.__file__).parent)
print([len(loom.data.digits()[1]), len(loom.data.iris().inputs), len(loom.data.text())])
print(len(shaders.names()), all(map(shaders.source, shaders.names())))
net, task = loom.examples.example("digits").build(1)
settings = {"Epochs": 2, "BatchSize": 32, "LossType": "softmax_cross_entropy"}
print(net.train(task.training, settings).steps)
"""


def run(installed: Path, *words: str, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(installed), "LOOM_GPU": "none"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_is_small_and_for_every_platform(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as file:
        sizes = {row.filename: row.compress_size for row in file.infolist()}
        assert {row.compress_type for row in file.infolist()} == {zipfile.ZIP_DEFLATED}
        assert file.testzip() is None
    kernels = sum(n for name, n in sizes.items() if name.endswith(".wasm"))
    assert kernels > 70_000
    assert wheel.stat().st_size - kernels < LIMIT
    assert {name.partition("/")[0] for name in sizes} == {
        *("loom", f"loom_nn-{loom.__version__}.dist-info")
    }
    licences = {name.partition("licenses/")[2] for name in sizes}
    assert licences >= {"LICENSE", "loom/data/ATTRIBUTION.md"}


def test_the_same_sources_give_the_same_wheel_also_by_way_of_the_sdist(wheel, tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-d", tmp_path, "-t"]
    subprocess.run([*command, "sdist"], cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    subprocess.run([*command, "wheel"], cwd=folder, check=True, capture_output=True)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


MODULES = sorted((ROOT / "loom").rglob("*.py"))


class Bare(ast.NodeTransformer):
    """Lines alone, without docstrings and what stands for one that was all."""

    def generic_visit(self, node):
        super().generic_visit(node)
        node.end_lineno = node.end_col_offset = node.col_offset = None
        body = getattr(node, "body", None)
        if isinstance(body, list) and body:
            first = body[0]
            text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            if text or isinstance(first, ast.Pass):
                node.body = body[1:]
        return node


def bare(source: str) -> str:
    """A program's statements and their lines, as text."""
    return ast.dump(Bare().visit(ast.parse(source)), include_attributes=True)


def test_in_the_wheel_every_line_of_python_is_where_it_was(installed):
    names = [path.relative_to(ROOT) for path in MODULES]
    names = [name for name in names if name.parts[1:3] != ("cabi", "examples")]
    assert len(names) > 150
    for name in names:
        ours, theirs = (bare((root / name).read_text()) for root in (ROOT, installed))
        assert ours == theirs, f"{name} is another program in the wheel"


def test_in_the_wheel_every_line_of_a_text_is_where_it_was(installed):
    """Lines that are comments are empty (of shaders: gone), all others are what they
    were, but for indentation and what is behind them."""
    program = "import json; from loom import assets; print(json.dumps({kind: "
    program += "assets.texts(kind) for kind in assets.FOLDERS}))"
    theirs = json.loads(run(installed, "-c", program, folder=installed))
    comments = 0
    for kind in assets.FOLDERS:
        ours = assets.texts(kind)
        assert theirs[kind].keys() == ours.keys()
        for name, text in ours.items():
            if name.endswith(".wgsl"):
                lines = (re.sub(r"//(?!:).*", "", line) for line in text.split("\n"))
                kept = "\n".join(filter(None, map(str.strip, lines))) + "\n"
                assert theirs[kind][name] == kept, name
                continue
            if name.endswith(".py"):
                assert bare(theirs[kind][name]) == bare(text), name
                continue
            lines = text.split("\n"), theirs[kind][name].split("\n")
            block = False
            for own, other in zip(*lines, strict=True):
                block = block or own.lstrip().startswith("/*")
                if own != other and other:
                    rest = own.strip().removeprefix(other).strip()
                    assert own.strip() == other or re.fullmatch(r"// [^'\"`]*", rest)
                elif own != other and own.strip():
                    line = re.match(r"\s*//(?!:)", own)
                    assert block or line, f"{name}: {own}"
                    comments += 1
                block = block and "*/" not in own
            if name.endswith("js"):  # or a comment could be part of a text
                for literal in re.findall(r"`[^`]*`", text):
                    assert not re.search(r"^\s*(//|/\*)", literal, re.M), name
                    assert "\n" not in literal or literal in theirs[kind][name], name
    assert comments > 500


SHOWN = """
import inspect, json, loom
from loom import introspection, interchange, data, examples, export, pods
from loom.gpu import detector
shown = {}
for module in (loom, data, examples, export, interchange, pods, detector):
    for name, value in vars(module).items():
        whose = getattr(value, "__module__", module.__name__)
        ours = name in getattr(module, "__all__", ()) or whose == module.__name__
        if name.startswith("_") or not ours or not callable(value):
            continue
        shown[f"{module.__name__}.{name}"] = inspect.getdoc(value)
        for key in dir(value) if inspect.isclass(value) else ():
            method = getattr(value, key)
            if not key.startswith("_") and not inspect.isclass(method):
                shown[f"{name}.{key}"] = inspect.getdoc(method)
rows = introspection.get_methods(), introspection.get_functions()
print(json.dumps([shown, rows]))
"""


def test_help_shows_what_it_shows_in_the_checkout(installed, tmp_path):
    theirs = json.loads(run(installed, "-c", SHOWN, folder=tmp_path))
    ours = json.loads(run(ROOT, "-c", SHOWN, folder=tmp_path))
    assert len(ours[0]) > 500
    assert theirs == ours
    for name in ("train", "page", "convert", "gpu", "demo"):
        words = ["-m", "loom.fabric.cli", name, "--help"]
        theirs, ours = (
            run(root, *words, folder=tmp_path) for root in (installed, ROOT)
        )
        assert theirs == ours


def test_the_installed_command_trains_evaluates_and_plays(installed, tmp_path):
    loom = (installed / "bin" / "loom").read_text()
    assert "loom.fabric.cli" in loom
    words = [str(installed / "bin" / "loom")]
    text = run(installed, *words, "train", "digits", folder=tmp_path)
    assert "goal 96%: reached" in text
    assert "accuracy 98." in run(
        installed, *words, "evaluate", "digits.loom.json", folder=tmp_path
    )
    assert "all verified" in run(installed, *words, "demo", "15", folder=tmp_path)
    text = run(
        installed,
        *words,
        "export",
        "web",
        "digits.loom.json",
        "--out",
        "w",
        folder=tmp_path,
    )
    assert "webgpu.mjs" in text
    assert "navigator.gpu" in (tmp_path / "w" / "webgpu.mjs").read_text()
