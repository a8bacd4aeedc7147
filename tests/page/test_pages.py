"""Pages of runs in a browser."""

import io
import itertools
import json
import math
import shutil

import numpy as np
import pytest
from page.browser import Browser
from PIL import Image

from jaxmetrics import TrainingLogger
from jaxmetrics.figures import PALETTE
from jaxmetrics.runs import compare, generate_page
from jaxmetrics.writers import JSONL

HOSTILE = "</script><img src=x onerror='window.compromised=1'><b>&lt;"
LINK = "javascript:window.compromised=1"
CANVAS = ".card canvas"
PLOT = "document.querySelector('.card').card.plot"
PANEL = (0x15, 0x1A, 0x23)
LOSS_BLUE, ORANGE, RED = (
    tuple(bytes.fromhex(color[1:]))
    for color in (PALETTE.blue, PALETTE.orange, PALETTE.red)
)


def train(root, name, rate, seed, loss_nan=()):
    """Log a run of 200 steps, and return its directory."""
    noise = np.random.default_rng(seed)
    now = itertools.count(1e9, 0.5)
    hparams = {"rate": rate, "seed": seed, "note": HOSTILE, LINK: LINK}
    with TrainingLogger(
        project="pages",
        run_name=name,
        root=root,
        writers=[JSONL()],
        hparams=hparams,
        clock=lambda: next(now),
    ) as logger:
        for step in range(1, 201):
            loss = 2 + 6 * math.exp(-step * rate) + 0.1 * noise.standard_normal()
            loss = math.nan if step in loss_nan else loss
            logger.log_step(step, loss=loss, tokens=512 * step, lr=rate)
            logger.log_step(step, grad_norm=1 / step, metrics={HOSTILE: 1.0, LINK: 2.0})
            if step % 20 == 0:
                logger.log_step(step, split="val", loss=loss + 0.2)
        logger.ledger.event("alarm", step=7, kind="spike", key=LINK, message=HOSTILE)
    return logger.run_dir


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    settings = [("a1", 0.02, 1), ("a2", 0.02, 2), ("b", 0.04, 1)]
    return [train(root, *options, loss_nan=(50, 51)) for options in settings]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.prefer("dark")
    yield browser
    browser.close()


@pytest.fixture
def page(browser, runs):
    path = generate_page(runs[0])
    browser.open(path)
    return browser


def picture(browser, selector=CANVAS):
    """Return the pixels of a canvas over the card color: `[height, width, 3]`."""
    image = Image.open(io.BytesIO(browser.pixels(selector))).convert("RGBA")
    background = Image.new("RGBA", image.size, (*PANEL, 255))
    return np.asarray(Image.alpha_composite(background, image).convert("RGB")).astype(
        int
    )


def share(pixels, color, tolerance=60):
    """Return the share of pixels that have about a color."""
    return float(np.mean(np.abs(pixels - np.array(color)).sum(-1) < tolerance))


def texts(browser, selector):
    """Return the text of each element that matches a selector."""
    elements = f"[...document.querySelectorAll({json.dumps(selector)})]"
    return browser.run(f"{elements}.map(element => element.textContent)")


def x_range(browser, index=0):
    """Return the limits of the x axis of a chart."""
    scale = f"document.querySelectorAll('.card')[{index}].card.plot.scales.x"
    return browser.run(f"[{scale}.min, {scale}.max]")


def test_a_page_opens_from_a_file_without_problems_or_requests(browser, runs):
    path = generate_page(runs[0])
    browser.open(path)
    assert browser.problems == []
    assert browser.requests == [path.resolve().as_uri()]


def test_charts_are_drawn(page):
    pixels = picture(page)
    assert share(pixels, PANEL) < 0.98
    assert share(pixels, LOSS_BLUE) > 0.002
    assert texts(page, ".card h4")[0] == "loss"


def test_the_log_scale_can_be_switched_on_and_off(page):
    before = picture(page)
    page.choose("#scale", "1")
    after = picture(page)
    assert not np.array_equal(before, after)
    assert share(after, LOSS_BLUE) > 0.002
    page.choose("#scale", "0")
    assert np.array_equal(picture(page), before)


def test_a_click_on_a_name_hides_and_shows_its_line(page):
    before = share(picture(page), LOSS_BLUE)
    name = ".card .legend .line"
    page.click(name)
    assert share(picture(page), LOSS_BLUE) < before / 4
    page.click(name)
    assert share(picture(page), LOSS_BLUE) == pytest.approx(before, rel=0.2)


def test_a_drag_zooms_all_charts_and_a_double_click_resets(page):
    full = x_range(page)
    assert full == [1, 200]
    page.drag(".card .u-over", 0.25, 0.75)
    zoomed = x_range(page)
    assert zoomed == pytest.approx([50.75, 150.25], abs=1.5)
    assert x_range(page, 1) == zoomed
    assert not page.run("document.getElementById('reset').disabled")
    page.double_click(".card .u-over")
    assert x_range(page) == full
    page.drag(".card .u-over", 0.25, 0.75)
    page.click("#reset")
    assert x_range(page) == full


@pytest.mark.parametrize(
    ("axis", "last", "label"),
    [("tokens", 512 * 200, "tokens"), ("time", None, "training time (min)")],
)
def test_the_x_axis_can_be_tokens_or_time(page, axis, last, label):
    page.choose("#axis", axis)
    if last is not None:
        assert x_range(page) == [512, last]
    assert page.run(f"{PLOT}.axes[0].label") == label
    assert share(picture(page), LOSS_BLUE) > 0.002


def test_smoothing_goes_by_distance_so_that_gaps_between_lines_stay(browser, tmp_path):
    with open(tmp_path / "metrics.jsonl", "w") as file:
        for step in range(20_001):
            row = {"step": step, "split": "train", "train/loss": 9 - step / 4000}
            file.write(json.dumps(row) + "\n")
            if step % 500 == 0:
                row = {"step": step, "split": "val", "val/loss": 9.5 - step / 4000}
                file.write(json.dumps(row) + "\n")
    browser.open(generate_page(tmp_path))
    browser.choose("#smoothing", "0.05")
    drawn = "document.querySelector('.card').card.content.drawn"
    train, val = browser.run(f"{drawn}.map(({{x, y}}) => [x, y])")
    at_val = np.interp(val[0], *train)
    assert np.subtract(val[1], at_val)[10:] == pytest.approx(0.5, abs=0.01)
    # Both lag by the constant of 5 % of 20,000 steps.
    assert val[1][-1] - 4.5 == pytest.approx(1000 / 4000, abs=0.01)


def test_values_that_are_not_finite_are_marked_and_counted(page):
    note = texts(page, ".card .note:not(.clip)")[0]
    assert "train/loss: 2 of 200 not finite." in note
    pixels = picture(page)
    assert share(pixels[-120:], RED) > 0


def test_the_filter_shows_charts_with_matching_names(page):
    page.choose("#filter", "NORM")
    assert texts(page, ".card:not([hidden]) h4") == ["grad/norm"]


def test_a_larger_chart_fills_the_row(page):
    small = page.box(".card")[2]
    page.click(".card .tools button:last-child")
    assert page.box(".card")[2] > 1.8 * small
    assert page.run("document.querySelector('.card canvas').width") > 1.8 * 500


def test_the_chart_follows_the_width_of_the_window(page):
    page.resize(600, 900)
    width = page.run("document.querySelector('.card .uplot').clientWidth")
    assert 400 < width < 600
    assert page.run("document.documentElement.scrollWidth") <= 600
    page.resize(1400, 1000)


def test_the_legend_can_be_used_with_the_keyboard(page):
    before = share(picture(page), LOSS_BLUE)
    pressed = "document.querySelector('.card .line').ariaPressed"
    page.run("document.querySelector('.card .line').focus()")
    page.press("Enter")
    assert share(picture(page), LOSS_BLUE) < before / 4
    assert page.run(pressed) == "false"
    page.press("Space")
    assert share(picture(page), LOSS_BLUE) == pytest.approx(before, rel=0.2)
    assert page.run(pressed) == "true"
    assert not page.run("document.querySelector('[role=img] button')")


def test_texts_of_a_run_have_no_effect(page, browser):
    everything = "document.body.innerText"
    page.choose("#smoothing", "0.05")
    page.choose("#scale", "1")
    assert HOSTILE in page.run(everything)
    assert LINK in page.run(everything)
    assert page.run("window.compromised") is None
    assert page.run("document.querySelectorAll('img, b, iframe, script').length") == 3
    links = "[...document.querySelectorAll('a')].map(a => a.getAttribute('href')[0])"
    assert set(page.run(links)) == {"#"}
    assert browser.problems == []


def test_the_content_security_policy_stops_inserted_scripts(page):
    image = '<img src=x onerror="window.compromised = 1">'
    page.run(f"document.body.insertAdjacentHTML('beforeend', '{image}')")
    page.settle()
    assert page.run("window.compromised") is None
    assert any("Content Security Policy" in problem for problem in page.problems)
    page.problems.clear()


def test_the_page_of_a_comparison_draws_runs_and_means(browser, runs, tmp_path):
    comparison = compare(runs, target={"train/loss": 3.0})
    path = comparison.page(tmp_path / "comparison.html")
    browser.open(path)
    assert browser.problems == []
    assert browser.requests == [path.resolve().as_uri()]
    assert texts(browser, ".card h4")[0] == "train/loss"
    assert not browser.run("document.querySelector('.card canvas')")  # not seen yet
    browser.box(".card")
    names = texts(browser, ".card:first-child .legend .name")
    assert names == ["rate=0.02 (n=2)", "a1", "a2", "b"]
    notes = texts(browser, ".card .note:not(.clip)")
    assert not any("not recorded by" in note for note in notes)
    pixels = picture(browser)
    assert share(pixels, LOSS_BLUE) > 0.002
    assert share(pixels, ORANGE) > 0.002
    browser.click(".card .line:nth-of-type(3)")
    assert not np.array_equal(picture(browser), pixels)
    assert texts(browser, "h2")[:3] == [
        "Runs",
        "What goes with best val/loss (min)",
        "Configuration differences",
    ]
    assert browser.run("window.compromised") is None


def test_a_long_run_is_drawn_with_its_extremes(browser, tmp_path):
    count = 100_000
    with open(tmp_path / "metrics.jsonl", "w") as file:
        for step in range(count):
            value = 50.0 if step == 77_777 else math.sin(step / 9)
            file.write(f'{{"step":{step},"split":"train","train/loss":{value}}}\n')
    browser.open(generate_page(tmp_path))
    assert browser.problems == []
    browser.choose("#smoothing", "0")
    data = f"{PLOT}.data"
    assert browser.run(f"{data}[0].length") <= 4000
    assert browser.run(f"{data}[0][{data}[1].indexOf(50)]") == 77_777
    note = texts(browser, ".card .note:not(.clip)")[0]
    assert note.startswith("100,000 values; the minimum and maximum of each")


def test_without_chromium_the_error_names_the_command_to_install_it(
    monkeypatch, tmp_path
):
    from page.browser import chromium

    assert shutil.which("chromium") == chromium()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="apt-get install --yes chromium"):
        chromium()


def test_a_report_has_maps_of_layers_and_audio(browser, view_root, tmp_path):
    browser.open(generate_page(view_root / "lm" / "detailed", tmp_path / "report.html"))
    browser.wait("document.querySelector('.layermap canvas').width > 100")
    note = "Largest: layer_1, 82 at step 150."
    legend = " Colors run from 1 to 82."
    assert browser.texts(".layermap .note") == [note + legend]
    rows = "document.querySelector('.layermap canvas').getAttribute('aria-label')"
    assert note in browser.run(rows)
    before = browser.pixels(".layermap canvas")
    left, top, width, _ = browser.box(".layermap canvas")
    x, y = left + 0.77 * width, top + 9  # the first row, near step 150
    browser.mouse("Moved", x, y)
    browser.settle()
    assert browser.texts(".layermap .note")[0].startswith("layer_1: ")
    browser.mouse("Pressed", x, y)
    browser.mouse("Released", x, y)
    browser.wait("location.hash.includes('zoom')")
    zoom = browser.run("document.querySelector('.card').card.plot.scales.x")
    assert 120 < zoom["min"] < zoom["max"] < 180
    assert browser.pixels(".layermap canvas") != before  # the range is marked
    browser.wait("document.querySelector('.media audio').duration > 0.09")
    assert browser.problems == []
    assert browser.run("window.compromised") is None


def test_words_of_tables_are_not_torn_in_a_narrow_window(browser, runs, tmp_path):
    browser.open(compare(runs).page(tmp_path / "c.html"))
    browser.resize(400, 800)
    name = "[...document.querySelectorAll('.data td:first-child')]"
    heights = browser.run(
        f"{name}.map(cell => cell.firstChild).map(text => {{"
        " const range = document.createRange(); range.selectNodeContents(text);"
        " return [text.textContent, range.getClientRects().length]; })"
    )
    torn = [text for text, lines in heights if lines > 1 and " " not in text]
    browser.resize(1400, 1000)
    assert len(heights) > 3 and torn == []
    assert browser.run("document.documentElement.scrollWidth") <= 1400
