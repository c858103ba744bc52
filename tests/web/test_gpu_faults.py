"""Devices that are lost while something is under way, and calls in each other's way.

The browser's own device is destroyed here, so that the loss comes as it does from a
driver: by promises that are rejected, later than it happened.
"""

import os
import signal

import pytest
from conftest import FLAGS, Page
from test_gpu_training import SMALL, opened

from tools.wasm import chromium

WATCH = """
    window.devices = [];
    window.dying = 0;  // of the next devices
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...options) {
      const device = await request.apply(this, options);
      devices.push(device);
      if (dying-- > 0) device.destroy();
      return device;
    };
    const adapter = GPU.prototype.requestAdapter;
    GPU.prototype.requestAdapter = async function (...options) {
      return window.blocked ? null : adapter.apply(this, options);
    };
    window.lose = () => devices.at(-1).destroy();
    window.sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    window.why = ({ kind, message }) => [kind, message];
    window.live = () => loom.pyodide.runPython(`
      import gc
      from loom.gpu import browser
      gc.collect()
      browser._opened[0].live_bytes
    `);
"""
LONG = SMALL + "config.Epochs = 3000; config.LearningRate = 0.001;"


@pytest.fixture(scope="module")
def page(browser, server):
    page = opened(browser, server, WATCH)
    yield page
    page.close()


@pytest.mark.parametrize("other", ["", "x = x.slice(0, 56); x.shape = [7, 8];"])
def test_a_forward_pass_survives_a_loss(page: Page, other):
    apart = page.run(
        SMALL.replace("const x", "let x")
        + f"""
        await network.ForwardGPU(x);
        {other}
        const found = [];
        lose();
        found.push(await network.ForwardGPU(x));
        const under_way = network.ForwardGPU(x);
        lose();
        found.push(await under_way);
        lose();
        await sleep(20);
        const both = [network.ForwardGPU(x), network.ForwardGPU(x)];
        found.push(...await Promise.all(both));
        const [y] = network.ForwardCPU(x);
        return found.map(([z]) => Math.max(...y.map((v, i) => Math.abs(v - z[i]))));
        """
    )
    assert len(apart) == 4
    assert max(apart) < 1e-5


def test_what_a_lost_gpu_kept_is_gone(page):
    found = page.run(
        SMALL
        + """
        const dy = new Float32Array(256).fill(1);
        dy.shape = [64, 4];
        const found = [];
        for (let i = 0; i < 2; i++) {
          await network.ForwardGPU(x);
          await network.BackwardGPU(dy);
          lose();
          if (i) await sleep(20);
          found.push(await network.BackwardGPU(dy).catch(why));
        }
        await network.ForwardGPU(x);
        await network.BackwardGPU(dy);
        lose();
        await sleep(20);
        try {
          network.call("KernelGradients");
        } catch (error) {
          found.push(why(error));
        }
        return found;
        """
    )
    for kind, message in found:
        assert kind == "DeviceError"
        assert "is gone with the GPU" in message
        assert "Run forward_gpu" in message


def test_training_survives_losses_at_any_time(page):
    result, losses, notices = page.run(
        SMALL
        + """
        let losses = 0, notices = 0;
        const result = await network.TrainAsync([x, t], { ...config, Epochs: 200 }, {
          onProgress: ({ Kind, Epoch }) => {
            if (Kind === "notice") notices++;
            if (Kind === "epoch" && Epoch % 30 === 0 && losses < 5) {
              losses++;
              lose();
            }
          },
        });
        return [result, losses, notices];
        """
    )
    assert (result["Epochs"], losses, notices) == (200, 5, 5)
    assert len(result["LossHistory"]) == 200
    assert result["FinalLoss"] < 1.4


def test_training_survives_the_end_of_the_browser_s_gpu_process(browser, server):
    own = browser.browser_type.launch(executable_path=chromium.found(), args=FLAGS)
    page = opened(own, server)
    page.run(
        LONG
        + """
        window.notices = 0;
        await network.call("InitGPU");
        window.trained = network.TrainAsync([x, t], { ...config, Epochs: 600 }, {
          onProgress: ({ Kind, Epoch }) => {
            if (Kind === "notice") notices++;
            window.epoch = Epoch;
          },
        });
        while (!window.epoch) await new Promise((resolve) => setTimeout(resolve, 20));
        """
    )
    processes = own.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    (gpu,) = (row["id"] for row in processes["processInfo"] if row["type"] == "GPU")
    os.kill(gpu, signal.SIGKILL)
    epochs, notices = page.run("return [(await trained).Epochs, notices];")
    own_words = "warning: A valid external Instance reference no longer exists."
    page.problems = [words for words in page.problems if words != own_words]
    page.close()  # no promise was left alone
    own.close()
    assert (epochs, notices) == (600, 1)


def test_a_gpu_that_is_lost_each_time_ends_it_with_words(page):
    forward, training, after = page.run(
        SMALL
        + """
        await network.call("InitGPU");
        lose();
        await sleep(20);
        dying = 1000;
        const forward = await network.ForwardGPU(x).catch(why);
        const training = await network.Train([x, t], config).catch(why);
        dying = 0;
        return [forward, training, (await network.ForwardGPU(x))[0].length];
        """
    )
    assert forward[0] == training[0] == "DeviceError"
    assert forward[1].endswith("Use the CPU: forward_cpu.")
    assert training[1].endswith("Train on the CPU.")
    assert after == 256


def test_without_an_adapter_after_a_loss_the_cpu_goes_on(page):
    failed, cpu, gpu = page.run(
        LONG
        + """
        const failed = await network.TrainAsync([x, t], config, {
          onProgress: ({ Kind, Epoch }) => {
            if (Kind !== "epoch" || Epoch !== 5) return;
            window.blocked = true;
            lose();
          },
        }).catch(why);
        const short = { ...config, Epochs: 2 };
        const cpu = await network.TrainAsync([x, t], { ...short, UseGPU: false });
        window.blocked = false;
        return [failed, cpu.FinalLoss, (await network.Train([x, t], short)).FinalLoss];
        """
    )
    assert failed[0] == "DeviceError"
    assert failed[1].startswith("WebGPU is there, but the browser gives no adapter")
    assert gpu < cpu


SCARCE = """
    window.room = Infinity;
    const create = GPUDevice.prototype.createBuffer;
    GPUDevice.prototype.createBuffer = function (options) {
      const none = options.size > room; // refused as the browser itself does it
      return create.call(this, none ? { ...options, size: 2 ** 50 } : options);
    };
"""


def test_without_room_the_call_fails_and_no_other(browser, server):
    page = opened(browser, server, SCARCE)
    failed, other, after, weights, again, array = page.run(
        SMALL
        + """
        const why = ({ kind, message }) => [kind, message];
        const big = new Float32Array(4000 * 8).fill(0.5);
        big.shape = [4000, 8];
        const beside = loom.NewNetwork(8, 1, 1, 1, 1);
        await network.ForwardGPU(x);
        room = 60_000;
        const both = [network.ForwardGPU(big).catch(why), beside.ForwardGPU(x)];
        const [failed, [other]] = await Promise.all(both);
        const [after] = await network.ForwardGPU(x);
        const wide = loom.NewNetwork(256, 1, 1, 1, 1);
        wide.SetLayer(0, 0, 0, loom.InitDenseLayer(256, 256, "relu"));
        const row = new Float32Array(256).fill(1);
        const weights = await wide.ForwardGPU(row).catch(why);
        const array = await wide.ToGPU(big).catch(why);
        room = Infinity;
        const [y] = await wide.ForwardGPU(row);
        const [z] = wide.ForwardCPU(row);
        const apart = Math.max(...y.map((v, i) => Math.abs(v - z[i])));
        return [failed, other.length, after.length, weights, apart, array];
        """
    )
    for kind, message in (failed, weights, array):
        assert kind == "DeviceError"
        assert message.startswith("the GPU reports: Buffer size")
    assert (other, after) == (512, 256)
    assert again < 1e-4
    page.close()


def test_calls_at_once_open_one_gpu_and_leave_no_bytes(page):
    opened, before, after, same = page.run(
        SMALL
        + """
        await network.call("InitGPU");
        lose();
        await sleep(20);
        const made = devices.length;
        await network.ForwardGPU(x);
        network.free();
        const before = live();
        const others = [1, 2, 3].map((seed) => loom.NewNetwork(8, 1, 1, 1, seed));
        const twice = (other) => [other.ForwardGPU(x), other.ForwardGPU(x)];
        const found = await Promise.all(others.flatMap(twice));
        const first = (i) => found[i & ~1][0];
        const same = found.every(([y], i) => y.every((v, j) => v === first(i)[j]));
        for (const other of others) {
          await Promise.all([other.call("InitGPU"), other.call("InitGPU")]);
          await other.ForwardGPU(x);
          other.free();
        }
        return [devices.length - made, before, live(), same];
        """
    )
    assert opened == 1
    assert after == before
    assert same


def test_a_release_ends_the_calls_that_wait(page):
    released, opened, after = page.run(
        SMALL
        + """
        await network.call("InitGPU");
        const released = network.ForwardGPU(x).catch(why);
        await network.call("ReleaseGPU");
        await network.call("InitGPU");
        const opened = network.ForwardGPU(x.slice(0, 8)).catch(why);
        await network.call("InitGPU", "auto");
        const [y] = await network.ForwardGPU(x);
        const [z] = network.ForwardCPU(x);
        return [await released, await opened,
          Math.max(...y.map((v, i) => Math.abs(v - z[i])))];
        """
    )
    for kind, message in (released, opened):
        assert kind == "DeviceError"
        assert message.startswith("the GPU was released while a call waited for it")
    assert after < 1e-5


def test_a_network_keeps_gpu_and_layers_while_it_is_trained(page):
    released, opened, loss, changed, again = page.run(
        SMALL
        + """
        await network.call("InitGPU");
        const run = network.Train([x, t], { ...config, Epochs: 100 });
        await sleep(60);
        const released = await network.call("ReleaseGPU").catch(why);
        const opened = await network.call("InitGPU", "auto").catch(why);
        const { FinalLoss } = await run;
        const longer = network.Train([x, t], { ...config, Epochs: 3000 }).catch(why);
        await sleep(60);
        network.SetLayer(0, 0, 1, loom.InitDenseLayer(16, 4, "linear"));
        const changed = await longer;
        const again = await network.Train([x, t], config);
        return [released, opened, FinalLoss, changed, again.FinalLoss];
        """
    )
    for kind, message in (released, opened):
        assert kind == "ConfigError"
        assert "this network is being trained" in message
    assert loss < 1.3
    assert changed[0] == "ConfigError"
    assert "was replaced during the training" in changed[1]
    assert again < 1.4


@pytest.mark.parametrize("gpu", [False, True])
def test_stop_and_pause_count_from_the_call_on(either, gpu):
    stopped, second, paused, ended = either.run(
        """
        const make = async () => {
          const network = await loom.NewNetwork(8, 1, 1, 1, 1);
          await network.SetLayer(0, 0, 0, await loom.InitDenseLayer(8, 4, "linear"));
          return network;
        };
        const x = Float32Array.from({ length: 512 }, (_, i) => Math.sin(i * i));
        x.shape = [64, 8];
        const t = Float32Array.from({ length: 64 }, (_, i) => i % 4);
        const config = {
          BatchSize: 16, Epochs: 30_000, UseGPU: argument,
          LossType: "softmax_cross_entropy",
        };
        const [network, other] = [await make(), await make()];
        const run = network.TrainAsync([x, t], config);
        const message = ({ message }) => message;
        const second = network.TrainAsync([x, t], config).catch(message);
        network.stop();
        const stopped = await run;
        const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        let events = 0;
        const onProgress = () => events++;
        const later = other.TrainAsync([x, t], config, { onProgress });
        other.pause();
        await sleep(500); // a worker is told by message
        const before = events;
        await sleep(500);
        const paused = events - before;
        other.resume();
        while (events === before) await sleep(20);
        other.stop();
        return [stopped, await second, paused, (await later).Stopped];
        """,
        gpu,
    )
    assert (stopped["Epochs"], stopped["Stopped"]) == (0, True)
    assert "is being trained" in second
    assert (paused, ended) == (0, True)


def test_backward_follows_a_forward_pass_of_long_ago(page):
    apart = page.run(
        SMALL
        + """
        const one = x.slice(0, 8);
        const dy = new Float32Array(4).fill(1);
        await network.ForwardGPU(one);
        await network.BackwardGPU(dy);
        await network.ForwardGPU(one);
        for (let rows = 2; rows < 12; rows++) { // each is a program of its own
          const some = x.slice(0, 8 * rows);
          some.shape = [rows, 8];
          const shorter = { ...config, BatchSize: rows, Epochs: 1, LearningRate: 1e-9 };
          await network.Train([some, t.slice(0, rows)], shorter);
        }
        const [dx] = await network.BackwardGPU(dy);
        network.ForwardCPU(one);
        const [expected] = network.BackwardCPU(dy);
        return Math.max(...dx.map((v, i) => Math.abs(v - expected[i])));
        """
    )
    assert apart < 1e-5
