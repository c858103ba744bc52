"""What a real GPU runs, in the words of a browser's compiler.

The adapter of these tests is a processor, for which programs take other kernels; and
the compiler of the browser is stricter than the native one, on barriers for example.
"""

import pytest
from conftest import Page

from tests.gpu.test_shaders import DEVICES, pipelines

COMPLAINTS = """
    const adapter = await navigator.gpu.requestAdapter();
    const features = [...adapter.features].filter((name) => name === "subgroups");
    const device = await adapter.requestDevice({ requiredFeatures: features });
    device.addEventListener("uncapturederror", (event) => event.preventDefault());
    const found = [];
    for (const [label, code] of argument) {
      const info = await device.createShaderModule({ code }).getCompilationInfo();
      const errors = info.messages.filter((message) => message.type === "error");
      found.push(...errors.map((error) => `${label}: ${error.message}`));
    }
    device.destroy();
    return found;
"""


@pytest.mark.parametrize("name", DEVICES)
def test_the_browser_takes_every_text(browser, server, name):
    texts: dict[str, str] = {}
    for row in pipelines(DEVICES[name], "f32"):
        enables = "".join(f"enable {feature};\n" for feature in row.features)
        texts.setdefault(enables + row.source(), row.label)
    page = Page(browser, server).open("blank.html")
    try:
        found = page.run(COMPLAINTS, [[label, code] for code, label in texts.items()])
    finally:
        page.context.close()
    assert not found, found[:3]
    assert len(texts) > 50
