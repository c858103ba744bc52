"""What the page's GPU leaves behind, at few rows and many; opened twice."""

import numpy as np

ROWS = (1, 3, 4, 5, 32)


def test_cycles_of_any_rows_leave_nothing(page):
    """Networks made, run both ways, trained and freed: no bytes, objects or handles."""
    pairs = page.run(f"""
        const cycle = async (rows, seed) => {{
          const network = loom.NewNetwork(12, 1, 1, 1, seed);
          network.SetLayer(0, 0, 0, loom.InitDenseLayer(12, 9, "tanh"));
          const x = new Float32Array(12 * rows).fill(0.5);
          const t = new Float32Array(9 * rows);
          x.shape = [rows, 12];
          t.shape = [rows, 9];
          await network.InitGPU();
          for (let i = 0; i < 3; i++) await network.ForwardGPU(x);
          await network.BackwardGPU(t);
          await network.Train([[x, t]], {{ Epochs: 2, UseGPU: true }});
          await network.ReleaseGPU();
          network.free();
        }};
        const sizes = async () => {{
          gc();
          await new Promise((resolve) => setTimeout(resolve, 50));
          gc();
          const [live, networks, objects] = loom.pyodide.runPython(`
            import gc
            from loom import browser
            from loom.gpu import browser as gpu
            gc.collect()
            counts = (
                gpu._opened[0].live_bytes, len(browser._networks), len(gc.get_objects())
            )
            " ".join(map(str, counts))
          `).split(" ").map(Number);
          const wasm = loom.pyodide._module.HEAP8.length;
          return {{ live, networks, objects, wasm,
            javascript: performance.memory.usedJSHeapSize }};
        }};
        const out = [];
        for (const rows of {list(ROWS)}) {{
          for (let i = 0; i < 5; i++) await cycle(rows, i);
          await sizes();
          const before = await sizes();
          for (let i = 0; i < 50; i++) await cycle(rows, i);
          out.push([before, await sizes()]);
        }}
        return out;
    """)
    for rows, (before, after) in zip(ROWS, pairs, strict=True):
        grown = {name: after[name] - before[name] for name in after}
        assert grown.pop("javascript") < 400_000, rows
        assert set(grown.values()) == {0}, (rows, grown)


def test_opened_again_it_keeps_what_is_there_unless_asked_for_another(either):
    found = either.run("""
        const network = await loom.NewNetwork(8, 1, 1, 1, 1);
        await network.SetLayer(0, 0, 0, await loom.InitDenseLayer(8, 4, "tanh"));
        const x = new Float32Array(24).fill(0.5);
        x.shape = [3, 8];
        await network.InitGPU();
        const [first] = await network.ForwardGPU(x);
        await network.InitGPU();
        const [dx] = await network.BackwardGPU(new Float32Array(12).fill(1));
        const [again] = await network.ForwardGPU(x);
        await network.InitGPU("auto");
        const gone = await network.BackwardGPU(first).catch((error) => error.message);
        const [other] = await network.ForwardGPU(x);
        const refused = await network.InitGPU("f8").catch((error) => error.message);
        const [last] = await network.ForwardGPU(x);
        network.free();
        const all = [first, again, other, last].map((y) => [...y]);
        return { all, dx: dx.length, gone, refused };
    """)
    assert found["dx"] == 24
    assert "run forward_gpu first" in found["gone"]
    assert "unknown precision 'f8'" in found["refused"]
    first, *others = (np.array(row) for row in found["all"])
    for other in others:
        np.testing.assert_allclose(other, first, rtol=2e-3)  # "auto" may mean halves
