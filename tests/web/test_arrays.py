"""Arrays that stay on the GPU, in the page and in the worker."""

from agreement import VALUES

START = (
    VALUES
    + """
    const make = async () => {
      const network = await loom.NewNetwork(6, 1, 1, 2, 1);
      await network.SetLayer(0, 0, 0, await loom.InitDenseLayer(6, 5, "tanh"));
      await network.SetLayer(0, 0, 1, await loom.InitDenseLayer(5, 3, "linear"));
      return network;
    };
    const refusal = ({ kind, message }) => [kind, message];
    const refused = async (call) => {
      try { return await call(); } catch (error) { return refusal(error); }
    };
    const network = await make();
    const live = async () => (await network.call("GPUInfo")).live_bytes;
"""
)


def test_passes_of_arrays_that_are_there(either):
    found = either.run(
        START
        + """
        const gaps = [];
        const inputs = [values(2, 0), values(4, 1), values(2, 2)];
        const there = await Promise.all(inputs.map((x) => network.ToGPU(x)));
        const dys = inputs.map(({ shape: [rows] }, k) => values(rows, k + 9, 3));
        const slopes = await Promise.all(dys.map((dy) => network.ToGPU(dy)));
        // Passes of both kinds, by turns; later ones are not Python's.
        const orders = [0, 1, 2, 0, 0, 1, 1, 2, 0, 2];
        const ys = [], dxs = [];
        for (const [turn, k] of orders.entries()) {
          const plain = turn % 3 === 2;
          ys.push((await network.ForwardGPU(plain ? inputs[k] : there[k]))[0]);
          dxs.push((await network.BackwardGPU(turn % 4 ? slopes[k] : dys[k]))[0]);
        }
        for (const [turn, k] of orders.entries()) {
          gaps.push(apart(ys[turn], (await network.ForwardCPU(inputs[k]))[0]));
          gaps.push(apart(dxs[turn], (await network.BackwardCPU(dys[k]))[0]));
        }
        const { shape, dtype, nbytes } = there[1];
        network.free();
        return [gaps, shape, dtype, nbytes];
        """
    )
    gaps, *rest = found
    assert max(gaps) < 1e-5
    assert rest == [[4, 6], "f32", 96]


def test_other_networks_take_them_and_nobody_else(either):
    found = either.run(
        START
        + """
        const x = values(4, 0), there = await network.ToGPU([...values(4, 0)]);
        const other = await make();
        await other.SetBatchSize(4);
        const [y] = await other.ForwardGPU(there);
        const gap = apart(y, (await other.ForwardCPU(x.slice()))[0]);
        const { loadLoom } = await import("/loom.mjs");
        const third = await (await loadLoom()).NewNetwork(6, 1, 1, 1);
        const nan = values(2, 0).fill(NaN);
        const words = await loom.NewNetwork(4, 1, 1, 1, 1);
        await words.SetLayer(0, 0, 0, await loom.InitEmbeddingLayer(8, 3));
        const tokens = await words.ToGPU(Float32Array.from([1, 2, 3, 7]));
        const all = [
          await refused(() => network.ForwardCPU(there)),
          await refused(() => third.ForwardGPU(there)),
          await refused(() => network.ToGPU(nan)),
          await refused(() => network.ToGPU("text")),
          await refused(() => words.ForwardGPU(tokens)),
          await refused(() => network.ForwardGPU(tokens)),
        ];
        return [gap, all];
        """
    )
    gap, refusals = found
    assert gap < 1e-6
    kinds = [kind for kind, _ in refusals]
    assert kinds == [
        *("InputError", "DeviceError", "InputError"),
        *("InputError", "InputError", "ShapeError"),
    ]
    parts = ("got GPUArray", "is another loadLoom()'s", "finite", "expected numbers")
    for (_, text), part in zip(refusals, (*parts, "token ids", "values"), strict=True):
        assert part in text


def test_memory_comes_back(either):
    found = either.run(
        START
        + """
        await network.InitGPU();
        for (let k = 0; k < 3; k++) {
          await network.ForwardGPU(values(200, 0));
          await network.BackwardGPU(values(200, 0, 3));
        }
        const before = await live(), there = await network.ToGPU(values(200, 0));
        const grown = (await live()) - before;
        const flying = network.ForwardGPU(there);
        there.free();
        there.free();
        const length = (await flying)[0].length;
        const failed = await refused(() => network.ForwardGPU(there));
        const freed = (await live()) - before;
        for (let k = 0; k < 1000; k++) await network.ToGPU(values(200, 0));
        let left = Infinity;
        for (let turn = 0; turn < 50 && left > 0; turn++) {
          gc();
          await new Promise((resolve) => setTimeout(resolve, 20));
          left = (await live()) - before;
        }
        network.free();
        return [grown, length, failed, freed, left];
        """
    )
    grown, length, (kind, text), freed, left = found
    assert [grown, length, freed] == [200 * 6 * 4, 600, 0]
    assert left <= 0  # networks of other tests may go meanwhile
    assert (kind, text) == (
        "DeviceError",
        "ForwardGPU: this GPUArray was freed. Send it again.",
    )


def test_a_lost_gpu_takes_them_along(page):
    first, second, gap = page.run(
        START
        + """
        const x = values(2, 0), dy = values(2, 1, 3);
        const there = await network.ToGPU(x), slope = await network.ToGPU(dy);
        for (let k = 0; k < 3; k++) {
          await network.ForwardGPU(there);
          await network.BackwardGPU(slope);
        }
        loom.pyodide.runPython(`
          from loom.gpu import browser
          browser._opened[0].destroy()
        `);
        const all = [];
        for (let k = 0; k < 2; k++) {
          all.push(await network.ForwardGPU(there).catch(refusal));
        }
        const again = await network.ToGPU(x);
        const [y] = await network.ForwardGPU(again);
        return [...all, apart(y, (await network.ForwardCPU(x))[0])];
        """
    )
    for kind, text in (first, second):
        assert kind == "DeviceError"
        assert "this GPUArray was lost with its GPU. Send it again" in text
    assert gap < 1e-6


def test_in_pythons_words(page):
    assert page.run("""
        return loom.pyodide.runPythonAsync(`
            import numpy as np
            import loom
            net = loom.Network.stack(loom.Dense(6, 3, "tanh"), seed=1)
            x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)
            array = await net.to_gpu_async(x)
            y, _ = await net.forward_gpu_async(array)
            dx, _ = await net.backward_gpu_async(await net.to_gpu_async(y))
            expected, _ = net.forward_cpu(x)
            gaps = y - expected, dx - net.backward_cpu(y)[0]
            array.free()
            try:
                await net.forward_gpu_async(array)
            except loom.errors.DeviceError as error:
                text = str(error)
            near = all(np.abs(gap).max() < 1e-6 for gap in gaps)
            near and text.startswith("input x: this GPUArray was freed")
        `);
    """)
