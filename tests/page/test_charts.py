"""Behavior of charts: hover, events, keyboard, address, pictures, print."""

import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from page.browser import Browser

from jaxmetrics import TrainingLogger
from jaxmetrics.runs import compare, generate_page
from jaxmetrics.writers import JSONL

CARD = "document.querySelector('.card').card"
SHIFT = 8


def write_run(folder, steps, every=1, start=0.0, hparams=None, events=(), bad=()):
    """Write a run with the losses of some steps, and return its directory."""
    folder.mkdir(parents=True)
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(0, steps + 1, every):
            loss = "NaN" if step in bad else start + step / 100
            row = {"step": step, "split": "train", "time": step * 2.0}
            row |= {"train/loss": loss, "grad/norm": 1.0}
            file.write(json.dumps(row) + "\n")
            if step % 200 == 0:
                row = {"step": step, "split": "val", "val/loss": 5.0}
                file.write(json.dumps(row) + "\n")
    with open(folder / "events.jsonl", "w") as file:
        for event in events:
            file.write(json.dumps({"time": "2026-01-01", "attempt": 1} | event) + "\n")
    attempts = [{"attempt": 1, "hparams": hparams or {}}]
    header = {"schema": 2, "project": "p", "run_name": folder.name}
    (folder / "run.json").write_text(json.dumps(header | {"attempts": attempts}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    events = [
        {"event": "alarm", "step": 700, "kind": "spike", "message": "loss <b>spikes"},
        {"event": "evaluation", "step": 300, "seconds": 2.0},
    ]
    return write_run(tmp_path_factory.mktemp("run") / "one", 1000, events=events)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    assert browser.problems == []
    browser.close()


@pytest.fixture
def page(browser, folder):
    browser.prefer("dark")
    browser.open(generate_page(folder))
    return browser


def hover(browser, share):
    """Move the pointer over the first chart, to a share of its width."""
    left, top, width, height = browser.box(".card .u-over")
    browser.mouse("Moved", left + share * width, top + height / 2)
    browser.settle()
    legend = "[...document.querySelectorAll('.card:first-child .line')]"
    names = browser.run(
        f"{legend}.map(line => [line.querySelector('.name').textContent,"
        " line.querySelector('.value').textContent])"
    )
    return browser.run(f"{CARD}.box.querySelector('.x-value').textContent"), dict(names)


def x_range(browser):
    scale = f"{CARD}.plot.scales.x"
    return browser.run(f"[{scale}.min, {scale}.max]")


def test_values_near_the_pointer_are_shown_with_their_x(page):
    page.choose("#smoothing", "0")
    x, values = hover(page, 0.412)
    step = int(x.removeprefix("step "))
    assert step == pytest.approx(412, abs=3)
    assert float(values["train/loss"]) == step / 100
    assert values["val/loss"] == "5 at 400"
    _, values = hover(page, 0.5)  # too far from the evaluations on both sides
    assert values["val/loss"] == ""


def test_a_line_that_ended_has_no_value_and_no_cross(browser, tmp_path):
    runs = [
        write_run(tmp_path / "long", 1000, 10, hparams={"lr": 1, "seed": 0}),
        write_run(tmp_path / "short", 100, 10, 3.0, hparams={"lr": 1, "seed": 1}),
    ]
    browser.open(compare(runs).page(tmp_path / "c.html"))
    browser.box(".card")
    _, values = hover(browser, 0.9)
    assert values["long"] == "9"
    assert values["short"] == ""
    gaps = browser.run(f"{CARD}.content.drawn.map(line => line.gaps.length)")
    assert set(gaps) == {0}
    assert "not finite" not in browser.run(f"{CARD}.note.textContent")


def test_values_that_are_not_finite_are_crosses_of_their_line(browser, tmp_path):
    browser.open(generate_page(write_run(tmp_path / "bad", 200, bad={7, 8})))
    gaps = browser.run(f"{CARD}.content.drawn.map(line => line.gaps)")
    assert gaps == [[7, 8], []]
    assert browser.run(f"{CARD}.note.textContent") == (
        "train/loss: 2 of 201 not finite."
    )


def test_a_row_of_an_alarm_zooms_to_it_and_its_mark_has_a_text(page):
    page.click("tr.jump button")
    low, high = x_range(page)
    assert (low + high) / 2 == pytest.approx(700)
    assert high - low == pytest.approx(40)
    hover(page, 0.5)
    mark = page.run("document.querySelector('.mark-text').textContent")
    assert mark == "alarm at step 700: loss <b>spikes"
    page.click("#events")
    hover(page, 0.49)
    hover(page, 0.5)
    assert page.run("document.querySelector('.mark-text').hidden")


def test_a_chart_zooms_and_moves_and_reads_by_the_keyboard(page):
    page.run(f"{CARD}.holder.focus()")
    page.press("+")
    assert x_range(page) == pytest.approx([250, 750])
    page.press("ArrowRight", SHIFT)
    assert x_range(page) == pytest.approx([350, 850])
    page.press("ArrowRight")
    first = page.run(f"{CARD}.box.querySelector('.x-value').textContent")
    page.press("ArrowRight")
    second = page.run(f"{CARD}.box.querySelector('.x-value').textContent")
    steps = [int(text.removeprefix("step ")) for text in (first, second)]
    assert steps[1] > steps[0] >= 350
    page.press("-")
    page.press("0")
    assert x_range(page) == [0, 1000]


def test_the_address_keeps_the_view(page, browser):
    page.choose("#axis", "time")
    page.choose("#smoothing", "0.02")
    page.choose("#scale", "1")
    page.choose("#filter", "loss")
    page.click(".card .line")
    page.drag(".card .u-over", 0.25, 0.75)
    zoomed = x_range(page)
    page.call("Page.reload")
    page.run("1")
    for _ in range(50):
        page.settle()
        if page.run("document.readyState") == "complete":
            break
    page.box(".card")
    assert x_range(page) == pytest.approx(zoomed, rel=1e-6)
    read = "[...document.querySelectorAll('#controls select')].map(f => f.value)"
    assert page.run(read) == ["time", "0.02", "1"]
    assert page.run("document.querySelector('.card .line').ariaPressed") == "false"
    hidden = "document.querySelectorAll('.card:not([hidden])').length"
    assert page.run(hidden) == 1
    page.click("#reset")
    assert "zoom" not in page.run("location.hash")


@pytest.mark.parametrize(
    "state",
    [
        "#zoom=9:1&smoothing=x&axis=nothing&logs=[1]&hidden=%7Bbroken",
        "#hidden=%7B%22loss%22%3A%22text%22%2C%22__proto__%22%3A%7B%7D%7D&axis=__proto__",
    ],
)
def test_an_address_that_makes_no_sense_is_ignored(page, state):
    page.run(f"location.hash = {json.dumps(state)}")
    page.settle()
    assert x_range(page) == [0, 1000]
    assert page.run("document.querySelector('#axis').value") == "step"
    assert page.problems == []


def test_one_chart_can_have_a_log_scale_of_its_own(page):
    page.click(".card .tools button")
    page.click("#events")  # which draws all charts again
    distributions = "[...document.querySelectorAll('.card')].slice(0, 2)"
    assert page.run(f"{distributions}.map(c => c.card.plot.scales.y.distr)") == [3, 1]
    page.click(".card .tools button")
    assert page.run(f"{distributions}.map(c => c.card.plot.scales.y.distr)") == [1, 1]


def test_outliers_are_marked_at_the_edge_until_all_is_shown(browser, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(300):
            value = -500.0 if step == 77 else math.sin(step)
            file.write(json.dumps({"step": step, "train/margin": value}) + "\n")
    browser.open(generate_page(folder))
    scale = f"{CARD}.plot.scales.y"
    assert browser.run(f"{scale}.min") > -6
    clip = "document.querySelector('.clip').textContent"
    assert browser.run(clip) == "1 outlier is marked at the edge. show all"
    browser.click(".clip button")
    assert browser.run(f"{scale}.min") < -500
    browser.click(".clip button")
    assert browser.run(f"{scale}.min") > -6


def test_a_chart_is_saved_as_png_and_svg(page, tmp_path):
    page.call(
        "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path)
    )
    svg = page.run(f"saving.svgOf({CARD}, () => '#123456')")
    root = ET.fromstring(svg)
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert tags.count("path") >= 2
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"loss", "train/loss", "val/loss", "step"} <= set(texts)
    assert "alarm at step 700: loss <b>spikes" in "".join(root.itertext())
    png = page.run(
        f"saving.pngOf({CARD}, () => '#123456').then(b => b.arrayBuffer())"
        ".then(b => [...new Uint8Array(b.slice(0, 8))])"
    )
    assert bytes(png) == b"\x89PNG\r\n\x1a\n"
    page.click(".card .tools button:nth-child(2)")
    assert page.problems == []


def test_printing_draws_all_charts_in_light_colors(browser, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    row = {"step": 1} | {f"train/m{n}": 1.0 + n for n in range(30)}
    lines = [json.dumps(row | {"step": step}) for step in (1, 2)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    browser.prefer("dark")
    browser.open(generate_page(folder))
    canvases = "document.querySelectorAll('.card canvas').length"
    assert browser.run(canvases) < 30
    browser.run(
        "addEventListener('beforeprint', () => { window.printed = ["
        f"{canvases}, getComputedStyle(document.body).backgroundColor,"
        " new Set([...document.querySelectorAll('.card')]"
        ".map(c => c.card.plot.width)).size] })"
    )
    browser.call("Page.printToPDF")
    assert browser.run("window.printed") == [30, "rgb(255, 255, 255)", 1]
    assert not browser.run("document.documentElement.classList.contains('printing')")


def test_the_page_follows_the_preferred_color_scheme(page):
    stroke = f"{CARD}.content.drawn[0].color"
    dark = page.run(stroke)
    page.prefer("light")
    page.settle()
    assert page.run(stroke) != dark
    background = "getComputedStyle(document.querySelector('.card')).backgroundColor"
    assert page.run(background) == "rgb(255, 255, 255)"
    page.prefer("dark")


def test_tables_sort_by_a_click_on_a_name(page):
    table = "[...document.querySelectorAll('section')].find(s =>"
    table += " s.querySelector('h2')?.textContent === 'Last and best values')"
    cells = (
        f"[...{table}.querySelectorAll('tbody tr')].map(r => r.children[1].innerText)"
    )
    page.run(f"{table}.querySelectorAll('button.sort')[1].click()")
    assert page.run(cells) == ["1", "5", "10"]
    page.run(f"{table}.querySelectorAll('button.sort')[1].click()")
    assert page.run(cells) == ["10", "5", "1"]
    assert page.run(f"{table}.querySelectorAll('th')[1].ariaSort") == "descending"


def test_recorded_media_follow_one_slider_as_text(browser, tmp_path):
    with TrainingLogger(
        "p", "media", root=tmp_path, writers=[JSONL()], console=False
    ) as logger:
        for step in (1, 2):
            logger.log_step(step, loss=1.0)
            logger.log_text(step, sample=f"<img src=x> {step}")
        logger.log_images(2, picture=np.full((4, 4, 3), 9, np.uint8))
    browser.open(generate_page(logger.run_dir))
    body = "[...document.querySelectorAll('.media .card')].map(c => c.innerText)"
    assert any("<img src=x> 2" in text for text in browser.run(body))
    loaded = "document.querySelector('.media img').decode().then(() => true)"
    assert browser.run(loaded)
    browser.choose("#media-step", "0")
    assert any("<img src=x> 1" in text for text in browser.run(body))
    assert not browser.run("document.querySelectorAll('.media img').length")
    assert browser.problems == []


def test_automatic_smoothing_is_a_share_of_the_range_shown(page):
    lag = (
        f"(() => {{ const one = {CARD}.content.drawn.find(({{ line }}) => "
        "line.name === 'train/loss'); return 7 - one.y[one.x.indexOf(700)]; })()"
    )
    assert page.run(lag) == pytest.approx(5 * 0.01, rel=0.05)  # 0.5 % of 1,000 steps
    page.run("location.hash = '#zoom=400:900'")
    page.wait(f"{CARD}.plot.scales.x.min === 400")
    assert page.run(lag) == pytest.approx(2.5 * 0.01, rel=0.05)
    page.run("location.hash = '#zoom=650:750'")  # few values: none
    page.wait(f"{CARD}.plot.scales.x.min === 650")
    assert page.run(lag) == pytest.approx(0, abs=1e-6)


@pytest.fixture
def screen(page):
    """A function that moves fingers between shares of the width of the first chart."""
    enabled = {"enabled": True, "maxTouchPoints": 2}
    page.call("Emulation.setTouchEmulationEnabled", **enabled)
    left, top, width, height = page.box(".card .u-over")

    def move(begin, end, steps=4):
        def at(share):
            places = (b + (e - b) * share for b, e in zip(begin, end))
            return [(left + place * width, top + height / 2) for place in places]

        page.touch("Start", *at(0))
        for step in range(1, steps + 1):
            page.touch("Move", *at(step / steps))
        page.touch("End")

    yield move
    page.call("Emulation.setTouchEmulationEnabled", enabled=False)


def test_two_fingers_zoom_all_charts_and_one_moves_them(page, screen):
    screen([0.4, 0.6], [0.25, 0.75])
    low, high = x_range(page)
    assert (low, high) == pytest.approx((300, 700), abs=10)
    assert "zoom" in page.run("location.hash")
    other = "document.querySelectorAll('.card')[1].card.plot.scales.x.min"
    page.run("document.querySelectorAll('.card')[1].scrollIntoView()")
    page.wait(f"Math.abs({other} - {low}) < 1")
    page.box(".card .u-over")
    screen([0.75], [0.5])
    moved = x_range(page)
    assert moved == pytest.approx([low + 100, high + 100], abs=10)
    screen([0.1], [0.9])
    screen([0.1], [0.9])
    assert x_range(page)[0] == pytest.approx(0, abs=1)  # not beyond the run
    screen([0.3, 0.7], [0.45, 0.55])
    assert x_range(page) == [0, 1000]
    assert "zoom" not in page.run("location.hash")


def test_one_finger_reads_the_values_of_a_whole_chart(page, screen):
    page.choose("#smoothing", "0")
    screen([0.1], [0.41])
    x = page.run(f"{CARD}.box.querySelector('.x-value').textContent")
    assert int(x.removeprefix("step ")) == pytest.approx(410, abs=12)
    assert x_range(page) == [0, 1000]
    action = "getComputedStyle(document.querySelector('.u-over')).touchAction"
    assert page.run(action) == "pan-y"  # the page itself still scrolls


def test_the_range_of_y_is_that_of_the_values_in_the_range_of_x(page):
    page.choose("#smoothing", "0")
    page.run("[...document.querySelectorAll('.card:first-child .line')][1].click()")
    scale = f"{CARD}.plot.scales.y"
    page.settle()
    whole = page.run(f"[{scale}.min, {scale}.max]")
    page.drag(".card .u-over", 0.25, 0.75)  # of a line from 0 to 10
    zoomed = page.run(f"[{scale}.min, {scale}.max]")
    assert zoomed == pytest.approx([2.2, 7.8], abs=0.2)
    page.double_click(".card .u-over")
    assert page.run(f"[{scale}.min, {scale}.max]") == whole


def test_a_drag_with_shift_zooms_one_chart_in_y(page, browser):
    scale = f"{CARD}.plot.scales.y"
    other = "document.querySelectorAll('.card')[1].card"
    page.wait(f"{other}.plot")
    before = page.run(f"[{scale}.min, {scale}.max]")
    beside = page.run(f"{other}.plot.scales.y.max")
    page.shift_drag(".card .u-over", 0.25, 0.5)
    low, high = page.run(f"[{scale}.min, {scale}.max]")
    span = before[1] - before[0]
    assert high == pytest.approx(before[1] - 0.25 * span, rel=0.03)
    assert low == pytest.approx(before[1] - 0.5 * span, rel=0.03)
    assert x_range(page) == [0, 1000]
    assert page.run(f"{other}.plot.scales.y.max") == beside
    address = page.run("location.href")
    browser.visit("about:blank")
    browser.visit(address)
    browser.wait(f"{CARD}.plot")
    assert page.run(f"[{scale}.min, {scale}.max]") == pytest.approx([low, high])
    page.drag(".card .u-over", 0.25, 0.75)  # without shift x is zoomed, and y stays
    assert x_range(page) == pytest.approx([250, 750], abs=10)
    assert page.run(f"{scale}.max") == pytest.approx(high)
    page.double_click(".card .u-over")
    assert page.run(f"[{scale}.min, {scale}.max]") == before
    assert x_range(page) == [0, 1000] and "ys" not in page.run("location.hash")


def test_the_help_says_how_charts_are_zoomed(page):
    assert not page.run("document.querySelector('.help').open")
    page.click(".help summary")
    text = " ".join(page.texts(".help li"))
    for word in ("shift", "Touch: two fingers zoom", "Arrow keys", "Double-click"):
        assert word in text
    box = page.box(".help ul")
    assert box[0] >= 0 and box[2] > 200


def test_crosses_of_a_group_are_those_of_its_runs(browser, tmp_path):
    """The mean goes on over the runs that have a value, and has no cross itself."""
    runs = [
        write_run(tmp_path / f"r{seed}", 200, hparams={"lr": 1, "seed": seed}, bad=bad)
        for seed, bad in enumerate([{7, 8}, set(), {8, 50}])
    ]
    browser.open(compare(runs).page(tmp_path / "c.html"))
    browser.box(".card")
    drawn = browser.run(
        f"{CARD}.content.drawn.map(one => [one.line.name, one.gaps, one.y[8]])"
    )
    gaps = {name: steps for name, steps, _ in drawn}
    (mean,) = (name for name in gaps if "n=" in name)
    assert gaps == {mean: [], "r0": [7, 8], "r1": [], "r2": [8, 50]}
    assert next(y for name, _, y in drawn if name == mean) == pytest.approx(0.08)
    note = browser.run(f"{CARD}.note.textContent")
    assert "r0: 2 of 201 not finite." in note and mean not in note


def test_crosses_of_a_band_of_quantiles_are_its_values_that_are_not_finite(
    browser, tmp_path
):
    folder = tmp_path / "run"
    folder.mkdir()
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(20):
            middle = "NaN" if step in (4, 5) else 2.0
            values = {"p05": 1.0, "p50": middle, "p95": 3.0}
            row = {f"train/len_{name}": value for name, value in values.items()}
            file.write(json.dumps({"step": step, "split": "train"} | row) + "\n")
    browser.open(generate_page(folder))
    browser.box(".card")
    assert browser.run(f"{CARD}.content.drawn.map(one => one.gaps)") == [[4, 5]]
    assert "2 of 20 not finite." in browser.run(f"{CARD}.note.textContent")
