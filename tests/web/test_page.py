"""The page itself, used as a person would: trains, reads drawings, opens files."""

import json
import re

import numpy as np
import pytest
from conftest import Page
from playwright.sync_api import expect

import loom
from loom import examples

LONG = 120_000  # ms: a shared CI machine
READY = "html[data-ready]"


@pytest.fixture(scope="module")
def demo(browser, server):
    """The page with the digits' network trained, once for all tests that look at it."""
    demo = Page(browser, server, viewport={"width": 1280, "height": 900}).open_demo()
    train(demo)
    readings = ("metric", "loss", "epoch", "time")
    demo.readings = [demo.page.inner_text(f"#{name}") for name in readings]
    yield demo
    demo.close()


@pytest.fixture
def fresh(browser, server):
    """A page of its own for a test that changes it."""
    page = Page(browser, server, viewport={"width": 1280, "height": 900})
    yield page
    page.close()


def train(demo) -> None:
    demo.page.click("#start")
    expect(demo.page.locator("#status")).to_have_text("Trained", timeout=LONG)


def draw(demo, *strokes) -> None:
    """Draw on the pad; points are fractions of its width and height."""
    mouse, pad = demo.page.mouse, demo.page.locator("#pad")
    demo.page.click("#clear")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    for stroke in strokes:
        for number, (x, y) in enumerate(stroke):
            mouse.move(
                box["x"] + x * box["width"], box["y"] + y * box["height"], steps=6
            )
            if number == 0:
                mouse.down()
        mouse.up()


def circle(x, y, across, down):
    turn = np.linspace(0, 2 * np.pi, 24)
    return [
        (x + across * np.sin(t), y - down * np.cos(t)) for t in turn
    ]  # clockwise from the top


DRAWINGS = {
    "0": [circle(0.5, 0.5, 0.2, 0.34)],
    "1": [[(0.36, 0.3), (0.52, 0.15), (0.52, 0.85)]],
    "7": [[(0.3, 0.18), (0.7, 0.18), (0.46, 0.85)]],
    "4": [[(0.55, 0.15), (0.25, 0.58), (0.75, 0.58)], [(0.6, 0.35), (0.6, 0.88)]],
}
PREDICT = """
    const { input } = argument;
    const x = Float32Array.from(input.flat());
    x.shape = [input.length, input[0].length];
    const [y] = await network.ForwardCPU(x);
    return [...y];
"""


def held_out(name="digits"):
    return examples.example(name).task(1).held_out[0]


def test_digits_reach_96_percent_in_under_60_seconds(demo):
    page = demo.page
    metric, loss, epoch, time = demo.readings
    assert float(metric.rstrip("%")) >= 96
    assert float(time.split()[0]) < 60
    assert epoch == "30 of 30"
    assert float(loss) < 0.1
    # Both curves are there, in ink: not one colour all over.
    for chart in ("#accuracy-chart", "#loss-chart"):
        colours = page.locator(f"{chart} canvas").evaluate("""(canvas) => {
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return new Set(new Uint32Array(data.buffer)).size;
        }""")
        assert colours > 4
        name = page.locator(chart).aria_snapshot().strip("-' ")
        assert re.match('img "(Held-out accuracy|Loss): .* after epoch 30"', name)


@pytest.mark.parametrize("digit", DRAWINGS)
def test_a_drawn_digit_is_recognised(demo, digit):
    draw(demo, *DRAWINGS[digit])
    verdict = demo.page.locator("#verdict b")
    expect(verdict).to_have_text(digit)
    best = demo.page.locator("#bars .best")
    expect(best.locator("span").first).to_have_text(digit)
    assert float(best.locator(".value").inner_text().rstrip("%")) > 50


def test_drawing_with_the_keyboard(demo):
    page = demo.page
    page.click("#clear")
    expect(page.locator("#verdict")).to_have_text("Draw, and it reads along.")
    page.focus("#pad")
    for _ in range(6):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(11):
        page.keyboard.press("Shift+ArrowDown")
    expect(page.locator("#verdict b")).to_have_text("1")
    assert page.inner_text("#pad-cell") == "Row 14, column 9"
    page.keyboard.press("Delete")
    expect(page.locator("#verdict")).to_have_text("Draw, and it reads along.")
    expect(page.locator("#pad-hint")).to_be_visible()


def test_a_saved_model_opens_with_the_same_predictions(demo, tmp_path):
    page, x = demo.page, held_out()
    before = demo.run(PREDICT, {"input": x.tolist()})
    with page.expect_download() as download:
        page.click("#save")
    file = tmp_path / download.value.suggested_filename
    assert file.name == "digits.loom.json"
    download.value.save_as(file)
    page.set_input_files("#open", file)
    expect(page.locator("#file-note")).to_contain_text("Opened digits.loom.json")
    expect(page.locator("#evaluate-summary")).to_contain_text("right")
    assert demo.run(PREDICT, {"input": x.tolist()}) == before
    # And natively.
    net = loom.load_model(file)
    native = net.forward_cpu(x)[0]
    np.testing.assert_allclose(
        np.reshape(before, native.shape), native, rtol=2e-4, atol=2e-4
    )
    accuracy = np.mean(
        native.argmax(1) == examples.example("digits").task(1).held_out[1]
    )
    assert accuracy >= 0.96


@pytest.mark.parametrize("name", ["digits", "wine"])
def test_a_model_trained_natively_opens_by_drop(fresh, name, tmp_path):
    net, _, accuracy = examples.train(examples.example(name), epochs=5)
    text = net.save_model_to_string()
    fresh.open_demo()
    drop(fresh, "native.loom.json", text)
    page = fresh.page
    expect(page.locator("#file-note")).to_contain_text("Opened native.loom.json")
    expect(page.locator("#example")).to_have_value(name)
    expect(page.locator("#evaluate-summary")).to_contain_text(f"{accuracy:.1%} right")
    # It goes out as it came in: plain values in, the same numbers.
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "back.json")
    back = loom.load_model(tmp_path / "back.json")
    x = held_out(name)
    np.testing.assert_allclose(
        back.forward_cpu(x)[0], net.forward_cpu(x)[0], rtol=1e-3, atol=1e-3
    )


def drop(demo, name, text) -> None:
    demo.run(
        """
        const files = new DataTransfer();
        files.items.add(new File([argument[1]], argument[0]));
        for (const kind of ["dragover", "drop"]) {
          const event = new DragEvent(kind, {
            dataTransfer: files, bubbles: true, cancelable: true,
          });
          document.body.dispatchEvent(event);
        }
        """,
        [name, text],
    )


def test_a_file_that_is_no_model_says_so_and_changes_nothing(demo):
    before = demo.page.inner_text("#network-summary")
    drop(demo, "bad.json", '{"type": "modelhost/bundle", "version": 9}')
    note = demo.page.locator("#file-note")
    expect(note).to_contain_text("version: expected 1, got 9")
    expect(note).to_have_class("hush failed")
    assert demo.page.inner_text("#network-summary") == before


def test_a_table_dropped_onto_the_page_is_learnt(fresh):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((120, 3)).round(3)
    lines = [f"{a},{b},{c},{'yes' if a + b > c else 'no'}" for a, b, c in rows]
    fresh.open_demo()
    drop(fresh, "choice.csv", "\n".join(["a,b,c,chosen", *lines]))
    page = fresh.page
    expect(page.locator("#example")).to_have_value("choice.csv")
    expect(page.locator("#target")).to_have_value("chosen")
    expect(page.locator("#draw")).to_be_hidden()
    train(fresh)
    assert float(page.inner_text("#metric").rstrip("%")) >= 90
    expect(page.locator("#evaluate-summary")).to_contain_text("24 samples")
    # Another column: a regression.
    page.select_option("#target", "a")
    expect(page.locator("#metric-name")).to_have_text("Held-out score, standardised")
    expect(page.locator("#about")).to_contain_text("Text is left out: chosen.")
    train(fresh)
    expect(page.locator("#evaluate-summary")).to_contain_text("Score")
    expect(page.locator("#confusion-part")).to_be_hidden()
    expect(page.locator("#gallery-title")).to_have_text("Furthest off (24)")
    assert "choice" not in page.url
    drop(fresh, "bad.csv", "a,b\n1,2\n3\n")
    expect(page.locator("#file-note")).to_contain_text("line 3: expected 2 values")


def test_pause_go_on_and_stop(fresh):
    fresh.open_demo("?epochs=10000")
    page = fresh.page
    page.click("#start")
    expect(page.locator("#epoch")).not_to_have_text("–")
    expect(page.locator("#start")).to_be_disabled()
    page.click("#pause")
    expect(page.locator("#status")).to_have_text("Paused")
    expect(page.locator("#evaluate-summary")).to_contain_text("right")
    page.wait_for_timeout(300)
    epoch, time = page.inner_text("#epoch"), page.inner_text("#time")
    page.wait_for_timeout(700)
    assert (page.inner_text("#epoch"), page.inner_text("#time")) == (epoch, time)
    page.click("#pause")
    expect(page.locator("#status")).to_have_text("Training")
    expect(page.locator("#epoch")).not_to_have_text(epoch)
    # The pause is not in the time.
    assert float(page.inner_text("#time").split()[0]) < float(time.split()[0]) + 0.6
    page.click("#stop")
    expect(page.locator("#status")).to_have_text("Stopped")
    expect(page.locator("#start")).to_be_enabled()
    page.click("#reset")
    expect(page.locator("#status")).to_have_text("Ready")
    expect(page.locator("#epoch")).to_have_text("–")
    expect(page.locator("#evaluation")).to_be_hidden()


def test_stop_while_paused(fresh):
    fresh.open_demo("?epochs=10000")
    page = fresh.page
    page.click("#start")
    expect(page.locator("#epoch")).not_to_have_text("–")
    page.click("#pause")
    page.click("#stop")
    expect(page.locator("#status")).to_have_text("Stopped")


def test_a_rate_that_blows_up_is_told(fresh):
    fresh.open_demo("?example=iris&rate=10")
    fresh.run("document.getElementById('rate').max = 1e30;")
    fresh.page.fill("#rate", "1e22")
    fresh.page.click("#start")
    expect(fresh.page.locator("#train-error")).to_contain_text("Set learning_rate")
    expect(fresh.page.locator("#start")).to_be_enabled()


def test_buckets_and_confusion_cells_open_their_samples(demo):
    page = demo.page
    rows = page.locator("#buckets button")
    assert rows.count() == 7
    first = rows.first
    count = int(first.locator(".count").inner_text().split()[0])
    first.click()
    expect(page.locator("#gallery-title")).to_have_text(f"Deviation 0-10% ({count})")
    expect(first).to_have_attribute("aria-pressed", "true")
    assert page.locator("#gallery li").count() == 60
    cell = page.locator("#confusion tbody tr:nth-child(4) td.right button")
    assert "of 3 read as 3" in cell.get_attribute("aria-label")
    cell.click()
    title = f"3 read as 3 ({cell.inner_text()})"
    expect(page.locator("#gallery-title")).to_have_text(title)
    expect(first).to_have_attribute("aria-pressed", "false")
    page.click("#gallery-wrong")
    expect(page.locator("#gallery-title")).to_contain_text("Misread samples")
    # The counts are those of Python for the same file.
    total = sum(
        int(t.split()[0]) for t in page.locator("#buckets .count").all_inner_texts()
    )
    cells = page.locator("#confusion button").all_inner_texts()
    assert total == sum(map(int, cells)) == 359
    # A sample goes onto the pad.
    cell.click()
    page.locator("#gallery button").first.click()
    expect(page.locator("#verdict")).to_contain_text("it is 3")


def test_the_grid_shows_activations_and_weights(demo):
    page = demo.page
    layers = page.locator("#grid .layer")
    assert layers.count() == 2
    painted = """(canvas) => {
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        return [width, height, new Set(new Uint32Array(data.buffer)).size];
    }"""
    width, height, colours = layers.first.locator("canvas").evaluate(painted)
    assert (width, height) == (12, 11)  # 128 values
    assert colours > 10
    layers.first.click()
    expect(page.locator("#layer-note")).to_contain_text("each of the 128 units")
    pictures = page.locator("#weights canvas")
    assert pictures.count() == 96
    assert pictures.first.evaluate(painted)[:2] == [8, 8]
    layers.nth(1).click()
    expect(page.locator("#weights canvas")).to_have_count(1)
    assert pictures.first.evaluate(painted)[:2] == [10, 128]
    expect(layers.nth(1)).to_have_attribute("aria-pressed", "true")


def test_the_explorer_is_the_reflection_and_runs_methods(demo):
    page = demo.page
    names = page.locator("#method option").all_inner_texts()
    assert names == loom.Network(1, 1, 1, 1).list_methods()
    page.fill("#method-filter", "total")
    page.select_option("#method", "TotalLayers")
    assert page.inner_text("#method-signature") == "() → int"
    page.click("#run")
    expect(page.locator("#reply")).to_have_text("[\n 2\n]")
    page.fill("#method-filter", "")
    page.select_option("#method", "SetLayer")
    expect(page.locator("#arguments")).to_have_value(re.compile('"InputHeight":64'))
    page.click("#run")
    expect(page.locator("#call-time")).to_contain_text("Done in")
    page.select_option("#method", "ForwardCPU")
    expect(page.locator("#arguments")).to_have_value(re.compile(r"^\[\[0"))
    assert len(json.loads(page.input_value("#arguments"))[0]) == 64
    page.click("#run")
    expect(page.locator("#call-time")).to_contain_text("Done in")
    page.fill("#arguments", "[[1, 2]]")
    page.click("#run")
    expect(page.locator("#reply")).to_contain_text("expected 1 x 64 = 64 values")
    expect(page.locator("#call-time")).to_contain_text("Refused")
    # With the arguments that are offered, a method answers or says what is missing.
    for name in names:
        page.select_option("#method", name)
        if name in ("Train", "UpdateWeights", "SetLayer", "SetBatchSize"):
            continue
        page.click("#run")
        expect(page.locator("#call-time")).to_contain_text(" ms")
        assert "TypeError" not in page.inner_text("#reply"), name


def test_playground_learns_and_takes_points(fresh):
    fresh.open_demo("?set=rings&units=8&pseed=3")
    page = fresh.page
    assert page.input_value("#plane-units") == "8"
    page.click("#plane-start")
    expect(page.locator("#plane-status")).to_have_text("Training")
    page.wait_for_timeout(2500)
    page.click("#plane-start")
    expect(page.locator("#plane-start")).to_have_text("Train")
    assert float(page.inner_text("#plane-loss")) < 0.1
    # Points by click and by keyboard, of a class that is new.
    page.locator("#brush-3").check(force=True)
    plane = page.locator("#plane")
    plane.click(position={"x": 40, "y": 40})
    expect(page.locator("#plane-count")).to_have_text("241")
    expect(page).to_have_url(re.compile("points="))
    before = page.url
    plane.focus()
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.locator("#plane-count")).to_have_text("242")
    assert page.inner_text("#plane-cell") == "Point of class 1 added"
    # Whoever opens the address has the same points and settings.
    expect(page).not_to_have_url(before)  # it is written a little later
    fresh.open_demo("?" + page.url.partition("?")[2])
    expect(page.locator("#plane-count")).to_have_text("242")
    assert page.input_value("#plane-set") == "rings"


def test_the_address_holds_the_state(fresh):
    fresh.open_demo("?example=wine&epochs=7&rate=0.02&seed=5")
    page = fresh.page
    values = [
        page.input_value(f"#{id}") for id in ("example", "epochs", "rate", "seed")
    ]
    assert values == ["wine", "7", "0.02", "5"]
    page.fill("#epochs", "9")
    expect(page).to_have_url(re.compile("epochs=9"))
    page.select_option("#example", "digits")
    expect(page.locator("#draw")).to_be_visible()
    expect(page).to_have_url(re.compile("example=digits"))
    # Nonsense is passed over.
    fresh.open_demo(
        "?example=nope&epochs=-1&rate=x&seed=abc&points=!!&set=zzz&depth=99"
    )
    values = [page.input_value(f"#{id}") for id in ("example", "epochs", "seed")]
    assert values == ["digits", "30", "1"]
    assert page.input_value("#plane-depth") == "2"
    fresh.open_demo("?epochs=2.5&rate=1e9")
    assert page.locator(":invalid").count() == 0
    # Going back to a section is no way back to the settings of then.
    page.click("nav a[href='#compare']")
    page.fill("#epochs", "8")
    page.go_back()
    expect(page).to_have_url(re.compile("epochs=8"))


def test_the_same_seed_gives_the_same_network_natively(demo):
    _, result, _ = examples.train(examples.example("digits"))
    loss = float(demo.readings[1])
    assert loss == pytest.approx(result.loss_history[-1], rel=0.2)


def test_loading_shows_bytes_and_a_failure_can_be_tried_again(browser, server):
    page = Page(browser, server)
    blocked = True

    def answer(route):
        route.abort() if blocked else route.continue_()

    page.context.route("**/files.json", answer)
    page.open("")
    expect(page.page.locator("#loading-error")).to_be_visible()
    assert "fetch" in page.page.inner_text("#loading-message")
    blocked = False
    page.page.click("#retry")
    expect(page.page.locator("#stages li")).to_have_count(4)
    page.page.wait_for_selector(READY, state="attached")
    stages = page.page.locator("#stages .name span:first-child")
    assert stages.all_text_contents() == ["Python", "NumPy", "Loom", "Start"]
    page.problems = [p for p in page.problems if "ERR_FAILED" not in p]
    page.close()


def test_cpu_and_gpu_side_by_side(fresh):
    fresh.open_demo("?gpu=1&epochs=2")
    page = fresh.page
    expect(page.locator("#gpu-name")).to_contain_text("swiftshader")
    page.click("#compare-run")
    note = page.locator("#compare-note")
    expect(note).to_contain_text("Greatest difference", timeout=LONG)
    same, after = re.findall(r"\d\.\de-\d+", note.inner_text())
    assert float(same) < 1e-4
    assert float(after) < 1e-2
    rows = [page.locator(f"#compare-{p} td").all_inner_texts() for p in ("cpu", "gpu")]
    assert all(float(row[0].replace(",", "")) > 0 for row in rows)
    assert float(rows[0][2]) == pytest.approx(float(rows[1][2]), rel=0.05)
    page.click("#compare-run")
    expect(note).to_contain_text("Training on the CPU")
    page.click("#compare-run")
    expect(note).to_have_text("Stopped")
    expect(page.locator("#compare-run")).to_have_text("Run both")
    # And the network above trains there.
    assert page.is_checked("#use-gpu")
    train(fresh)
    assert float(page.inner_text("#metric").rstrip("%")) > 85
    expect(page.locator("#evaluate-summary")).to_contain_text("right")


def test_without_a_gpu_the_page_says_why_and_trains(browser, server):
    demo = Page(browser, server, service_workers="block")

    def without(route):
        reply = route.fetch()
        text = "delete WorkerNavigator.prototype.gpu;\n" + reply.text()
        route.fulfill(response=reply, body=text)

    demo.context.route("**/worker.mjs", without)
    page = demo.open_demo("?epochs=2&gpu=1").page
    expect(page.locator("#gpu-name")).to_contain_text("this browser has no WebGPU here")
    expect(page.locator("#compare-run")).to_be_disabled()
    assert not page.is_checked("#use-gpu")
    train(demo)
    expect(page.locator("#evaluate-summary")).to_contain_text("right")
    demo.problems = [text for text in demo.problems if "Service Worker" not in text]
    demo.close()
