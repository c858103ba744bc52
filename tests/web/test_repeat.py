"""Passes that JavaScript makes again by itself, never of old weights.

Each test has ForwardGPU beside ForwardCPU, which Python always makes. That looks at the
weights, so that Python makes the next pass on the GPU: several are compared together.
"""

from agreement import VALUES

START = (
    VALUES
    + """
    const network = await loom.NewNetwork(6, 1, 1, 2, 1);
    const dense = await loom.InitDenseLayer(6, 5, "tanh");
    await network.SetLayer(0, 0, 0, dense);
    await network.SetLayer(0, 0, 1, await loom.InitDenseLayer(5, 3, "linear"));
    /** Of passes on the GPU the greatest distance from the CPU's. */
    const check = async (...inputs) => {
      const outputs = [], gaps = [];
      for (const x of inputs) outputs.push((await network.ForwardGPU(x))[0]);
      for (const [i, x] of inputs.entries()) {
        gaps.push(apart(outputs[i], (await network.ForwardCPU(x))[0]));
      }
      return Math.max(...gaps);
    };
    const refusal = ({ kind, message }) => [kind, message];
"""
)
# How many passes Python makes from here on.
COUNTED = """
    const python = loom.pyodide;
    python.runPython(`
      from loom.gpu.asynchronous import AsyncSession
      plain, passes = AsyncSession.forward, []
      async def counted(session, x):
          passes.append(len(x))
          return await plain(session, x)
      AsyncSession.forward = counted
    `);
    const made = () => python.runPython("found, passes[:] = len(passes), []; found");
    const net = (line) => python.runPython(`
      from loom import browser
      net = next(n for n in browser._networks.values() if n.input_size == 6)
      ${line}
    `);
"""
DONE = """
    python.runPython("AsyncSession.forward, net = plain, None");
    network.free();
"""


def test_a_call_like_one_before_is_not_made_by_python(page):
    found = page.run(
        START
        + COUNTED
        + """
        const inputs = [values(2, 0), values(4, 1), values(1, 2), values(2, 3)];
        const flat = values(1, 7).slice();
        inputs.push(flat);
        const gap = await check(...inputs, ...inputs, ...inputs);
        const counts = [made()];
        const result = await network.ForwardGPU(flat);
        // Other types and nested lists are Python's.
        await network.ForwardGPU(Float64Array.from(flat));
        await network.ForwardGPU([[...flat], [...flat]]);
        counts.push(made());
        """
        + DONE
        + "return [gap, counts, result[0].length, typeof result[1], result[1] > 0];"
    )
    gap, counts, *rest = found
    assert gap < 1e-6
    # Of one, two and four rows, of one flat; the second of two rows is like the first.
    assert counts == [4, 3]
    assert rest == [3, "number", True]


def test_weights_that_changed_between_two_calls_are_used(page):
    found = page.run(
        START
        + COUNTED
        + """
        const x = values(2, 0), gaps = [], counts = [];
        // Two passes after a change, compared; then one before a repeated one.
        const twice = async () => {
          made();
          gaps.push(await check(x, x));
          counts.push(made());
          await network.ForwardGPU(x);
        };
        await twice();
        net("net.layers[0].parameters['weight'][:] *= 3");
        await twice();
        net("held = net.layers[1].parameters['bias']");
        await twice();
        python.runPython("held[:] = 7");
        await twice();
        python.runPython("del held");
        await twice();
        network.BackwardCPU(values(2, 5, 3));
        network.UpdateWeights(0.5);
        await twice();
        network.SetLayer(0, 0, 0, loom.InitDenseLayer(6, 5, "sigmoid"));
        await twice();
        """
        + DONE
        + "return [gaps, counts];"
    )
    gaps, counts = found
    assert max(gaps) < 1e-5
    # Held arrays may change at any time: Python makes every pass.
    assert counts == [1, 1, 2, 2, 1, 1, 1]


def test_a_backward_pass_like_one_before_is_not_made_by_python(page):
    found = page.run(
        START
        + COUNTED.replace(".forward", ".backward")
        + """
        const back = async (kind, k) => {
          await network[`Forward${kind}`](values(2, k));
          const [dx] = await network[`Backward${kind}`](values(2, k + 9, 3));
          return dx;
        };
        const all = (lists) => lists.flatMap((list) => [...list]);
        const results = [];
        for (let k = 0; k < 6; k++) results.push(await back("GPU", k));
        const counts = [made()];
        const kernel = all(network.call("KernelGradients"));
        const bias = all(network.call("BiasGradients"));
        const again = all(network.call("KernelGradients"));
        counts.push(made());
        const nothing = values(2, 0, 3).fill(NaN);
        const wrong = await network.BackwardGPU(nothing).catch(refusal);
        const gaps = [];
        for (let k = 0; k < 6; k++) gaps.push(apart(results[k], await back("CPU", k)));
        const gap = (a, b) => Math.max(...a.map((v, i) => Math.abs(v - b[i])));
        gaps.push(gap(kernel, all(network.call("KernelGradients"))));
        gaps.push(gap(bias, all(network.call("BiasGradients"))), gap(kernel, again));
        """
        + DONE.replace(".forward", ".backward")
        + "return [counts, gaps, kernel.length, bias.length, wrong];"
    )
    counts, gaps, kernels, biases, wrong = found
    assert max(gaps) < 1e-5
    assert (kernels, biases) == (6 * 5 + 5 * 3, 5 + 3)
    assert counts == [1, 0]
    assert wrong[0] == "InputError"


def test_results_are_written_one_over_the_other_where_allowed(page):
    found = page.run(
        START
        + """
        const passes = async (k) => {
          const [y] = await network.ForwardGPU(values(2, k));
          const [dx] = await network.BackwardGPU(values(2, k + 9, 3));
          return [y, dx];
        };
        await passes(0);
        await passes(0);
        const kept = await passes(1);
        network.reuse();
        const old = await passes(2), now = await passes(3);
        const same = old.map((array, i) => array.buffer === now[i].buffer);
        network.reuse(false);
        const after = await passes(4);
        const fresh = after.map((array, i) => array.buffer !== now[i].buffer);
        const gaps = [];
        for (const [k, [y, dx]] of [[1, kept], [3, now], [4, after]]) {
          gaps.push(apart(y, (await network.ForwardCPU(values(2, k)))[0]));
          gaps.push(apart(dx, (await network.BackwardCPU(values(2, k + 9, 3)))[0]));
        }
        network.free();
        return [same, fresh, gaps, now[0].shape];
        """
    )
    same, fresh, gaps, shape = found
    assert same == [True, True]
    assert fresh == [True, True]
    assert max(gaps) < 1e-5
    assert shape == [2, 3]


def test_a_worker_says_that_its_results_are_new(worker):
    kind, message = worker.run(
        START
        + """
        try { network.reuse(); } catch (error) { return refusal(error); }
        finally { network.free(); }
        """
    )
    assert kind == "WireError"
    assert "worker" in message


def test_backward_follows_the_pass_that_was_made_again(either):
    gaps = either.run(
        START
        + """
        const gaps = [];
        for (const [rows, k] of [[2, 0], [2, 1], [4, 2], [4, 3], [2, 4], [1, 5]]) {
          const x = values(rows, k), dy = values(rows, k + 9, 3);
          gaps.push(await check(x, x));
          await network.ForwardGPU(values(4, k));
          await network.ForwardGPU(x);
          const dx = [await network.BackwardGPU(dy), await network.BackwardCPU(dy)];
          gaps.push(apart(dx[0][0], dx[1][0]));
        }
        // Read at once: what is written later is no part of the call.
        const kept = values(2, 20), changing = kept.slice();
        changing.shape = kept.shape;
        await check(kept);
        await network.ForwardGPU(kept);
        const flying = network.ForwardGPU(changing);
        changing.fill(NaN);
        gaps.push(apart((await flying)[0], (await network.ForwardCPU(kept))[0]));
        // Asked for at once, in order.
        const x = values(2, 11), dy = values(2, 12, 3);
        await check(x);
        await network.ForwardGPU(values(4, 0));
        await network.ForwardGPU(values(2, 0));
        const both = [network.ForwardGPU(x), network.BackwardGPU(dy)];
        const [, [dx]] = await Promise.all(both);
        await network.ForwardCPU(x);
        gaps.push(apart(dx, (await network.BackwardCPU(dy))[0]));
        const many = Array.from({ length: 20 }, (_, k) => values(2, k));
        const all = await Promise.all(many.map((one) => network.ForwardGPU(one)));
        for (const [k, one] of many.entries()) {
          gaps.push(apart(all[k][0], (await network.ForwardCPU(one))[0]));
        }
        network.free();
        return gaps;
        """
    )
    assert max(gaps) < 1e-6


def test_what_is_wrong_is_told_as_by_python(either):
    first, later, gap = either.run(
        START
        + """
        const wrong = [values(2, 0, 5), values(2, 0).slice(), values(2, 0)];
        wrong[2][7] = NaN;
        wrong.push(Object.assign(new Float32Array(11), { shape: [2, 6] }));
        const refused = async () => {
          const words = [];
          for (const x of wrong) words.push(await network.ForwardGPU(x).catch(refusal));
          return words;
        };
        await network.InitGPU();
        const first = await refused();
        await network.ForwardGPU(values(2, 1));
        await network.ForwardGPU(values(2, 1));
        const later = await refused();
        const gap = await check(values(2, 2));
        await network.ForwardGPU(wrong[2]).catch(refusal);
        // What the last pass kept was overwritten.
        later.push(await network.BackwardGPU(values(2, 1, 3)).catch(refusal));
        network.free();
        return [first, later, gap];
        """
    )
    assert [kind for kind, _ in first] == [
        *("ShapeError", "ShapeError", "InputError", "ShapeError"),
    ]
    assert later[:4] == first
    assert later[4][0] == "DeviceError"
    assert "Run forward_gpu again" in later[4][1]
    assert gap < 1e-6


def test_tokens_are_looked_at_each_time(page):
    found = page.run("""
        const network = loom.NewNetwork(4, 1, 1, 1, 1);
        network.SetLayer(0, 0, 0, loom.InitEmbeddingLayer(8, 3));
        const x = Float32Array.from([1, 2, 3, 7]);
        for (let i = 0; i < 3; i++) await network.ForwardGPU(x);
        x[2] = 8;
        return network.ForwardGPU(x).catch((error) => error.message);
    """)
    assert "expected whole token ids from 0 to 7, got 8.0 at index (0, 2)" in found


def test_a_lost_gpu_and_a_released_one(page):
    found = page.run(
        START
        + COUNTED
        + """
        const x = values(2, 0), gaps = [], counts = [];
        const thrice = async () => {
          gaps.push(await check(x, x, x));
          counts.push(made());
          await network.ForwardGPU(x);
          made();
        };
        await thrice();
        net("net.session().device.destroy()");
        await thrice();
        const { notice } = await network.call("GPUInfo");
        await network.ReleaseGPU();
        await thrice();
        await network.Train([x, values(2, 5, 3)], { Epochs: 4, UseGPU: true });
        await thrice();
        // Lost under way.
        const flying = network.ForwardGPU(x);
        net("net.session().device.destroy()");
        gaps.push(apart((await flying)[0], (await network.ForwardCPU(x))[0]));
        """
        + DONE
        + "return [gaps, counts, notice];"
    )
    gaps, counts, notice = found
    assert max(gaps) < 1e-5
    # After training the weights are on the GPU as they are in Python.
    assert counts == [1, 1, 1, 0]
    assert "was lost. It was opened again" in notice


def test_large_inputs_are_all_their_own(either):
    """Buffers that are kept carry them: two at once, then one after another."""
    gap = either.run(
        START
        + """
        const rows = [60000, 50000, 60001, 60002, 60003];
        const inputs = rows.map((n, k) => values(n, k));
        inputs.push(values(60000, 8), values(50000, 9), values(60000, 10));
        await network.InitGPU();
        await check(...inputs, ...inputs);
        const both = [8, 9].map((k) => values(60000, k));
        const [a, b] = await Promise.all(both.map((x) => network.ForwardGPU(x)));
        const gaps = [await check(...inputs)];
        for (const [i, [y]] of [a, b].entries()) {
          gaps.push(apart(y, (await network.ForwardCPU(both[i]))[0]));
        }
        network.free();
        return Math.max(...gaps);
        """
    )
    assert gap < 1e-6
