"""What everyone must be able to use: names, contrast, order, 320 px, dark and light."""

import pytest
from conftest import Page
from playwright.sync_api import expect

NAMED = {
    "button",
    "textbox",
    "searchbox",
    "combobox",
    "spinbutton",
    "listbox",
    "radio",
    "link",
    "img",
    "image",
    "application",
    "region",
    "group",
    "table",
    "progressbar",
}
# Text whose contrast with what lies behind it is below WCAG's AA.
CONTRAST = """
    const settings = { willReadFrequently: true };
    const scratch = new OffscreenCanvas(1, 1).getContext("2d", settings);
    const rgba = (css) => {
      scratch.clearRect(0, 0, 1, 1);
      scratch.fillStyle = css;
      scratch.fillRect(0, 0, 1, 1);
      return [...scratch.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (colour) => {
      const [r, g, b] = colour.map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = rgba(getComputedStyle(at).backgroundColor);
        if (colour[3] === 255) return colour;
      }
      return [255, 255, 255, 255];
    };
    const bad = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      const text = walker.currentNode.textContent.trim();
      if (!text || !element.checkVisibility({ visibilityProperty: true })) continue;
      if (element.closest(":disabled, option, [aria-hidden=true]")) continue;
      if (element.closest(".visually-hidden")) continue;
      const style = getComputedStyle(element);
      const [a, b] = [luminance(rgba(style.color)), luminance(behind(element))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const large = parseFloat(style.fontSize) >= 24;
      if (ratio >= (large ? 3 : 4.5)) continue;
      bad.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return bad;
"""
STRUCTURE = """
    const all = (selector) => [...document.querySelectorAll(selector)];
    const ids = all("[id]").map((e) => e.id);
    const levels = all("h1, h2, h3, h4").map((e) => +e.tagName[1]);
    const small = all("button, input, select, textarea, a")
      .filter((e) => e.checkVisibility() && !e.closest(".visually-hidden, p, .skip"))
      .filter((e) => !e.matches(".brush input"))
      .map((e) => [e.id || e.textContent.trim(), e.getBoundingClientRect()])
      .filter(([, box]) => box.width > 0 && (box.width < 24 || box.height < 24));
    const points = ["aria-labelledby", "aria-describedby"];
    return {
      twice: ids.filter((id, i) => ids.indexOf(id) !== i),
      jumps: levels.filter((level, i) => i && level > levels[i - 1] + 1),
      tabindex: all("[tabindex]").map((e) => e.tabIndex).filter((index) => index > 0),
      unlabelled: all("input, select, textarea")
        .filter((e) => !e.labels?.length && !e.getAttribute("aria-label"))
        .map((e) => e.id),
      lost: points.flatMap((name) => all(`[${name}]`).map((e) => e.getAttribute(name)))
        .filter((id) => !document.getElementById(id)),
      language: document.documentElement.lang,
      main: all("main").length,
      small: small.map(([name]) => name),
    };
"""
CONTROLS = """
theme example epochs rate seed start reset save open link pad clear sample plane brush-1
plane-set plane-depth plane-units plane-activation plane-rate plane-seed plane-start
plane-reset plane-clear method-filter method arguments run reply copy
"""


@pytest.fixture(scope="module", params=["light", "dark"])
def look(browser, server, request):
    """The page trained, in each colour scheme, as wide as a small phone."""
    size = {"width": 320, "height": 640}
    page = Page(
        browser,
        server,
        viewport=size,
        color_scheme=request.param,
        reduced_motion="reduce",
    )
    page.scheme = request.param
    page.open_demo("?epochs=3")
    page.page.click("#start")
    expect(page.page.locator("#status")).to_have_text("Trained", timeout=60_000)
    expect(page.page.locator("#evaluate-summary")).to_contain_text("right")
    yield page
    page.close()


def test_everything_has_a_name(look):
    session = look.context.new_cdp_session(look.page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    assert len(nodes) > 300
    nameless = [
        (node["role"]["value"], node.get("backendDOMNodeId"))
        for node in nodes
        if not node["ignored"]
        and node["role"]["value"] in NAMED
        and not node.get("name", {}).get("value", "").strip()
    ]
    assert nameless == []


def test_structure(look):
    found = look.run(STRUCTURE)
    assert found == {
        "twice": [],
        "jumps": [],
        "tabindex": [],
        "unlabelled": [],
        "lost": [],
        "language": "en",
        "main": 1,
        "small": [],
    }


def test_contrast(look):
    assert look.run(CONTRAST) == []


def test_no_horizontal_scroll_at_320_px(look):
    widths = look.run("""
        const wide = [...document.querySelectorAll("main *")].filter((element) => {
          const box = element.getBoundingClientRect();
          return box.right > 320.5 && !element.closest(".scroll, .code, .visually-hidden");
        });
        return [document.documentElement.scrollWidth, wide.map((e) => e.id || e.className)];
    """)  # noqa: E501
    assert widths == [320, []]


def test_colours_follow_the_scheme_and_the_button(look):
    ground = "return getComputedStyle(document.documentElement).backgroundColor;"
    first = look.run(ground)
    assert (
        first == {"light": "rgb(247, 245, 241)", "dark": "rgb(19, 20, 23)"}[look.scheme]
    )
    look.page.click("#theme")
    second = look.run(ground)
    assert second != first
    other = {"light": "Light colours", "dark": "Dark colours"}[look.scheme]
    expect(look.page.locator("#theme-label")).to_have_text(other)
    assert look.run(CONTRAST) == []
    look.open_demo()
    assert look.run(ground) == second  # it is remembered
    look.page.click("#theme")


def test_the_keyboard_reaches_every_control(browser, server):
    page = Page(browser, server).open_demo()
    reached = set()
    page.page.keyboard.press("Tab")
    assert page.run("return document.activeElement.textContent;") == "Skip to training"
    for _ in range(120):
        page.page.keyboard.press("Tab")
        reached.add(page.run("return document.activeElement.id;"))
        if "copy" in reached:
            break
    assert set(CONTROLS.split()) - reached == set()
    page.close()
