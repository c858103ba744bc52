"""`loom convert`, `loom export` and `loom write`: a model in other forms and uses."""

from pathlib import Path
from typing import Annotated

import typer

from loom.errors import ConfigError
from loom.examples.text import write as continue_text
from loom.export import export_web
from loom.fabric import models, terminal
from loom.fabric.terminal import say
from loom.interchange import export_onnx, load_safetensors, save_safetensors
from loom.network import Network

WRITERS = {
    ".json": lambda net, path: net.save_model(path),
    ".safetensors": save_safetensors,
    ".onnx": export_onnx,
}


def convert(
    model: Annotated[Path, typer.Argument(help="A bundle, or a .safetensors file.")],
    out: Annotated[Path, typer.Argument(help="NAME.json, .safetensors or .onnx.")],
    model_id: Annotated[
        str | None, typer.Option("--id", help="Which model of the file.")
    ] = None,
) -> None:
    """Write a model in another format: JSON bundle, safetensors or ONNX."""
    if out.suffix not in WRITERS:
        raise ConfigError(
            f"convert: expected a file that ends in {', '.join(WRITERS)}, got "
            f"{out.name!r}."
        )
    WRITERS[out.suffix](_read(model, model_id), out)
    say(f"wrote {out} ({terminal.size(out.stat().st_size)})")


def web(
    model: Annotated[Path, typer.Argument(help="A bundle, or a .safetensors file.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    gpu: Annotated[bool, typer.Option(help="With the GPU program.")] = True,
    batch: Annotated[
        int,
        typer.Option(min=1, help="Samples at a time on the GPU; the CPU takes any."),
    ] = 1,
    model_id: Annotated[
        str | None, typer.Option("--id", help="Which model of the file.")
    ] = None,
) -> None:
    """Write a model as an ES module that predicts in any page, without Python."""
    for path in export_web(_read(model, model_id), out, gpu=gpu, batch=batch):
        say(f"wrote {path} ({terminal.size(path.stat().st_size)})")


def write(
    model: Annotated[Path, typer.Argument(help="A model of text: loom train alice.")],
    prompt: Annotated[str, typer.Argument(help="What it begins with.")] = "",
    count: Annotated[int, typer.Option(min=1, help="Characters to write.")] = 400,
    temperature: Annotated[
        float, typer.Option(help="Below 1 it dares less, above 1 more.")
    ] = 0.7,
    seed: Annotated[int, typer.Option(min=0, help="Decides every draw.")] = 0,
) -> None:
    """Let a network that was trained on text continue a prompt."""
    say(continue_text(models.load(model), prompt, count, temperature, seed))


def _read(path: Path, model_id: str | None) -> Network:
    if path.suffix == ".safetensors":
        return load_safetensors(path)
    if path.suffix == ".onnx":
        raise ConfigError(
            f"{path.name}: ONNX is written, not read. Give the .json or .safetensors "
            "file that it was made from."
        )
    return models.load(path, model_id)
