"""The commands of `loom`: their options, and what they print."""

import csv
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import loom
from loom import examples, picture
from loom.data.tasks import SYMBOLS
from loom.errors import ConfigError, InputError
from loom.fabric import (
    files,
    gpus,
    menu,
    models,
    page,
    playing,
    terminal,
    training,
)
from loom.fabric.cli import STOPPED
from loom.fabric.playing import AsJson
from loom.fabric.terminal import say, say_json
from loom.files import write_atomic
from loom.serialization import load_bundle

app = typer.Typer(
    help="Neural networks that run the same in a browser page, on any GPU and in C.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[Path, typer.Argument(help="A model file, as `loom train` saves it.")]
ModelId = Annotated[str | None, typer.Option("--id", help="Which model of the file.")]
Csv = Annotated[
    str | None, typer.Option("--csv", help="A table: FILE, or - for standard input.")
]
Target = Annotated[
    str | None, typer.Option(help="The CSV's column to predict (default: the last).")
]


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print it.")] = False,
) -> None:
    """Neural networks that run the same in a browser page, on any GPU and in C."""
    if version:
        say(f"loom {loom.__version__}")
    elif context.invoked_subcommand is None:
        if terminal.plain() or not sys.stdin.isatty():
            say(context.get_help())
        else:
            raise typer.Exit(playing.code_of(menu.run))


@app.command()
def train(
    example: Annotated[
        str | None, typer.Argument(help="An example; without one they are listed.")
    ] = None,
    csv_file: Csv = None,
    target: Target = None,
    task: Annotated[
        str | None,
        typer.Option(help="classification or regression (default: by the target)."),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="A column of the CSV to leave out.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Step size.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples a step.")] = None,
    seed: Annotated[
        int, typer.Option(help="Decides weights, order and what is held out.")
    ] = 1,
    out: Annotated[
        Path | None, typer.Option(help="The model file (default: NAME.loom.json).")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Keep a checkpoint there, every two seconds.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint.")
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="Train on the GPU.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train an example, or a table of your own, and save the model."""
    if csv_file is None and example is None:
        _list_examples(as_json)
        return
    if csv_file is not None and example is not None:
        raise ConfigError(f"give {example!r} or --csv, not both.")
    if csv_file is None:
        if target or task or ignore:
            raise ConfigError("--target, --task and --ignore belong to --csv.")
        row = examples.example(example)
    else:
        row = training.from_csv(csv_file, target, task, ignore or ())
    if resume and checkpoint is None:
        raise ConfigError("--resume needs --checkpoint FILE.")
    changes = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "use_gpu": gpu or None,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if checkpoint is not None:
        changes |= {
            "checkpoint_path": checkpoint,
            "checkpoint_every_seconds": training.CHECKPOINT_SECONDS,
            "resume": resume,
        }
    done = training.train(row, seed, out, as_json, **changes)
    if as_json:
        say_json(done.to_json())
    if done.interrupted:
        raise typer.Exit(STOPPED)


def _list_examples(as_json: bool) -> None:
    if as_json:
        say_json(examples.catalog())
        return
    say("Examples: loom train NAME", "bold")
    for row in examples.EXAMPLES:
        say(f"  {row.name:<14}{row.about}")
    say("\nA table of your own: loom train --csv FILE --target COLUMN")


@app.command()
def evaluate(
    model: Model,
    csv_file: Csv = None,
    target: Target = None,
    example: Annotated[
        str | None, typer.Option(help="Evaluate on this example's held-out samples.")
    ] = None,
    worst: Annotated[
        int, typer.Option(help="Show so many samples that deviate most.")
    ] = 0,
    save: Annotated[
        Path | None, typer.Option(help="Write all results there, as JSON.")
    ] = None,
    model_id: ModelId = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a model on what its example holds out, or on a CSV."""
    net = models.load(model, model_id)
    if csv_file is not None:
        metrics, about = models.evaluate_csv(net, csv_file, target)
    else:
        metrics, about = models.evaluate_example(net, example)
    if save is not None:
        metrics.save(save)
    if as_json:
        values = metrics.to_wire()
        del values["results"]
        say_json(values | {"data": about})
        return
    say(about, "bold")
    say(metrics.summary())
    if worst:
        say(f"\nThe {min(worst, metrics.total_samples)} that deviate most", "bold")
        for row in metrics.worst(worst):
            wanted, got = (models.name_of(net, v) for v in (row.expected, row.actual))
            say(
                f"  sample {row.sample_index + 1:>5}  expected {wanted}, got {got}, "
                f"off by {row.deviation:.1f}%"
            )


@app.command(context_settings={"ignore_unknown_options": True})
def predict(
    model: Model,
    values: Annotated[
        list[str] | None, typer.Argument(help="One sample's values, or several's.")
    ] = None,
    csv_file: Csv = None,
    sample: Annotated[
        int | None, typer.Option(help="The N-th held-out sample of its example.")
    ] = None,
    model_id: ModelId = None,
    as_json: AsJson = False,
) -> None:
    """Predict from values, a CSV (as CSV), or a held-out sample."""
    if sum(bool(given) for given in (values, csv_file, sample)) != 1:
        raise ConfigError(
            "give values, --csv FILE or --sample N (from 1), one of them."
        )
    net = models.load(model, model_id)
    expected = None
    if sample is not None:
        row, task = models.task_of(net)
        x, expected = _sample(task, sample)
        if not as_json:
            _show_sample(row, task, x[0])
    elif csv_file is not None:
        text = training.read_text(csv_file)
        x = models.read_inputs(text, models.columns_of(net), name=csv_file)
    else:
        x = models.parse_values(net, values)
    rows = models.predict(net, x)
    if as_json:
        if expected is not None:
            rows[0]["expected"] = expected
        say_json(rows)
    elif csv_file is not None:
        _write_csv(net, rows)
    else:
        for found in rows:
            _show_prediction(found)
        if expected is not None:
            say(f"expected  {_joined(expected)}")


def _sample(task: examples.Task, number: int):
    inputs, targets = task.held_out
    if not 1 <= number <= len(inputs):
        raise InputError(f"--sample: expected 1 to {len(inputs)}, got {number}.")
    target = np.asarray(targets[number - 1])
    if task.classes:
        names = [task.classes[i] for i in target.reshape(-1)]
        expected = names[0] if target.ndim == 0 else names
    else:
        expected = target.tolist()
    return inputs[number - 1 : number], expected


def _show_sample(row: examples.Example, task: examples.Task, x: np.ndarray) -> None:
    if row.kind == "image":
        side = round(x.size**0.5)
        say(terminal.picture(x.reshape(side, side)))
    elif row.kind == "sequence":
        say(" ".join(SYMBOLS[i] for i in x.argmax(axis=-1)))
    elif row.kind == "text":
        say("".join(task.classes[int(i)] for i in x))
    elif task.columns:
        for name, value in zip(task.columns, x.tolist(), strict=True):
            say(f"{name:>24}  {value:g}")
    say()


def _show_prediction(row: dict) -> None:
    if "class" not in row:
        say("  ".join(f"{value:.6g}" for value in np.ravel(row["outputs"])))
        return
    if not row["shares"]:
        say(f"predicted {_joined(row['class'])}", "bold")
        return
    say(f"predicted {row['class']}  {row['share']:.1%}", "bold")
    best = sorted(row["shares"].items(), key=lambda item: -item[1])[:3]
    width = max(len(name) for name, _ in best)
    for name, share in best:
        say(f"  {name:>{width}}  {share:6.1%}  {terminal.bar(share)}".rstrip())


def _joined(names) -> str:
    """A class, or the classes of a sequence's steps: letters as a text."""
    if not isinstance(names, list):
        return str(names)
    letters = all(isinstance(name, str) and len(name) == 1 for name in names)
    return ("" if letters else " ").join(map(str, names))


def _write_csv(net: loom.Network, rows: list[dict]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if "class" in rows[0]:
        writer.writerow([net.metadata.get("target", "class"), "share"])
        writer.writerows([row["class"], f"{row['share']:.4f}"] for row in rows)
        return
    count = len(np.ravel(rows[0]["outputs"]))
    name = net.metadata.get("target", "output")
    writer.writerow([name] if count == 1 else [f"{name}_{i + 1}" for i in range(count)])
    writer.writerows(np.ravel(row["outputs"]).tolist() for row in rows)


@app.command()
def info(model: Model, as_json: AsJson = False) -> None:
    """Show what a model file holds: layers, shapes, parameters, metadata."""
    nets = load_bundle(model)
    if as_json:
        say_json({model_id: _described(net) for model_id, net in nets.items()})
        return
    say(f"{model} ({terminal.size(model.stat().st_size)})", "bold")
    for model_id, net in nets.items():
        say(f"\nmodel {model_id!r}, seed {net.seed}, batch size {net.batch_size}")
        for name, value in net.metadata.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            say(f"  {name:<10}{text if len(text) < 400 else text[:400] + ' ...'}")
        say(net.summary())


def _described(net: loom.Network) -> dict:
    return {
        "input_shape": list(net.input_shape),
        "output_shape": list(net.shapes()[-1]),
        "grid": [net.grid_rows, net.grid_cols, net.layers_per_cell],
        "parameters": net.parameter_count(),
        "seed": net.seed,
        "batch_size": net.batch_size,
        "metadata": net.metadata,
        "layers": [layer.bundle_config() for layer in net.layers],
    }


@app.command()
def draw(
    model: Model,
    out: Annotated[
        Path | None, typer.Option(help="The SVG file (default: beside the model).")
    ] = None,
    model_id: ModelId = None,
) -> None:
    """Draw the grid with a histogram of each layer's weights, as SVG."""
    out = out or Path(f"{model.name.removesuffix('.json')}.svg")
    write_atomic(out, picture.draw(models.load(model, model_id)).encode())
    say(f"drew {out} ({terminal.size(out.stat().st_size)})")


app.command()(files.convert)
app.command()(files.write)
app.command()(playing.demo)
app.command()(playing.bench)
app.command()(gpus.gpu)
app.command()(page.page)

export = typer.Typer(help="Write a model for another place.", no_args_is_help=True)
export.command("web")(files.web)


@export.callback()
def exports() -> None:
    """Write a model for another place."""


app.add_typer(export, name="export")
