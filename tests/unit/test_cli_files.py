"""`loom convert` and `loom write`."""

import numpy as np
import onnxruntime
import pytest

import loom
from loom import examples
from loom.export import SHARED
from tests.unit.test_cli import command, error, folder, model  # noqa: F401


def test_convert_to_safetensors_and_back_and_to_onnx(model, folder):  # noqa: F811
    assert "wrote m.safetensors" in command("convert", model, "m.safetensors")
    command("convert", "m.safetensors", "back.json")
    command("convert", "back.json", "m.onnx")
    net, back = loom.load_model(model), loom.load_model("back.json")
    x = np.random.default_rng(0).random((3, 64), np.float32)
    y, _ = net.forward_cpu(x)
    np.testing.assert_array_equal(back.forward_cpu(x)[0], y)
    assert back.metadata == net.metadata
    (other,) = onnxruntime.InferenceSession("m.onnx").run(["y"], {"x": x})
    np.testing.assert_allclose(other, y, rtol=1e-5, atol=1e-5)


def test_convert_refuses_what_it_does_not_know(model, folder):  # noqa: F811
    assert error("convert", model, "m.h5") == (
        "convert: expected a file that ends in .json, .safetensors, .onnx, got 'm.h5'."
    )
    assert "m.onnx: ONNX is written, not read." in error("convert", "m.onnx", "m.json")


@pytest.mark.parametrize("seed", [0, 1])
def test_write_continues_a_prompt(folder, seed):  # noqa: F811
    net, _ = examples.example("alice").build(seed=1)
    net.save_model("alice.json")
    text = command("write", "alice.json", "Alice", "--count", 20, "--seed", seed)
    assert text.startswith("Alice")
    assert len(text.removesuffix("\n")) == 25


def test_write_says_what_to_train(model):  # noqa: F811
    assert "Train one: loom train alice" in error("write", model, "x")


def test_export_web_writes_a_module_with_everything_it_loads(model, folder):  # noqa: F811
    text = command("export", "web", model, "--out", "m", "--batch", "2")
    names = {path.name for path in (folder / "m").iterdir()}
    wanted = {"model.mjs", "model.d.mts", "model.json", "weights.bin", "kernels.wasm"}
    assert names == wanted | {"program.json", *SHARED}
    assert all(f"wrote m/{name}" in text for name in names)
    command("export", "web", model, "--out", "cpu", "--no-gpu")
    assert {path.name for path in (folder / "cpu").iterdir()} == wanted


def test_export_web_says_where_no_folder_can_be(model, folder):  # noqa: F811
    (folder / "file").write_text("")
    assert error("export", "web", model, "--out", "file/m") == (
        "export web: cannot make the folder 'file/m': Not a directory. "
        "Choose one that is writable."
    )
