"""Training in slices: in a worker and on the page's own thread."""

import json

import pytest

# 2,000 samples of 64 values in 4 classes, from a small generator of its own.
SETUP = """
    const network = await loom.NewNetwork(64, 1, 1, 2, 1);
    await network.SetLayer(0, 0, 0, await loom.InitDenseLayer(64, 128, "relu"));
    await network.SetLayer(0, 0, 1, await loom.InitDenseLayer(128, 4, "linear"));
    let state = 1;
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
    const x = new Float32Array(2000 * 64), t = new Float32Array(2000);
    for (let i = 0; i < 2000; i++) {
      t[i] = i % 4;
      for (let j = 0; j < 64; j++) x[64 * i + j] = random() + (j % 4 === i % 4);
    }
    x.shape = [2000, 64];
    const config = {
      Epochs: 3, BatchSize: 32, LearningRate: 0.1, LossType: "softmax_cross_entropy",
    };
    // The longest time that the page had no turn.
    let last = performance.now(), gap = 0, watching = true;
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      gap = Math.max(gap, performance.now() - last);
      last = performance.now();
      if (watching) channel.port2.postMessage(null);
      else channel.port1.close();
    };
    channel.port2.postMessage(null);
"""


def test_training_streams_progress_and_the_page_stays_responsive(either):
    result = either.run(
        SETUP
        + """
        const events = [];
        const result = await network.TrainAsync([x, t], config, {
          onProgress: (event) => events.push(event),
        });
        watching = false;
        return { result, events, gap, kept: x.length };
        """
    )
    assert result["kept"] == 128000
    history = result["result"]["LossHistory"]
    assert len(history) == 3
    assert history[-1] < history[0]
    epochs = [e["Loss"] for e in result["events"] if e["Kind"] == "epoch"]
    assert epochs == history
    assert result["events"][-1]["Kind"] == "done"
    # Generous for a shared CI machine; blocked, it would be the whole training.
    assert result["gap"] < 1000


def test_stop_ends_before_the_next_batch(either):
    result = either.run(
        SETUP
        + """
        watching = false;
        let steps = 0;
        const result = await network.TrainAsync([x, t], { ...config, Epochs: 100000 }, {
          onProgress: (event) => { if (steps++ === 2) network.stop(); },
        });
        return [result.Stopped, result.Epochs, (await network.ForwardCPU(x))[0].length];
        """
    )
    assert result[0] is True
    assert result[1] < 100000
    assert result[2] == 8000


def test_other_calls_are_answered_while_training(either):
    answers = either.run(
        SETUP
        + """
        watching = false;
        const training = network.TrainAsync([x, t], { ...config, Epochs: 100000 });
        const outputs = [];
        for (let i = 0; i < 3; i++) {
          await new Promise((resolve) => setTimeout(resolve, 30));
          outputs.push((await network.ForwardCPU(x.slice(0, 64)))[0][0]);
        }
        const busy = await network.TrainAsync([x, t], config).catch((e) => e.message);
        await network.stop();
        return [new Set(outputs).size, busy, (await training).Stopped];
        """
    )
    assert answers == [
        3,
        "Train: this network is being trained. Wait, or call stop().",
        True,
    ]


def test_a_network_freed_in_training_ends_it(either):
    message = either.run(
        SETUP
        + """
        watching = false;
        const training = network.TrainAsync([x, t], { ...config, Epochs: 100000 });
        await new Promise((resolve) => setTimeout(resolve, 30));
        network.free();
        return training.catch((error) => error.message);
        """
    )
    assert message == "this network was freed. Make a new one."


def test_bad_training_rejects(either):
    messages = either.run(
        SETUP
        + """
        watching = false;
        const message = (p) => p.then(() => "none", (error) => error.message);
        return [
          await message(network.TrainAsync([x, t], { Epoch: 1 })),
          await message(network.TrainAsync([x, new Float32Array(3)], config)),
          await message(network.TrainAsync([x, t], { ...config, LearningRate: 1e30 })),
          JSON.parse(await network.Train("[]")).error,
        ];
        """
    )
    assert "unknown field 'Epoch'" in messages[0]
    assert "expected targets" in messages[1]
    assert "Set learning_rate below" in messages[2]
    assert messages[3].startswith("Train: expected 1 to 2 arguments")


def test_worker_has_both_modes(worker):
    result = worker.run("""
        const network = await loom.NewNetwork(20, 1, 1, 2, 1);
        const list = Array.from({ length: 20 }, (_, i) => i / 20);
        const promise = network.ForwardCPU(JSON.stringify([list]));
        const isPromise = promise instanceof Promise;
        const json = JSON.parse(await promise)[0];
        const [typed] = await network.ForwardCPU(Float32Array.from(list));
        const error = await network.ForwardCPU([1]).catch((e) => [e.kind, e.message]);
        const batch = { Input: [list], Target: [list.map(() => 0.5)] };
        const trained = await network.Train(JSON.stringify([[batch], { Epochs: 2 }]));
        const bad = await network.SetLayer("[9]");
        network.free();
        const freed = await network.TotalLayers();
        return { isPromise, json, typed: [...typed], error, trained, bad, freed };
    """)
    assert result["isPromise"]
    assert result["json"] == pytest.approx(result["typed"])
    assert result["error"][0] == "ShapeError"
    assert len(json.loads(result["trained"])[0]["LossHistory"]) == 2
    assert "error" in json.loads(result["bad"])
    assert "was freed" in json.loads(result["freed"])["error"]


def test_a_terminated_worker_rejects(worker):
    result = worker.run("""
        const { loadLoom } = await import("/loom.mjs");
        const other = await loadLoom({ worker: true });
        const network = await other.NewNetwork(4, 1, 1, 1);
        const message = (p) => p.then(() => "none", (error) => error.message);
        const underWay = message(network.ForwardCPU(new Float32Array(4)));
        other.terminate();
        return [await underWay, await message(network.call("TotalLayers"))];
    """)
    expected = "the worker was terminated. Call loadLoom({worker: true}) again."
    assert result == [expected, expected]
