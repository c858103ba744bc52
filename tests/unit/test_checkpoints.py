"""Checkpoints: kill -9 and go on bit for bit; others' and damaged files are refused."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from loom import Dense, FormatError, InputError, Network, tensorfile
from loom.training import Trainer, TrainingConfig
from tests.unit.interrupted import CONFIGS, final, trainer


def start(name, path):
    command = [sys.executable, "-m", "tests.unit.interrupted", name, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_after(name, path, step) -> int:
    """Kill -9 once `step` is trained; the step of the last checkpoint told."""
    process, told = start(name, path), 0
    for line in process.stdout:
        kind, at = line.split()
        if kind == "checkpoint":
            told = int(at)
        if int(at) >= step:
            process.kill()
            break
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    return told


@pytest.mark.parametrize("name", CONFIGS)
def test_a_killed_run_goes_on_bit_for_bit(name, tmp_path):
    path = tmp_path / "run.checkpoint"
    for step in (17, 60):  # killed twice, each time in the middle of an epoch
        assert kill_after(name, path, step) >= step - 7
    process = start(name, path)
    steps = [line.split() for line in process.stdout]
    process.stdout.close()
    assert process.wait() == 0
    assert int(steps[0][1]) > 50, "it began anew"
    plain = trainer(name, None, resume=False, checkpoint_every_steps=0)
    for _ in plain.run():
        pass
    assert (tmp_path / "run.checkpoint.weights").read_bytes() == final(plain)


def run(path, name="momentum", stop=None, **changes) -> Trainer:
    found = trainer(name, path, **changes)
    for event in found.run():
        if event.kind == "batch" and event.step == stop:
            found.stop()
    return found


def test_every_step_resumes_to_the_same_bits(tmp_path):
    whole = final(run(tmp_path / "whole", epochs=2, schedule="constant"))
    for step in range(1, 25):
        path = tmp_path / f"{step}"
        half = run(path, epochs=2, schedule="constant", stop=step)
        assert half.result.stopped == (step < 24)
        assert half.step == step
        assert final(run(path, epochs=2, schedule="constant")) == whole


def test_seconds_write_checkpoints_too(tmp_path):
    found = trainer(
        "momentum",
        tmp_path / "c",
        checkpoint_every_steps=0,
        checkpoint_every_seconds=1e-9,
        epochs=1,
    )
    kinds = [event.kind for event in found.run()]
    assert kinds.count("checkpoint") == 13  # after each batch and at the end


def test_a_finished_run_resumes_to_its_end_and_can_be_made_longer(tmp_path):
    first = run(tmp_path / "c", "adamw", epochs=3)
    again = trainer("adamw", tmp_path / "c", epochs=3)
    assert [event.kind for event in again.run()] == ["checkpoint", "done"]
    assert again.result.loss_history == first.result.loss_history
    assert again.result.best_epoch == first.result.best_epoch
    assert again.result.final_loss == first.result.final_loss
    assert again.result.eval_metrics.score == first.result.eval_metrics.score
    longer = run(tmp_path / "c", "adamw", epochs=5)
    assert final(longer) == final(run(None, "adamw", **PLAIN, epochs=5))


PLAIN = {"resume": False, "checkpoint_every_steps": 0}


def test_the_network_takes_the_checkpoints_seed_with_its_weights(tmp_path):
    run(tmp_path / "c", stop=20)
    found = run(tmp_path / "c", net_seed=6)
    assert found.net.seed == 5
    assert final(found) == final(run(None, **PLAIN))


def test_no_file_yet_is_a_new_run(tmp_path):
    assert trainer("adam", tmp_path / "none").step == 0


def refusal(path, name="momentum", **changes) -> str:
    with pytest.raises(FormatError) as caught:
        trainer(name, path, **changes)
    return str(caught.value)


def test_another_training_is_refused_by_what_differs(tmp_path):
    path = tmp_path / "c"
    run(path, stop=8)
    assert refusal(path, learning_rate=0.5, momentum=0.8) == (
        f"checkpoint {str(path)!r} is of another training:\n"
        "  learning_rate: 0.02 in the checkpoint, 0.5 here\n"
        "  momentum: 0.9 in the checkpoint, 0.8 here\n"
        "Give what it was begun with, or choose another file, or do not resume."
    )
    assert "  data: as many samples and batches, but other values\n" in refusal(
        path, scale=2
    )
    assert "batches: 12 in the checkpoint, 10 here" in refusal(path, batch_size=24)
    assert "epochs: 12 in the checkpoint, 20 here" in refusal(path, epochs=20)
    assert "optimizer: 'sgd' in the checkpoint, 'adam' here" in refusal(path, "adam")
    assert "seed: 3 in the checkpoint, 4 here" in refusal(path, seed=4)


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([Dense(4, 6), Dense(6, 2)], "layer 0's output_height: 5 in the checkpoint, 6"),
        ([Dense(4, 5, "tanh"), Dense(5, 2)], "layer 0's activation: 'relu' in the"),
        ([Dense(4, 2)], "layers: 2 in the checkpoint, 1 here"),
    ],
)
def test_another_network_is_refused_by_layer(tmp_path, layers, text):
    data = np.ones((4, 4)), np.ones((4, 2))
    settings = TrainingConfig(checkpoint_path=tmp_path / "c", epochs=1, resume=True)
    net = Network.stack(Dense(4, 5), Dense(5, 2), seed=1)
    for _ in Trainer(net, data, settings).run():
        pass
    other = Network.stack(*layers, seed=1)
    with pytest.raises(FormatError) as caught:
        Trainer(other, data, settings)
    assert text in str(caught.value)


def test_every_damaged_byte_is_found(tmp_path):
    path = tmp_path / "c"
    run(path, stop=8)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in [0, 7, 8, 9, *rng.integers(0, len(good), 150)]:
        bad = bytearray(good)
        bad[at] ^= 0xFF
        path.write_bytes(bad)
        refusal(path)
    for size in [0, 4, 8, 100, len(good) - 1]:
        path.write_bytes(good[:size])
        refusal(path)
    path.write_bytes(good + b"\0")
    assert "bytes after its arrays" in refusal(path)
    path.write_bytes(good)
    assert trainer("momentum", path).step == 8


def test_a_refused_file_changes_nothing(tmp_path):
    data = np.ones((4, 4)), np.ones((4, 2))
    settings = {"checkpoint_path": tmp_path / "c", "epochs": 3, "momentum": 0.9}
    net = Network.stack(Dense(4, 2), seed=1)
    for _ in Trainer(net, data, TrainingConfig(**settings)).run():
        pass
    arrays, metadata = tensorfile.decode((tmp_path / "c").read_bytes(), "file")
    assert set(metadata) == {"format", "version", "fingerprint", "progress", "crc32"}
    assert "optimizer.0.weight.momentum" in arrays
    other = Network.stack(Dense(4, 2), seed=2)
    before = [w.copy() for w in other.parameters()[0].values()]
    settings |= {"resume": True, "learning_rate": 0.5}
    with pytest.raises(FormatError, match="learning_rate"):
        Trainer(other, data, TrainingConfig(**settings))
    assert other.seed == 2
    for old, new in zip(before, other.parameters()[0].values(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_model_file_is_no_checkpoint(tmp_path):
    net = Network.stack(Dense(8, 3), seed=1)
    net.save_model(tmp_path / "model.json")
    assert "the file is damaged" in refusal(tmp_path / "model.json")
    path = tmp_path / "other.safetensors"
    path.write_bytes(tensorfile.encode({"w": np.ones(3)}, {"format": "pt"}))
    assert "this is no checkpoint of Loom" in refusal(path)


def test_a_path_that_cannot_be_written_is_told_before_the_work(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "c"):
        with pytest.raises(InputError, match="cannot write"):
            trainer("momentum", path)
