"""The `loom` command: what a person sees, what a program reads, exit codes."""

import json
import os
import pty
import signal
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import loom
from loom.data import digits, split
from loom.fabric.app import app

LOOM = [sys.executable, "-m", "loom.fabric.cli"]
ROOT = os.getcwd()
ENVIRONMENT = os.environ | {"PYTHONPATH": ROOT, "COLUMNS": "100", "LINES": "40"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words, code=0, stdin=None) -> str:
    """What a command prints to a pipe, in this process."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def error(*words) -> str:
    with pytest.raises(loom.LoomError) as caught:
        command(*words)
    return str(caught.value)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A digits model, trained once."""
    path = tmp_path_factory.mktemp("model") / "digits.loom.json"
    command("train", "digits", "--out", path, "--seed", 3)
    return path


CSV = "a,b,kind\n" + "".join(
    f"{i % 7},{i % 5},{'high' if i % 7 > 3 else 'low'}\n" for i in range(70)
)


def test_train_prints_plain_lines_and_saves_a_model_that_repeats_them(folder):
    text = command("train", "digits")
    assert "\x1b" not in text
    assert "1,438 samples to train on, 359 held out, 9,610 parameters, seed 1" in text
    assert "epoch 30/30  loss 0.00" in text
    assert "accuracy 98.33% (goal 96%: reached)" in text
    assert "0-10%  353   98.3%  ██████" in text
    assert "saved digits.loom.json" in text
    again = command("evaluate", "digits.loom.json")
    assert "digits, the fifth held out by seed 1: accuracy 98.33%" in again
    assert len(text.splitlines()) < 45


def test_train_json_is_one_object_for_a_program():
    words = ("train", "iris", "--epochs", 3, "--learning-rate", 0.1, "--batch-size", 40)
    row = json.loads(command(*words, "--json", "--seed", 7, "--out", "x.json"))
    assert (row["example"], row["seed"], row["metric"]) == ("iris", 7, "accuracy")
    assert row["model"] == "x.json"
    assert len(row["training"]["LossHistory"]) == 3
    assert row["training"]["Steps"] == 3 * 3
    assert row["value"] == loom.load_model("x.json").metadata.get("x", row["value"])
    assert not row["interrupted"]


def test_train_without_a_name_lists_the_examples():
    text = command("train")
    for row in loom.examples.EXAMPLES:
        assert f"  {row.name} " in text
    names = [row["name"] for row in json.loads(command("train", "--json"))]
    assert "digits" in names


def test_the_same_seed_saves_the_same_file(folder):
    for name in ("one", "two"):
        command("train", "iris", "--epochs", 4, "--out", name)
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()


def test_ones_own_table(folder):
    (folder / "own.csv").write_text(CSV)
    text = command("train", "--csv", "own.csv", "--target", "kind")
    assert "70 rows of own.csv: kind (2 classes) from 2 columns" in text
    assert "next: loom predict own.loom.json --csv own.csv" in text
    assert "accuracy 100.00%" in text
    held_out = command("evaluate", "own.loom.json", "--csv", "own.csv")
    assert "own.csv, the fifth held out by seed 1" in held_out
    (folder / "other.csv").write_text("kind,b,a\nhigh,1,6\nlow,2,0\n")
    all_rows = command("evaluate", "own.loom.json", "--csv", "other.csv", "--worst", 1)
    assert "other.csv, all 2 rows" in all_rows
    assert "expected high, got high, off by 0.0%" in all_rows
    assert command("predict", "own.loom.json", "--csv", "other.csv") == (
        "kind,share\nhigh,1.0000\nlow,1.0000\n"
    )
    again = command("predict", "own.loom.json", "--csv", "-", stdin="a,b\n6,1\n")
    assert again == "kind,share\nhigh,1.0000\n"
    assert "trained on own.csv. Give it: --csv FILE." in error(
        "predict", "own.loom.json", "--sample", 1
    )
    (folder / "bad.csv").write_text("a,b,kind\n6,1,medium\n6,1,low\n")
    assert "unknown class 'medium'" in error(
        "evaluate", "own.loom.json", "--csv", "bad.csv"
    )


def test_a_regression_predicts_plain_values(folder):
    rows = [f"{i},{(i * 7) % 13},{1000 + 3 * i}" for i in range(100)]
    (folder / "own.csv").write_text("\n".join(rows))
    text = command("train", "--csv", "own.csv")
    assert "100 rows of own.csv: 3 (a regression)" in text
    assert "score 9" in text
    value = float(command("predict", "own.loom.json", "50", "12"))
    assert abs(value - 1150) < 10
    table = command("predict", "own.loom.json", "--csv", "-", stdin="50,12\n1,1\n")
    assert table.splitlines()[0] == "3"
    assert abs(float(table.splitlines()[1]) - value) < 0.1


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("a,b\n1,2\n1\n", (), "line 3: expected 2 values as in line 1, got 1"),
        ("a,b\n1,2\n,3\n", (), "line 3: a is missing"),
        ("a,b\nx,2\ny,3\n", (), "column 'a'"),
        ("a,b\n1,2\n", ("--target", "c"), "unknown column 'c'"),
        ("", (), "the file is empty"),
    ],
)
def test_a_bad_table_is_refused_by_line(folder, text, words, message):
    (folder / "own.csv").write_text(text)
    assert message in error("train", "--csv", "own.csv", *words)


def test_a_table_that_is_not_utf8_is_refused(folder):
    (folder / "own.csv").write_bytes(b"a,b\n1,\xff\n")
    assert "expected text in UTF-8, got byte 0xff at 6" in error(
        "train", "--csv", "own.csv"
    )


def test_predict_shows_a_sample(model):
    text = command("predict", model, "--sample", 3)
    assert "██" in text
    row = json.loads(command("predict", model, "--sample", 3, "--json"))[0]
    assert f"expected  {row['expected']}" in text
    assert f"predicted {row['class']}  " in text
    assert sum(row["shares"].values()) == pytest.approx(1, abs=1e-5)
    assert "--sample: expected 1 to 359, got 360." in error(
        "predict", model, "--sample", 360
    )


def test_a_sample_of_a_sequence_and_of_a_text_is_shown():
    text = command("train", "order-sru", "--epochs", 1, "--out", "o")
    assert "next: loom predict o --sample 1" in text
    symbols, _, verdict, *_, expected = command("predict", "o", "--sample", 1).split(
        "\n"
    )[:-1]
    assert len(symbols.split()) == 30
    assert set(symbols) <= set("XYabcd ")
    assert verdict.startswith("predicted ")
    row = json.loads(command("predict", "o", "--sample", 1, "--json"))[0]
    assert expected == f"expected  {row['expected']}"
    text = command("train", "alice", "--epochs", 1, "--out", "a")
    assert 'next: loom write a "Alice "' in text
    shown = command("predict", "a", "--sample", 1)
    expected = shown.partition("expected  ")[2].rstrip("\n")
    assert shown[1:32] == expected[:31]  # moved on by one


def test_predict_values_agree_with_the_network(model):
    images, labels = digits()
    x = images.reshape(-1, 64)
    held_out = split(x, labels, seed=3)[1][0][:2]
    words = [f"{v:g}" for v in held_out.ravel()]
    rows = json.loads(command("predict", model, *words, "--json"))
    y, _ = loom.load_model(model).forward_cpu(held_out)
    np.testing.assert_allclose([row["outputs"] for row in rows], y, rtol=1e-6)
    spaced = command("predict", model, " ".join(words[:64]))
    assert spaced == command("predict", model, ",".join(words[:64]))


def test_predict_takes_negative_numbers(folder):
    net = loom.Network.stack(loom.Dense(2, 2, "linear"), seed=1)
    net.get_layer(0, 0, 0).set_parameter("weight", np.eye(2))
    net.save_model("m.json")
    assert command("predict", "m.json", "-1.5", "-2e3") == "-1.5  -2000\n"


def test_predict_needs_one_source(model):
    message = "give values, --csv FILE or --sample N (from 1), one of them."
    assert error("predict", model) == message
    assert error("predict", model, "1", "--sample", 1) == message
    assert "expected 64 values (1, 2, 3, 4, 5, 6, ...), got 2." in error(
        "predict", model, 1, 2
    )
    assert error("predict", model, "--jsn") == "expected a number, got '--jsn'."


def test_evaluate_writes_and_lists(model, folder):
    text = command("evaluate", model, "--worst", 2, "--save", "metrics.json")
    assert text.count("  sample ") == 2
    metrics = loom.evaluation.DeviationMetrics.load("metrics.json")
    row = json.loads(command("evaluate", model, "--json"))
    assert row["score"] == metrics.score
    assert "results" not in row
    assert "iris: a sample has 4 values, the model takes 64" in error(
        "evaluate", model, "--example", "iris"
    )


def test_a_model_without_metadata_asks_for_its_data(folder):
    loom.Network.stack(loom.Dense(64, 10), seed=1).save_model("m.json")
    assert "does not say which example" in error("evaluate", "m.json")
    assert "held out" in command("evaluate", "m.json", "--example", "digits")


def test_info_and_draw(model, folder):
    text = command("info", model)
    assert "classes   0, 1, 2" in text
    assert "0 0 0  Dense scaled_relu  (B, 128)       8,320  86.6%" in text
    row = json.loads(command("info", model, "--json"))["digits"]
    assert row["parameters"] == 9610
    assert row["layers"][0]["type"] == "dense"
    assert "drew digits.loom.svg" in command("draw", model)
    assert ElementTree.parse(folder / "digits.loom.svg").getroot().tag.endswith("svg")


def test_hostile_metadata_is_not_believed(folder):
    net = loom.Network.stack(loom.Dense(2, 3), seed=1)
    for classes in (["a"], "abc", [1, 2, 3], {"a": 1}):
        net.metadata = {"classes": classes, "columns": classes, "example": classes}
        net.save_model("m.json")
        assert len(command("predict", "m.json", 1, 2).split()) == 3
        assert "does not say which example" in error("evaluate", "m.json")


def test_a_model_of_several_is_chosen_by_id(folder):
    nets = {n: loom.Network.stack(loom.Dense(2, n), seed=1) for n in (1, 3)}
    loom.save_bundle({f"m{n}": net for n, net in nets.items()}, "two.json")
    assert len(command("predict", "two.json", 1, 2, "--id", "m3").split()) == 3
    assert "Did you mean 'm3'" in error("predict", "two.json", 1, 2, "--id", "m33")
    assert "model 'm1'" in command("info", "two.json")


def test_wrong_uses_are_told():
    assert "Did you mean 'digits'" in error("train", "digit")
    assert error("train", "digits", "--csv", "x") == "give 'digits' or --csv, not both."
    assert "belong to --csv" in error("train", "digits", "--target", "x")
    assert error("train", "digits", "--resume") == "--resume needs --checkpoint FILE."
    assert "expected epochs as a whole number from 1" in error(
        "train", "digits", "--epochs", 0
    )
    assert "cannot write 'no/where': No such folder" in error(
        "train", "digits", "--out", "no/where"
    )
    assert "No such folder" in error("train", "digits", "--checkpoint", "no/where")
    assert "cannot read model 'nope'" in error("info", "nope")
    command("train", "--epochs", "x", code=2)


# The command itself, in a process of its own -----------------------------------------


def process(*words, **options):
    return subprocess.run(
        [*LOOM, *words], capture_output=True, text=True, env=ENVIRONMENT, **options
    )


def test_errors_are_one_line_and_exit_1():
    done = process("info", "nope.json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "error: cannot read model 'nope.json': No such file or directory.\n"
    )
    assert process("--version").stdout == f"loom {loom.__version__}\n"


@pytest.mark.parametrize("name", ["plotext", "rich", "typer"])
def test_without_the_extra_the_command_says_what_to_install(name):
    program = f"import sys; sys.modules[{name!r}] = None; " + (
        "from loom.fabric.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "train"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr == (
        f"loom: {name} is not installed. The command needs the extra cli: "
        "pip install 'loom-nn[cli]'\n"
    )


def interrupt(words, seen) -> str:
    """Send Ctrl-C one second after a line with `seen`; what was printed after it."""
    started = subprocess.Popen(
        [*LOOM, *words], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    while seen not in started.stdout.readline():
        assert started.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        started.wait(1)
    started.send_signal(signal.SIGINT)
    text = started.communicate()[0]
    assert started.returncode == 130
    return text


def test_ctrl_c_ends_cleanly_with_the_work_saved_and_resumes(folder):
    words = ["train", "digits", "--epochs", "20000", "--checkpoint", "c"]
    text = interrupt(words, "samples to train on")
    assert "Stopped by Ctrl-C in epoch" in text
    assert "saved digits.loom.json" in text
    assert "go on with the same command and --resume" in text
    first = loom.load_model("digits.loom.json")
    assert first.metadata["example"] == "digits"
    interrupt([*words, "--resume"], "resumed after ")
    changed = loom.load_model("digits.loom.json").parameters()[0]["weight"]
    assert (changed != first.parameters()[0]["weight"]).any()


def test_a_terminal_shows_the_curve(folder):
    parent, child = pty.openpty()
    started = subprocess.Popen(
        [*LOOM, "train", "digits", "--epochs", "20"],
        stdout=child,
        stderr=child,
        env=ENVIRONMENT | {"TERM": "xterm-256color"},
    )
    os.close(child)
    text = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part
    os.close(parent)
    assert started.wait() == 0
    shown = text.decode()
    assert "\x1b[" in shown
    assert "└┬─────" in shown
    assert "held out" in shown
    assert "saved digits.loom.json" in shown
    assert any(0x2800 < ord(c) < 0x2900 for c in shown)


def test_gpu_says_what_is_here_and_what_is_taken(monkeypatch):
    monkeypatch.setenv("LOOM_GPU", "none")
    text = command("gpu")
    assert "LOOM_GPU=none: no GPU: LOOM_GPU=none forbids it." in text
    row = json.loads(command("gpu", "--json"))
    assert row["policy"] == "none"
    assert row["taken"] is None
    for gpu in row["gpus"]:
        assert {"key", "name", "limits", "features", "recommended"} <= set(gpu)
