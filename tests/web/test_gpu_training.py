"""Training on the page's GPU, and everything that can go wrong with one."""

import json

import numpy as np
import pytest
from conftest import Page

import loom
from loom import examples

START = """
    const { loadLoom, LoomError } = await import("/loom.mjs");
    window.LoomError = LoomError;
    window.loom = await loadLoom();
"""
DIGITS = """
    const samples = await loom.call("page.Samples", "digits", 1);
    const network = await loom.call("page.NewNetwork", "digits", 1);
    const { input, target } = samples.train;
    const config = {
      BatchSize: 32, LearningRate: 0.01, Optimizer: "adam", Epochs: 2,
      LossType: "softmax_cross_entropy", UseGPU: true,
      ValidationInputs: samples.held_out.input,
      ValidationTargets: samples.held_out.target,
    };
"""
SMALL = """
    const network = loom.NewNetwork(8, 1, 1, 2, 1);
    network.SetLayer(0, 0, 0, loom.InitDenseLayer(8, 16, "tanh"));
    network.SetLayer(0, 0, 1, loom.InitDenseLayer(16, 4, "linear"));
    const x = Float32Array.from({ length: 64 * 8 }, (_, i) => Math.sin(i * i));
    x.shape = [64, 8];
    const t = Float32Array.from({ length: 64 }, (_, i) => i % 4);
    const config = {
      BatchSize: 16, LearningRate: 0.05, Epochs: 30, UseGPU: true,
      LossType: "softmax_cross_entropy",
    };
"""


def opened(browser, server, before: str = "") -> Page:
    """A page with Loom, in which a script ran before anything else."""
    page = Page(browser, server)
    if before:
        page.context.add_init_script(before)
    page.open("blank.html")
    page.run(START)
    return page


def test_digits_learn_the_same_on_the_gpu_as_natively(either, tmp_path):
    found = either.run(
        DIGITS
        + """
        const events = [];
        const result = await network.TrainAsync([input, target], config, {
          onProgress: (event) => events.push(event),
        });
        const again = await network.Train([input, target], { ...config, Epochs: 1 });
        const text = await network.call("SaveModelToString", "m");
        const [y] = await network.ForwardGPU(samples.held_out.input);
        await network.ReleaseGPU();
        return { result, again, events, text, y: [...y] };
        """
    )
    row = examples.example("digits")
    net, task = row.build(1)
    config = {"BatchSize": 32, "LearningRate": 0.01, "Optimizer": "adam", "Epochs": 2}
    config["LossType"] = "softmax_cross_entropy"
    expected = net.train(task.training, config)
    history = found["result"]["LossHistory"]
    np.testing.assert_allclose(history, expected.loss_history, rtol=2e-3)
    assert found["result"]["ValidationHistory"][-1]["Accuracy"] > 0.9
    epochs = [e for e in found["events"] if e["Kind"] == "epoch"]
    assert [e["Loss"] for e in epochs] == history
    assert found["again"]["LossHistory"][0] < history[-1]
    # The file goes on natively, from the same weights.
    there = loom.load_model_from_string(found["text"], "m")
    x = task.validation[0]
    y = np.reshape(found["y"], (len(x), 10))
    np.testing.assert_allclose(there.forward_cpu(x)[0], y, rtol=1e-3, atol=1e-3)
    assert there.train(task.training, config).loss_history[0] < history[-1]


def test_a_model_trained_natively_goes_on_on_the_page_s_gpu(page):
    row = examples.example("digits")
    net, task = row.build(1)
    config = {"BatchSize": 32, "LearningRate": 0.05, "Shuffle": False, "Epochs": 1}
    config["LossType"] = "softmax_cross_entropy"
    net.train(task.training, config)
    text = net.save_model_to_string("m")
    history = page.run(
        DIGITS
        + """
        const model = loom.LoadModelFromString(argument.text, "m");
        const rest = { ...argument.config, UseGPU: true };
        return (await model.Train([input, target], rest)).LossHistory;
        """,
        {"text": text, "config": config},
    )
    expected = net.train(task.training, config).loss_history
    np.testing.assert_allclose(history, expected, rtol=1e-3)


def test_json_mode_is_awaited_too(page):
    found = page.run(
        SMALL
        + """
        const list = [...x.slice(0, 8)];
        const y = await network.ForwardGPU(JSON.stringify([list]));
        const cpu = network.ForwardCPU(JSON.stringify([list]));
        const batch = { Input: [list], Target: [1] };
        const settings = { ...config, Epochs: 2 };
        const trained = await network.Train(JSON.stringify([[batch], settings]));
        const bad = await network.ForwardGPU("[[1, 2]]");
        const info = await network.GPUInfo();
        return [y, cpu, trained, bad, info].map((text) => JSON.parse(text));
        """
    )
    y, cpu, trained, bad, info = found
    np.testing.assert_allclose(y[0], cpu[0], rtol=1e-5, atol=1e-6)
    assert len(trained[0]["LossHistory"]) == 2
    assert "expected 1 x 8 = 8 values" in bad["error"]
    assert info[0]["backend"] == "WebGPU"


def test_stop_pause_and_a_blown_up_rate(page):
    found = page.run(
        SMALL
        + """
        let steps = 0;
        const long = { ...config, Epochs: 100000 };
        const stopped = await network.TrainAsync([x, t], long, {
          onProgress: () => { if (steps++ === 3) network.stop(); },
        });
        const outputs = network.ForwardCPU(x)[0];
        const [onGPU] = await network.ForwardGPU(x);
        const apart = Math.max(...outputs.map((v, i) => Math.abs(v - onGPU[i])));
        network.SetLayer(0, 0, 0, loom.InitDenseLayer(8, 16, "relu"));
        const wild = { ...config, LearningRate: 1e30, Epochs: 5 };
        const why = await network.TrainAsync([x, t], wild)
          .catch((error) => [error.kind, error.message]);
        return [stopped.Stopped, stopped.Epochs, apart, why];
        """
    )
    assert found[0] is True
    assert 0 < found[1] < 100000
    assert found[2] < 1e-5
    assert found[3][0] == "TrainingError"
    assert "Set learning_rate below" in found[3][1]


def test_a_lost_device_is_opened_again_and_training_goes_on(browser, server):
    page = opened(browser, server)
    found = page.run(
        SMALL
        + """
        const events = [];
        let destroyed = 0;
        const result = await network.TrainAsync([x, t], { ...config, Epochs: 60 }, {
          onProgress: (event) => {
            events.push(event);
            if (event.Kind === "epoch" && event.Epoch >= 10 && !destroyed++) {
              loom.pyodide.runPython(
                "from loom.gpu import browser; browser._opened[0].destroy()");
            }
          },
        });
        const notices = events.filter((event) => event.Kind === "notice");
        const [y] = await network.ForwardGPU(x);
        // Between calls, too.
        loom.pyodide.runPython("browser._opened[0].destroy()");
        const [again] = await network.ForwardGPU(x);
        const apart = Math.max(...y.map((v, i) => Math.abs(v - again[i])));
        return { result, notices, apart };
        """
    )
    assert found["result"]["Epochs"] == 60
    assert found["result"]["FinalLoss"] < 1.3
    assert len(found["notices"]) == 1
    assert "was lost. It was opened again" in found["notices"][0]["Notice"]
    assert found["apart"] < 1e-5
    page.close()


REFUSE = """
    const message = ({ kind, message }) => [kind, message];
    const why = await network.call("InitGPU").catch(message);
    const [, training] = await network.Train([x, t], config).catch(message);
    const cpu = network.Train([x, t], { ...config, UseGPU: false });
    return [why, training, cpu.FinalLoss];
"""
FAULTS = {
    "no WebGPU": (
        "delete Navigator.prototype.gpu;",
        "this browser has no WebGPU here",
    ),
    "no adapter": (
        "GPU.prototype.requestAdapter = async () => null;",
        "WebGPU is there, but the browser gives no adapter",
    ),
    "no device": (
        "GPUAdapter.prototype.requestDevice = async () => { throw Error('busy'); };",
        "the GPU cannot be opened: busy",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_gpu_the_error_says_why_and_the_cpu_works(browser, server, fault):
    script, words = FAULTS[fault]
    page = opened(browser, server, script)
    why, training, loss = page.run(SMALL + REFUSE)
    assert why[0] == "DeviceError"
    assert why[1].startswith(words)  # and nothing of Pyodide's before it
    assert training == why[1]
    assert loss < 1.4
    page.close()


def test_a_device_of_small_limits_refuses_by_name(browser, server):
    script = """
        const { get } = Object.getOwnPropertyDescriptor(GPUDevice.prototype, "limits");
        const small = { maxStorageBufferBindingSize: 4096, maxBufferSize: 4096 };
        Object.defineProperty(GPUDevice.prototype, "limits", {
          get() {
            const limits = get.call(this);
            return new Proxy({}, { get: (_, name) => small[name] ?? limits[name] });
          },
        });
    """
    page = opened(browser, server, script)
    message = page.run("""
        const network = loom.NewNetwork(64, 1, 1, 1, 1);
        network.SetLayer(0, 0, 0, loom.InitDenseLayer(64, 64, "relu"));
        return network.ForwardGPU(new Float32Array(64)).catch((error) => error.message);
    """)
    assert "layer (0, 0, 0) Dense: weight: needs 16,384 bytes in one binding" in message
    assert "run it on the CPU" in message
    page.close()


def test_what_the_gpu_complains_of_reaches_the_caller(browser, server):
    page = opened(browser, server)
    found = page.run(
        SMALL
        + """
        await network.ForwardGPU(x);
        loom.pyodide.runPython(
          "from loom.gpu.browser import _opened; d = _opened[0];"
          + "d.write(d.buffer(16), 64, b'off!')");
        await new Promise((resolve) => setTimeout(resolve, 200)); // by an event
        const kind = await network.ForwardGPU(x)
          .catch((error) => [error.kind, error.message]);
        const after = await network.ForwardGPU(x);
        return [kind, after[0].length];
        """
    )
    assert found[0][0] == "DeviceError"
    assert "the GPU reports" in found[0][1]
    assert found[1] == 256
    page.close()


def test_it_works_without_jspi(browser, server):
    page = opened(
        browser, server, "delete WebAssembly.Suspending; delete WebAssembly.promising;"
    )
    loss, value = page.run(
        SMALL
        + """
        const result = await network.Train([x, t], config);
        const value = await loom.pyodide.runPythonAsync(`
          import loom
          net = loom.Network.stack(loom.Dense(4, 3, "tanh"), seed=1)
          y, _ = await net.forward_gpu_async([[1, 2, 3, 4]])
          float(abs(y - net.forward_cpu([[1, 2, 3, 4]])[0]).max())
        `);
        return [result.FinalLoss, value];
        """
    )
    assert loss < 1.35
    assert value < 1e-6
    page.close()


def test_a_thousand_networks_leave_no_bytes(page):
    before, after, most = page.run(
        SMALL
        + """
        const device = () => loom.pyodide.runPython(
          "from loom.gpu import browser; browser._opened[0].live_bytes");
        await network.ForwardGPU(x);
        network.free();
        const collect = () => loom.pyodide.runPython("import gc; gc.collect()");
        collect();
        const before = device();
        let most = before;
        for (let i = 0; i < 1000; i++) {
          const other = loom.NewNetwork(8, 1, 1, 1, i);
          other.SetLayer(0, 0, 0, loom.InitDenseLayer(8, 16, "tanh"));
          await other.ForwardGPU(x);
          most = Math.max(most, device());
          other.free();
          if (i % 50 === 0) collect();
        }
        collect();
        return [before, device(), most];
        """
    )
    # Less, where the page let go of networks of earlier tests meanwhile.
    assert after <= before
    assert most > after


def test_python_in_the_page_has_the_awaited_twins(page):
    found = page.run("""
        return JSON.parse(await loom.pyodide.runPythonAsync(`
          import json, loom, numpy as np
          net = loom.Network.stack(loom.Dense(4, 3, "tanh"), seed=1)
          x = np.ones((2, 4), np.float32)
          dy = np.ones((2, 3), np.float32)
          await net.init_gpu_async()
          y, _ = await net.forward_gpu_async(x)
          dx, _ = await net.backward_gpu_async(dy)
          apart = [float(abs(y - net.forward_cpu(x)[0]).max())]
          apart.append(float(abs(dx - net.backward_cpu(dy)[0]).max()))
          result = await net.train_async((x, dy), {"Epochs": 3, "UseGPU": True})
          try:
              net.forward_gpu(x)
          except loom.DeviceError as error:
              words = str(error)
          info = await net.gpu_info_async()
          await net.release_gpu_async()
          json.dumps([apart, result.loss_history, words, info["backend"]])
        `));
    """)
    assert max(found[0]) < 1e-6
    assert found[1][-1] < found[1][0]
    assert "await net.forward_gpu_async(x)" in found[2]
    assert found[3] == "WebGPU"


def test_types_of_info_are_json(page):
    info = page.run(SMALL + "return JSON.stringify(await network.call('GPUInfo'));")
    assert json.loads(info)["precision"] == "f32"
