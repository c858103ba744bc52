"""The playground's points: in a link, and under a finger."""

import re

from conftest import Page
from playwright.sync_api import expect


def test_a_link_has_the_very_points(browser, server):
    fresh, other = Page(browser, server), Page(browser, server)

    fresh.open_demo()
    plane = fresh.page.locator("#plane")
    plane.scroll_into_view_if_needed()
    plane.click(position={"x": 33, "y": 71})
    expect(fresh.page).to_have_url(re.compile("points="))
    other.open_demo(fresh.page.url.removeprefix(server))
    expect(other.page.locator("#plane-count")).to_have_text("241")
    # Both maps are drawn from the same points and weights, to the pixel.
    digest = """(canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, 640, 640);
      return data.reduce((sum, value, i) => (sum * 31 + value + i) % 4294967291, 7);
    }"""
    sums = [demo.page.locator("#plane").evaluate(digest) for demo in (fresh, other)]
    assert sums[0] == sums[1]
    fresh.close()
    other.close()


def test_a_finger_scrolls_over_the_plane_and_taps_points(browser, server):
    demo = Page(browser, server, viewport={"width": 390, "height": 700}, has_touch=True)
    demo.open_demo()
    plane = demo.page.locator("#plane")
    plane.scroll_into_view_if_needed()
    touch = demo.context.new_cdp_session(demo.page)
    box = plane.bounding_box()
    x, y = box["x"] + 100, box["y"] + 200
    before = demo.page.evaluate("scrollY")
    for name, moved in [("Start", 0), *[("Move", k) for k in range(0, 120, 10)]]:
        points = [{"x": x, "y": y - moved}]
        event = {"type": f"touch{name}", "touchPoints": points}
        touch.send("Input.dispatchTouchEvent", event)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    demo.page.wait_for_timeout(300)
    assert demo.page.evaluate("scrollY") > before + 50
    expect(demo.page.locator("#plane-count")).to_have_text("240")
    plane.tap(position={"x": 80, "y": 80})
    expect(demo.page.locator("#plane-count")).to_have_text("241")
    demo.close()
