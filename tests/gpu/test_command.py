"""The command on the GPU: training, the demos' check, the benchmark."""

import json

import pytest
from typer.testing import CliRunner

import loom
from loom.fabric import benchmark
from loom.fabric.app import app
from loom.fabric.demos import demo, play


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(*words) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_train_on_the_gpu_reaches_the_same_model(adapter):
    for where in ((), ("--gpu",)):
        command("train", "digits", "--epochs", 5, *where, "--out", f"m{len(where)}")
    one, two = (loom.load_model(f"m{i}") for i in (0, 1))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        for name in a:
            assert abs(a[name] - b[name]).max() < 0.02 * abs(a[name]).max()


def test_a_checkpoint_of_the_gpu_resumes(adapter):
    words = ("train", "iris", "--epochs", 4, "--gpu", "--checkpoint", "c", "--json")
    whole = json.loads(command(*words))
    again = json.loads(command(*words, "--resume"))
    assert again["training"]["LossHistory"] == whole["training"]["LossHistory"]
    assert again["value"] == whole["value"]


def test_demos_compare_the_gpu_with_the_cpu(adapter):
    result = play(demo("dense"), quiet=True)
    assert result["passed"]
    assert [c for c in result["checks"] if c["claim"].startswith("the GPU (")]


@pytest.mark.parametrize("case", benchmark.CASES, ids=lambda case: case.name)
def test_every_case_of_the_benchmark_agrees(case, adapter):
    row = benchmark.measure(case, quick=True, gpu=True)
    assert row.gpu is not None, row.problem
    assert row.difference < 1e-5
    assert not row.problem
