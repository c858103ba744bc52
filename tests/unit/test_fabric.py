"""The menu, the demos' stage, the benchmark and its chart."""

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
from loom import ConfigError, Dense, DeviceError, InputError, Network
from loom.fabric import benchmark, demos
from loom.fabric.app import app
from loom.fabric.chart import bars
from loom.fabric.curve import curves
from loom.fabric.demos import DEMOS, Demo, play, verify
from loom.fabric.demos.demo import Stage
from loom.fabric.progress import clock
from loom.fabric.terminal import bar, duration, picture, size
from loom.layers import LAYERS
from tests.unit.test_cli import ENVIRONMENT, LOOM

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words, code=0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


# Demos -------------------------------------------------------------------------------


def test_the_first_numbers_are_those_of_the_framework_we_follow():
    titles = {row.number: row.title for row in DEMOS}
    for number, word in {
        9: "Dense",
        10: "Conv2D",
        11: "Multi-Head Attention",
        12: "RNN",
        13: "LSTM",
        14: "CPU and GPU",
        15: "Model files",
    }.items():
        assert titles[number].startswith(word)
    numbers = [row.number for row in DEMOS]
    assert numbers == sorted(set(numbers))
    assert len({row.name for row in DEMOS}) == len(DEMOS)


def test_demos_are_listed_and_chosen_by_number_or_name():
    text = command("demo")
    assert "  11  attention" in text
    rows = json.loads(command("demo", "--json"))
    assert [row["number"] for row in rows] == [row.number for row in DEMOS]
    assert demos.demo("11") is demos.demo("attention")
    with pytest.raises(ConfigError, match="unknown demo '8'"):
        command("demo", "8")
    with pytest.raises(ConfigError, match="not both"):
        command("demo", "8", "--all")


@pytest.mark.parametrize("which", ["9", "15", "evaluation", "wine"])
def test_a_demo_says_what_it_verified(which):
    text = command("demo", which)
    assert "\x1b" not in text
    assert text.count("✓") >= 3
    assert "✗" not in text
    assert "checks, all verified, in " in text
    (row,) = json.loads(command("demo", which, "--json"))
    assert row["passed"]
    assert all(check["passed"] for check in row["checks"])


def test_a_demo_that_finds_something_wrong_fails(monkeypatch):
    def wrong(stage):
        stage.check("one is two", 1 == 2)
        stage.check("one is one", 1 == 1)

    row = Demo(99, "wrong", "Wrong", wrong)
    monkeypatch.setattr(demos, "DEMOS", (row,))
    text = command("demo", "99", code=1)
    assert "✗ one is two\n✓ one is one\n2 checks, NOT all verified" in text
    assert not play(Demo(98, "none", "None", lambda stage: None), quiet=True)["passed"]
    monkeypatch.setattr(demos, "DEMOS", (row, row))
    assert "2 demos, not verified: 99, 99" in command("demo", "--all", code=1)


def test_wrong_gradients_and_lost_weights_are_found(monkeypatch):
    net = Network.stack(Dense(3, 4, "tanh"), Dense(4, 2, "linear"), seed=1)
    x = np.ones((2, 3), np.float32)
    stage = Stage(quiet=True)
    verify.verify(stage, net, x)
    assert all(check.passed for check in stage.checks)
    backward = Dense.backward

    def off(self, dy, cache, need_dx=True):
        dx, gradients = backward(self, dy, cache, need_dx)
        return dx, gradients | {"bias": gradients["bias"] * 1.0001}

    monkeypatch.setattr(Dense, "backward", off)
    stage = Stage(quiet=True)
    verify.gradients(stage, net, x)
    assert not stage.checks[0].passed
    monkeypatch.undo()
    monkeypatch.setattr(
        verify, "load_model_from_string", lambda text, i: Network.stack(Dense(3, 2))
    )
    stage = Stage(quiet=True)
    verify.saved(stage, net, x)
    assert not stage.checks[0].passed


def test_ctrl_c_in_a_demo_saves_what_was_learnt(folder):
    program = (
        "from loom.fabric.demos import layers, demo\n"
        "from loom.fabric.demos.demo import Demo\n"
        "from loom import examples\n"
        "import loom.fabric.demos as demos, loom.fabric.cli as cli\n"
        "row = layers.layer_demo(97, 'long', 'Long', lambda: examples.example('iris'),"
        " epochs=1000000)\n"
        "demos.DEMOS = (row,)\n"
        "import sys; sys.argv = ['loom', 'demo', '97']; cli.main()\n"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    while "samples" not in started.stdout.readline():
        assert started.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        started.wait(1)
    started.send_signal(signal.SIGINT)
    text = started.communicate()[0]
    assert started.returncode == 130
    assert "Stopped by Ctrl-C; what was learnt is in iris.loom.json." in text
    assert loom.load_model("iris.loom.json").metadata["example"] == "iris"


def terminal(*answers: str) -> tuple[str, int]:
    """The menu in a terminal, with these answers; what it shows and its exit code."""
    parent, child = pty.openpty()
    started = subprocess.Popen(
        LOOM,
        stdin=child,
        stdout=child,
        stderr=child,
        env=ENVIRONMENT | {"TERM": "xterm"},
    )
    os.close(child)
    shown, waiting = b"", list(answers)
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
        if waiting and shown.endswith(b"q to quit: "):
            os.write(parent, waiting.pop(0).encode())
    os.close(parent)
    return shown.decode(), started.wait()


def test_the_menu_asks_plays_and_ends():
    text, code = terminal("77\n", "15\n", "\n", "q\n")
    assert code == 0
    assert "Multi-Head Attention" in text
    assert "There is no '77'" in text
    assert "✓ every parameter is the same, bit for bit" in text
    assert text.count("q to quit") == 4
    text, code = terminal("\x04")
    assert code == 0


def test_loom_alone_in_a_pipe_prints_its_help():
    text = command()
    assert "Usage: " in text
    assert "demo" in text


# The benchmark -----------------------------------------------------------------------


def test_every_layer_that_computes_has_a_case():
    made = [layer for case in benchmark.CASES for layer in case.build(True)[0].layers]
    found = {type(layer).__name__ for layer in made}
    missing = {row.__name__ for row in LAYERS} - found
    # They move values, or are a small part of what stands here.
    assert missing <= {
        "Flatten",
        "Reshape",
        "Dropout",
        "Embedding",
        "Residual",
        "PositionalEncoding",
        "MaxPool1D",
        "AvgPool1D",
    }, missing


def test_bench_writes_json_and_a_chart(folder, monkeypatch):
    monkeypatch.setattr(benchmark, "adapter", lambda: (None, "no GPU was found"))
    text = command("bench", "--quick", "--only", "norm")
    assert "GPU: none (no GPU was found)" in text
    lines = [line for line in text.splitlines() if "Norm" in line]
    assert len(lines) == 3
    values = json.loads((folder / "loom-bench-quick.json").read_text())
    assert values["gpu"] is None
    row = values["rows"][0]
    assert row["name"] == "BatchNorm"
    assert row["shape"] == [4, 16, 16, 16]
    total = row["cpu"]["forward"] + row["cpu"]["backward"]
    assert row["cpu"]["total"] == pytest.approx(total)
    assert (
        ElementTree.parse(folder / "loom-bench-quick.svg").getroot().tag == f"{SVG}svg"
    )
    values = json.loads(command("bench", "--quick", "--only", "softmax", "--json"))
    assert [row["name"] for row in values["rows"]] == ["Softmax"]
    with pytest.raises(InputError, match="No such folder"):
        command("bench", "--out", "none")
    with pytest.raises(ConfigError, match="no line has 'xxx' in its name"):
        command("bench", "--only", "xxx")


def test_ctrl_c_in_a_benchmark_keeps_what_is_measured(folder, monkeypatch):
    measure, calls = benchmark.measure, []

    def interrupted(case, quick, gpu):
        calls.append(case)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(case, quick, gpu)

    monkeypatch.setattr(benchmark, "adapter", lambda: (None, "no GPU was found"))
    monkeypatch.setattr(benchmark, "measure", interrupted)
    text = command("bench", "--quick", "--only", "norm", code=130)
    assert "Stopped by Ctrl-C after 1 of 3." in text
    values = json.loads((folder / "loom-bench-quick.json").read_text())
    assert values["interrupted"]
    assert len(values["rows"]) == 1


class WithGpu(Network):
    """A network whose GPU is the CPU, off by a factor."""

    factor = 1.0

    def init_gpu(self):
        pass

    def release_gpu(self):
        pass

    def forward_gpu(self, x):
        y, _ = self.forward_cpu(x)
        return y * np.float32(self.factor), 1000

    def backward_gpu(self, dy):
        return self.backward_cpu(dy)[0], 3000


def gpu_case(factor) -> benchmark.Case:
    def build(quick):
        net = WithGpu.stack(Dense(3, 2), seed=1)
        net.factor = factor
        return net, 4

    return benchmark.Case("fake", build)


def test_a_gpu_is_compared_before_it_is_timed():
    row = benchmark.measure(gpu_case(1.0), True, True)
    assert row.gpu == (1e-6, 3e-6)
    assert row.speedup() == sum(row.cpu) / 4e-6
    assert row.difference == 0
    assert not row.problem
    wrong = benchmark.measure(gpu_case(1.01), True, True)
    assert wrong.problem == "GPU and CPU differ by 1.0e-02"
    assert "GPU and CPU differ" in benchmark.line(wrong)


def test_a_gpu_that_refuses_a_case_says_why(monkeypatch):
    def refuse(self):
        raise DeviceError("the binding is too large. Use fewer samples.")

    monkeypatch.setattr(WithGpu, "init_gpu", refuse)
    row = benchmark.measure(gpu_case(1.0), True, True)
    assert row.gpu is None
    assert row.problem == "the binding is too large"
    assert benchmark.line(row).endswith("the binding is too large")


def test_a_chart_has_a_bar_for_each_figure():
    text = bars("a < b", ["one", "two"], {"CPU": [1.0, 20.0], "GPU": [0.5, None]})
    root = ElementTree.fromstring(text)
    assert root.find(f"{SVG}title").text == "a < b"
    rectangles = list(root.iter(f"{SVG}rect"))
    assert len(rectangles) == 1 + 2 + 3  # paper, legend, bars
    texts = [node.text for node in root.iter(f"{SVG}text")]
    assert {"one", "two", "CPU", "GPU", "20", "0.5"} <= set(texts)


# The terminal ------------------------------------------------------------------------


def marks(text) -> list[list[int]]:
    """The columns of each line in which there is a dot of a curve."""
    lines = text.plain.splitlines()
    return [[i for i, c in enumerate(line) if c > "\u2800"] for line in lines]


def test_a_curve_falls_from_left_to_right():
    text = curves({"loss": [4.0, 3.0, 2.0, 1.0]}, 4, 40, 12)
    lines = text.plain.splitlines()
    assert len(lines) == 12
    starts = [columns[0] for columns in marks(text) if columns]
    assert len(starts) == 8
    assert starts == sorted(starts)
    assert [line[0] for line in lines if "┤" in line] == ["4", "3", "2", "1"]
    assert lines[1].startswith("4┤⠠")
    assert lines[-1] == "epoch   ── loss"


def test_a_curve_grows_to_the_right_and_takes_any_values():
    half = curves({"loss": [4.0, 3.0]}, 4, 50, 8)
    assert max(map(max, filter(None, marks(half)))) < 28
    for values in ([1.0], [0.0, 0.0], [-1.0, 2.0], [1e-9, 1e9], [3.0] * 200):
        assert any(marks(curves({"loss": values}, len(values), 60, 8)))
    wide = curves({"loss": [1e6, 1e3, 1.0, 1e-3]}, 3, 60, 12).plain
    assert all(f"{label}┤" in wide for label in ("1e+06", "1e+03", "1", "0.001"))


def test_a_curve_leaves_out_what_is_not_finite():
    """plotext alone would end the process."""
    nan, inf = float("nan"), float("inf")
    for values in ([2.0, nan, 1.0], [inf, 2.0, 1.0], [1.0, -inf]):
        text = curves({"loss": values, "held out": [1.0, 2.0]}, 3, 60, 8)
        assert any(marks(text))
    assert not any(marks(curves({"loss": [nan, nan]}, 2, 60, 8)))


@pytest.mark.parametrize(
    ("got", "text"),
    [
        (clock(0.26), "0.3 s"),
        (clock(42.4), "42 s"),
        (clock(125), "2:05"),
        (clock(3725), "1:02:05"),
        (duration(23.6e-6), "23.6 us"),
        (duration(0.9999), "1 s"),
        (duration(12.3456), "12.3 s"),
        (size(999), "999 B"),
        (size(201_400), "201 kB"),
        (size(1_240_000), "1.2 MB"),
        (bar(0), ""),
        (bar(0.001), "▏"),
        (bar(0.5), "█" * 12),
        (picture(np.array([[0, 1], [0.5, 0]])), "  ██\n▒▒"),
    ],
)
def test_texts(got, text):
    assert got == text
