"""Demos of what is kept: model files, and checkpoints that survive kill -9."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from loom import data, examples
from loom.errors import FormatError
from loom.fabric.demos.demo import SEED, Demo, Stage
from loom.serialization import (
    load_bundle,
    load_model,
    load_model_from_string,
    save_bundle,
)
from loom.training import Trainer


def serialization(stage: Stage) -> None:
    """A trained network to a file and to a string, and back; damage is refused."""
    row = examples.example("iris")
    net, task, _ = stage.train(row, epochs=30)
    x = task.held_out[0]
    expected = net.forward(x).tobytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "iris.loom.json"
        net.save_model(path, "iris")
        stage.say(f"file: {path.stat().st_size:,} bytes")
        again = load_model(path, "iris")
        stage.check(
            "from the file it gives the same bits",
            again.forward(x).tobytes() == expected,
        )
        same = all(
            a[name].tobytes() == b[name].tobytes()
            for a, b in zip(net.parameters(), again.parameters(), strict=True)
            for name in a
        )
        stage.check("every parameter is the same, bit for bit", same)
        stage.check(
            "class names, columns and seed came with it",
            again.metadata == net.metadata and again.seed == net.seed,
        )
        save_bundle({"one": net, "two": again}, path)
        stage.check("two models in one file", list(load_bundle(path)) == ["one", "two"])
        before = path.read_bytes()
        path.write_bytes(before[: len(before) // 2])
        stage.check("half a file is refused", _refused(lambda: load_model(path)))
    text = net.save_model_to_string("iris")
    again = load_model_from_string(text, "iris")
    stage.check(
        f"from a string of {len(text):,} characters it gives the same bits",
        again.forward(x).tobytes() == expected,
    )
    wrong = text.replace('"input_height": 4', '"input_height": 5', 1)
    stage.check(
        "a size that the weights do not have is refused",
        wrong != text and _refused(lambda: load_model_from_string(wrong)),
    )


def _refused(call) -> bool:
    try:
        call()
    except FormatError:
        return True
    return False


_PROGRAM = """
import sys
from loom import examples
from loom.training import Trainer
row = examples.example("digits")
net, task = row.build({seed})
config = row.settings(task, epochs={epochs}, checkpoint_path=sys.argv[1], resume=True,
                      checkpoint_every_steps=10)
for event in Trainer(net, task.training, config).run():
    if event.kind == "checkpoint":
        print(event.step, flush=True)
net.save_model(sys.argv[1] + ".json")
"""
_EPOCHS = 8


def checkpoints(stage: Stage) -> None:
    """A training killed twice ends with the bits of one that was left alone."""
    row = examples.example("digits")
    net, task = row.build(SEED)
    trainer = Trainer(net, task.training, row.settings(task, epochs=_EPOCHS))
    for _ in trainer.run():
        pass
    steps = trainer.step
    stage.say(f"left alone: {steps} steps, loss {trainer.result.final_loss:.4f}")
    program = _PROGRAM.format(seed=SEED, epochs=_EPOCHS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        for kill_at in (steps // 4, steps // 2):
            told = _run(program, path, kill_at)
            stage.say(f"killed with SIGKILL after its checkpoint of step {told}")
        told = _run(program, path, None)
        stage.check(f"resumed, it went on to step {told}", told == steps)
        resumed = load_model(f"{path}.json")
        same = all(
            a[name].tobytes() == b[name].tobytes()
            for a, b in zip(net.parameters(), resumed.parameters(), strict=True)
            for name in a
        )
        stage.check(
            "its final weights are those of the one left alone, bit for bit", same
        )
        other, task = row.build(SEED + 1)
        config = row.settings(
            task, epochs=_EPOCHS, checkpoint_path=path, resume=True, learning_rate=0.5
        )
        stage.check(
            "another training's checkpoint is refused",
            _refused(lambda: Trainer(other, task.training, config)),
        )


def _run(program: str, path: Path, kill_at: int | None) -> int:
    """Run the training in a process, and kill it after a step; the last step told."""
    command = [sys.executable, "-c", program, str(path)]
    folder = str(Path(data.__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": folder}
    told = 0
    # A session of its own: Ctrl-C comes to us alone.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            for line in process.stdout:
                told = int(line)
                if kill_at is not None and told >= kill_at:
                    process.kill()
                    break
        except KeyboardInterrupt:
            process.kill()
            raise
    expected = 0 if kill_at is None else -getattr(signal, "SIGKILL", -1)
    if process.returncode != expected:
        raise RuntimeError(f"the training ended with {process.returncode}")
    return told


def evaluation(stage: Stage) -> None:
    """Deviations in seven buckets, by hand and by the metrics."""
    row = examples.example("digits")
    net, task, _ = stage.train(row, epochs=4)
    metrics, _ = row.evaluate(net, task)
    stage.say(metrics.summary())
    stage.say()
    x, t = task.held_out
    predicted = net.forward(x).argmax(axis=1)
    off = np.abs(predicted - t) / np.where(t == 0, 1, t) * 100
    score = np.maximum(0, 100 - off).mean()
    stage.check(
        "the score is that of the definition", abs(score - metrics.score) < 1e-9
    )
    counts = [bucket.count for bucket in metrics.buckets.values()]
    stage.check("every sample is in one bucket", sum(counts) == len(t))
    worst = metrics.worst(3)
    stage.check(
        "the worst three deviate most: samples "
        + ", ".join(str(r.sample_index) for r in worst),
        [r.deviation for r in worst] == sorted(off, reverse=True)[:3],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.json"
        metrics.save(path)
        again = type(metrics).load(path)
    stage.check(
        "saved and loaded, they are the same", again.to_wire() == metrics.to_wire()
    )


SERIALIZATION = Demo(
    15, "serialization", "Model files: to a file and to a string", serialization
)
LATER = (
    Demo(23, "checkpoints", "Checkpoints: killed, resumed, the same bits", checkpoints),
    Demo(24, "evaluation", "Evaluation: deviations in seven buckets", evaluation),
)
