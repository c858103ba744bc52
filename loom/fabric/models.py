"""What the commands ask of a saved model: its data, its classes, its predictions."""

from pathlib import Path
from zlib import crc32

import numpy as np

from loom import examples
from loom.data import read_table
from loom.data.table import read_inputs
from loom.errors import ConfigError, InputError, ShapeError, known
from loom.evaluation import DeviationMetrics, evaluate, outputs_of
from loom.fabric.training import CSV, from_csv, read_text
from loom.linalg import softmax
from loom.network import Network
from loom.serialization import load_bundle

Array = np.ndarray


def load(path: Path, model_id: str | None = None) -> Network:
    """The network of a bundle file; without an id the first."""
    models = load_bundle(path)
    if model_id is None:
        return next(iter(models.values()))
    if model_id not in models:
        raise ConfigError(f"{path}: {known(model_id, models, 'model id')}")
    return models[model_id]


def classes_of(net: Network) -> list[str]:
    """The class names in the file, where there are as many as outputs."""
    names = net.metadata.get("classes")
    good = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if good and len(names) == net.shapes()[-1][-1] else []


def name_of(net: Network, value: float) -> str:
    """A class's name, or the value as text."""
    classes = classes_of(net)
    if classes and value in range(len(classes)):
        return classes[int(value)]
    return f"{value:g}"


def columns_of(net: Network) -> list[str]:
    """The names of the inputs in the file, where there are as many; else numbers."""
    names = net.metadata.get("columns")
    good = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if good and len(names) == net.input_size:
        return names
    return [str(number) for number in range(1, net.input_size + 1)]


def task_of(net: Network, example: str | None = None):
    """The example that a model is of, and its samples as they were held out."""
    name = example or net.metadata.get("example")
    if not isinstance(name, str) or name not in examples.BY_NAME:
        if isinstance(name, str) and name.startswith(CSV):
            raise ConfigError(
                f"the model was trained on {name[len(CSV) :]}. Give it: --csv FILE."
            )
        raise ConfigError(
            "the model does not say which example it is of. Give its data: --example "
            f"NAME ({', '.join(examples.BY_NAME)}) or --csv FILE."
        )
    row = examples.example(name)
    task = row.task(net.seed)
    if task.held_out[0][0].size != net.input_size:
        raise ShapeError(
            f"{name}: a sample has {task.held_out[0][0].size} values, the model takes "
            f"{net.input_size}. Choose another example."
        )
    return row, task


# Evaluating ----------------------------------------------------------------------


def evaluate_example(net: Network, example: str | None) -> tuple[DeviationMetrics, str]:
    """On what the example holds out: metrics and what they are of."""
    row, task = task_of(net, example)
    metrics, value = row.evaluate(net, task)
    text = f"{value:.2%}" if row.metric == "accuracy" else f"{value:.4g}"
    about = f"{row.name}, the fifth held out by seed {net.seed}: {row.metric} {text}"
    return metrics, about


def evaluate_csv(
    net: Network, path: str, target: str | None
) -> tuple[DeviationMetrics, str]:
    """On a CSV: the part held out if it is the file trained on, else all of it."""
    text, name = read_text(path), Path(path).name
    target = target or net.metadata.get("target")
    trained_on = net.metadata.get("csv_crc32") == f"{crc32(text.encode()):08x}"
    if trained_on and target == net.metadata.get("target"):
        row = from_csv(path, target, None, ())
        if list(row.task(net.seed).columns) == columns_of(net):
            metrics, _ = row.evaluate(net, row.task(net.seed))
            return metrics, f"{name}, the fifth held out by seed {net.seed}"
    classes = classes_of(net)
    inputs = read_inputs(text, columns_of(net), name=name)
    kind = "classification" if classes else "regression"
    table = read_table(text, target, name=name, task=kind)
    expected = table.targets
    if classes:
        if missing := [c for c in table.classes if c not in classes]:
            raise InputError(f"{name}: {known(missing[0], classes, 'class')}")
        expected = np.array([classes.index(c) for c in table.classes])[table.targets]
    outputs = outputs_of(net, inputs, name)
    return evaluate(outputs, expected), f"{name}, all {len(inputs):,} rows"


# Predicting ----------------------------------------------------------------------


def parse_values(net: Network, words: list[str]) -> Array:
    """Numbers given as words, with spaces or commas: one sample or several."""
    numbers = []
    for word in words:
        for part in filter(None, word.replace(",", " ").split()):
            try:
                numbers.append(float(part))
            except ValueError:
                raise InputError(f"expected a number, got {part!r}.") from None
    size = net.input_size
    if not numbers or len(numbers) % size:
        names = ", ".join(columns_of(net)[:6]) + (", ..." if size > 6 else "")
        raise ShapeError(f"expected {size} values ({names}), got {len(numbers)}.")
    return np.array(numbers, np.float32).reshape(-1, size)


def probabilities(net: Network, y: Array) -> Array:
    """A classifier's outputs as shares: logits by softmax, others as they are."""
    f = net.layers[-1].config.get("activation")
    sums = np.abs(y.sum(axis=-1) - 1)
    already = bool((y >= 0).all() and (sums < 1e-3).all())
    if already or (f is not None and f.name in ("sigmoid", "softmax")):
        return y
    return softmax(y)


def predict(net: Network, x: Array) -> list[dict]:
    """For each sample the outputs, and for a classifier class and shares.

    A sequence's outputs of each step are one list a step.
    """
    outputs = outputs_of(net, x, "predict")
    classes = classes_of(net)
    if not classes:
        return [{"outputs": y.tolist()} for y in outputs]
    rows = []
    for y, p in zip(outputs, probabilities(net, outputs), strict=True):
        best = p.argmax(axis=-1)
        if y.ndim == 1:
            name, share = classes[int(best)], float(p[best])
            shares = dict(zip(classes, p.tolist(), strict=True))
        else:
            name, share = [classes[i] for i in best.tolist()], p.max(axis=-1).tolist()
            shares = {}
        rows.append(
            {"class": name, "share": share, "shares": shares, "outputs": y.tolist()}
        )
    return rows
