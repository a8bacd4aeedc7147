"""Pages of real runs in a real browser: they draw, answer clicks, and load nothing."""

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
from jaxmetrics.runs import compare, generate_page
from jaxmetrics.writers import JSONL

HOSTILE = "</script><img src=x onerror='window.hurt=1'><b>&lt;"
LINK = "javascript:window.hurt=1"
CANVAS = ".card canvas"
PANEL = (0x15, 0x1A, 0x23)
LOSS_BLUE = (0x58, 0xA6, 0xFF)


def train(root, name, rate, seed, loss_nan=()):
    """A run of 200 steps, as a training loop logs it."""
    noise = np.random.default_rng(seed)
    now = itertools.count(1e9, 0.25)
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
    return [train(root, *given, loss_nan=(50, 51)) for given in settings]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser, runs):
    path = generate_page(runs[0])
    browser.open(path)
    return browser


def picture(browser, selector=CANVAS):
    """What a canvas shows, over the colour of its card: `[height, width, 3]`."""
    image = Image.open(io.BytesIO(browser.pixels(selector))).convert("RGBA")
    ground = Image.new("RGBA", image.size, (*PANEL, 255))
    return np.asarray(Image.alpha_composite(ground, image).convert("RGB")).astype(int)


def share(pixels, colour, near=60):
    """The share of pixels that are about of a colour."""
    return float(np.mean(np.abs(pixels - np.array(colour)).sum(-1) < near))


def texts(browser, selector):
    """The text of each element that matches."""
    found = f"[...document.querySelectorAll({json.dumps(selector)})]"
    return browser.run(f"{found}.map(element => element.textContent)")


def ends(browser, at=0):
    """From where to where the x axis of a chart goes."""
    scale = f"document.querySelectorAll('.card')[{at}].card.plot.scales.x"
    return browser.run(f"[{scale}.min, {scale}.max]")


def test_a_page_opens_from_a_file_without_a_complaint_or_a_request(browser, runs):
    path = generate_page(runs[0])
    browser.open(path)
    assert browser.problems == []
    assert browser.requests == [path.resolve().as_uri()]


def test_the_charts_are_drawn(page):
    pixels = picture(page)
    assert share(pixels, PANEL) < 0.98
    assert share(pixels, LOSS_BLUE) > 0.002
    assert texts(page, ".card h4")[0] == "loss"


def test_a_click_on_log_scale_draws_another_picture_and_back(page):
    before = picture(page)
    page.click("#log")
    after = picture(page)
    assert not np.array_equal(before, after)
    assert share(after, LOSS_BLUE) > 0.002
    page.click("#log")
    assert np.array_equal(picture(page), before)


def test_a_click_on_a_name_hides_its_line(page):
    before = share(picture(page), LOSS_BLUE)
    name = ".card .u-legend .u-series:nth-child(2) th"
    page.click(name)
    assert share(picture(page), LOSS_BLUE) < before / 4
    page.click(name)
    assert share(picture(page), LOSS_BLUE) == pytest.approx(before, rel=0.2)


def test_a_drag_zooms_every_chart_and_a_double_click_shows_all_again(page):
    whole = ends(page)
    assert whole == [1, 200]
    page.drag(".card .u-over", 0.25, 0.75)
    zoomed = ends(page)
    assert zoomed == pytest.approx([50.75, 150.25], abs=1.5)
    assert ends(page, 1) == zoomed
    assert not page.run("document.getElementById('reset').disabled")
    page.double_click(".card .u-over")
    assert ends(page) == whole
    page.drag(".card .u-over", 0.25, 0.75)
    page.click("#reset")
    assert ends(page) == whole


@pytest.mark.parametrize(
    ("axis", "last", "label"),
    [("tokens", 512 * 200, "tokens"), ("time", None, "training time (min)")],
)
def test_x_may_be_tokens_or_time(page, axis, last, label):
    page.choose("#axis", axis)
    if last is not None:
        assert ends(page) == [512, last]
    assert texts(page, ".card .u-legend .u-label")[0] == label
    assert share(picture(page), LOSS_BLUE) > 0.002


def test_smoothing_is_the_debiased_average(page, runs):
    page.choose("#smoothing", "0.9")
    at = "document.querySelector('.card').card.plot"
    drawn = page.run(f"{at}.data[{at}.series.findIndex(s => s.label === 'train/loss')]")
    rows = [json.loads(r) for r in (runs[0] / "metrics.jsonl").read_text().splitlines()]
    losses = [r["train/loss"] for r in rows if "train/loss" in r]
    mean, count, expected = 0.0, 0, []
    for loss in losses:
        if loss != "NaN":
            mean, count = 0.9 * mean + 0.1 * loss, count + 1
            expected.append(mean / (1 - 0.9**count))
    assert [v for v in drawn if v is not None] == pytest.approx(expected, rel=1e-5)


def test_values_that_are_not_finite_are_gaps_that_are_marked_and_counted(page):
    note = texts(page, ".card .note")[0]
    assert "train/loss: 2 of 200 not finite." in note
    pixels = picture(page)
    assert share(pixels[-120:], (0xF8, 0x51, 0x49)) > 0


def test_a_search_shows_the_charts_that_have_the_name(page):
    page.choose("#filter", "NORM")
    assert texts(page, ".card:not([hidden]) h4") == ["grad/norm"]


def test_a_larger_chart_fills_the_row(page):
    small = page.box(".card")[2]
    page.click(".card button")
    assert page.box(".card")[2] > 1.8 * small
    assert page.run("document.querySelector('.card canvas').width") > 1.8 * 500


def test_the_chart_follows_the_width_of_the_window(page):
    page.resize(600, 900)
    width = page.run("document.querySelector('.card .uplot').clientWidth")
    assert 400 < width < 600
    assert page.run("document.documentElement.scrollWidth") <= 600
    page.resize(1400, 1000)


def test_the_keyboard_reaches_the_names_of_a_legend(page):
    before = share(picture(page), LOSS_BLUE)
    page.run("document.querySelector('.card .u-series:nth-child(2) th').focus()")
    page.press("Enter")
    assert share(picture(page), LOSS_BLUE) < before / 4


def test_texts_of_a_run_do_nothing(page, browser):
    everything = "document.body.innerText"
    page.choose("#smoothing", "0.5")
    page.click("#log")
    assert HOSTILE in page.run(everything)
    assert LINK in page.run(everything)
    assert page.run("window.hurt") is None
    assert page.run("document.querySelectorAll('img, b, iframe, script').length") == 3
    links = "[...document.querySelectorAll('a')].map(a => a.getAttribute('href')[0])"
    assert set(page.run(links)) == {"#"}
    assert browser.problems == []


def test_the_policy_stops_a_script_that_got_into_the_page(page):
    image = '<img src=x onerror="window.hurt = 1">'
    page.run(f"document.body.insertAdjacentHTML('beforeend', '{image}')")
    page.settle()
    assert page.run("window.hurt") is None
    assert any("Content Security Policy" in problem for problem in page.problems)
    page.problems.clear()


def test_a_comparison_has_a_page_that_draws_the_runs_and_their_mean(
    browser, runs, tmp_path
):
    found = compare(runs, target={"train/loss": 3.0})
    path = found.page(tmp_path / "comparison.html")
    browser.open(path)
    assert browser.problems == []
    assert browser.requests == [path.resolve().as_uri()]
    assert texts(browser, ".card h4")[0] == "train/loss"
    assert not browser.run("document.querySelector('.card canvas')")  # not seen yet
    browser.box(".card")
    legend = ".card:first-child .u-series:not(.aside) .u-label"
    names = texts(browser, legend)
    assert names == ["step", "rate=0.02: mean ± standard error", "a1", "a2", "b"]
    pixels = picture(browser)
    assert share(pixels, LOSS_BLUE) > 0.002
    assert share(pixels, (0xF0, 0xA0, 0x4B)) > 0.002
    browser.click(".card .u-series:nth-child(4) th")
    assert not np.array_equal(picture(browser), pixels)
    assert texts(browser, "h2")[0] == "Configuration, where it differs"
    assert browser.run("window.hurt") is None


def test_a_long_run_opens_at_once(browser, tmp_path):
    count = 100_000
    with open(tmp_path / "metrics.jsonl", "w") as file:
        for step in range(count):
            value = 50.0 if step == 77_777 else math.sin(step / 9)
            file.write(f'{{"step":{step},"split":"train","train/loss":{value}}}\n')
    browser.open(generate_page(tmp_path))
    assert browser.problems == []
    data = "document.querySelector('.card').card.plot.data"
    assert browser.run(f"{data}[0].length") <= 4000
    assert browser.run(f"{data}[0][{data}[1].indexOf(50)]") == 77_777
    note = texts(browser, ".card .note")[0]
    assert note.startswith("100,000 values; of each")


def test_without_chromium_the_tests_say_how_to_install_it(monkeypatch, tmp_path):
    from page.browser import chromium

    assert shutil.which("chromium") == chromium()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="apt-get install --yes chromium"):
        chromium()
