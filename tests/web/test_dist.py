"""web/dist as others use it: the lock file, micropip, a model from elsewhere."""

import json

import numpy as np

import loom

PYODIDE = """
    const { loadPyodide } = await import("/runtime/pyodide.mjs");
    const pyodide = await loadPyodide();
"""
PREDICT = """
    import json, loom
    loom.Network(4, 1, 1, 1, 1).forward_cpu([1, 2, 3, 4])[0].tolist()
"""


def open_page(browser, server):
    from conftest import Page

    return Page(browser, server).open("blank.html")


def test_load_package_from_our_lock_file(browser, server):
    page = open_page(browser, server)
    got = page.run(
        PYODIDE
        + """
        await pyodide.loadPackage("loom-nn");
        return pyodide.runPython(argument).toJs();
        """,
        PREDICT,
    )
    expected = loom.Network(4, 1, 1, 1, 1).forward_cpu([1, 2, 3, 4])[0]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    page.close()


def test_micropip_installs_the_wheel(browser, server):
    page = open_page(browser, server)
    version = page.run(
        PYODIDE
        + """
        await pyodide.loadPackage("micropip");
        const lock = await (await fetch("/runtime/pyodide-lock.json")).json();
        const name = lock.packages["loom-nn"].file_name;
        const wheel = new URL(`/runtime/${name}`, location).href;
        await pyodide.pyimport("micropip").install(wheel);
        return pyodide.runPython("import loom; loom.__version__");
        """
    )
    assert version == loom.__version__
    page.close()


def test_a_model_goes_from_page_to_python_and_back(page, tmp_path):
    net = loom.Network(12, 1, 1, 2, 5)
    net.set_layer(0, 0, 0, loom.Dense(12, 8, "gelu"))
    net.set_layer(0, 0, 1, loom.Dense(8, 3, "linear"))
    x = np.random.default_rng(0).standard_normal((6, 12)).astype(np.float32)
    text, outputs = page.run(
        """
        const network = loom.LoadModelFromString(argument.text, "m");
        const [y] = network.ForwardCPU(argument.x);
        return [JSON.parse(network.SaveModelToString('["m"]'))[0], [...y]];
        """,
        {"text": net.save_model_to_string("m"), "x": x.tolist()},
    )
    expected = net.forward_cpu(x)[0]
    np.testing.assert_allclose(
        np.reshape(outputs, (6, 3)), expected, rtol=1e-5, atol=1e-6
    )
    back = loom.load_model_from_string(text, "m")
    for ours, theirs in zip(net.parameters(), back.parameters(), strict=True):
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_same_seed_same_weights_as_python(page):
    text = page.run("""
        const network = loom.NewNetwork(12, 1, 1, 1, 42);
        network.SetLayer(0, 0, 0, loom.InitDenseLayer(12, 8, "relu"));
        return JSON.parse(network.SaveModelToString('["m"]'))[0];
    """)
    net = loom.Network(12, 1, 1, 1, 42)
    net.set_layer(0, 0, 0, loom.Dense(12, 8, "relu"))
    theirs = loom.load_model_from_string(text, "m").parameters()[0]
    for name, ours in net.parameters()[0].items():
        np.testing.assert_allclose(ours, theirs[name], rtol=1e-6, atol=1e-7)


def test_server_headers(browser, server):
    from urllib.request import Request, urlopen

    request = Request(server + "runtime/pyodide.asm.wasm")
    request.add_header("Accept-Encoding", "br")
    with urlopen(request) as reply:
        assert reply.headers["Content-Type"] == "application/wasm"
        assert reply.headers["Content-Encoding"] == "br"
        policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-inline" not in policy
    with urlopen(server + "loom.mjs") as reply:
        assert reply.headers["Content-Type"] == "text/javascript"
        assert "Content-Encoding" not in reply.headers
    with urlopen(server + "files.json") as reply:
        assert json.load(reply)["version"] == loom.__version__
