"""Texts, tables, images and histograms in the viewer."""

from urllib.parse import quote

import pytest
from page.conftest import HOSTILE

pytestmark = pytest.mark.timeout(60)

ROUTE = f"media?runs={quote(quote('lm/detailed', safe=''), safe='')}"
TEXT = "document.querySelector('pre.text')"


@pytest.fixture
def media(viewer):
    viewer.go(ROUTE, TEXT)
    return viewer.browser


def test_the_slider_moves_all_rows_to_a_step(media):
    assert media.texts("output")[0].startswith("200")
    assert media.texts("pre.text")[0] == f"It is {'good ' * 10}{HOSTILE}"
    media.choose("input[type=range]", "1")
    media.wait(f"{TEXT}.textContent.startsWith('It is good good <')")
    media.wait(
        "[...document.querySelectorAll('.at')].every(e => e.textContent === 'step 40')"
    )
    assert "step=40" in media.run("location.hash")
    assert media.problems == []


def test_differences_to_the_step_before_are_marked(media):
    media.choose(".toolbar .field:nth-of-type(2) select", "step")
    media.wait("document.querySelector('pre.text mark')")
    assert media.texts("pre.text mark") == ["good "]
    parts = media.run("diff.parts('the cat sat', 'the dog sat down')")
    assert [part["text"] for part in parts if part["isNew"]] == ["dog", " down"]
    assert "".join(part["text"] for part in parts) == "the dog sat down"


def test_a_square_table_is_drawn_as_a_confusion_matrix(media):
    media.wait("document.querySelector('.media-cell .echart')?.chart")
    option = "document.querySelector('.media-cell .echart').chart.getOption()"
    assert media.run(f"{option}.yAxis[0].data") == ["cat", "dog"]
    cells = media.run(f"{option}.series[0].data.map(d => d[3])")
    assert sorted(cells) == [1, 2, 30, 200]


def test_images_and_histograms_are_drawn(media):
    media.wait("document.querySelector('.files img')?.naturalWidth === 8")
    media.run("scrollTo(0, document.body.scrollHeight)")
    kinds = "[...document.querySelectorAll('.echart')].map(e => e.ariaLabel)"
    media.wait(f"{kinds}.includes('histograms by step')")
    assert "number of values by value" in media.run(kinds)
    axes = "['xAxis', 'yAxis'].map(axis => e.chart.getOption()[axis][0].name)"
    both = (
        f"[...document.querySelectorAll('.echart')].filter(e => e.chart &&"
        f" /value|histogram/.test(e.ariaLabel)).map(e => {axes})"
    )
    media.wait(f"({both}).length >= 2")
    assert media.run(both)[:2] == [["value", "number of values"], ["step", "value"]]
    assert media.problems == []


def test_predictions_of_the_telemetry_are_a_table_and_a_map(viewer):
    table = ".media-cell td:nth-child(3)"
    viewer.go(f"{ROUTE}&kind=holdout", f"document.querySelector('{table}')")
    browser = viewer.browser
    assert browser.texts(table) == ["1", "0", "1"]
    browser.wait("document.querySelector('.media-cell .echart')?.chart")
    option = "document.querySelector('.media-cell .echart').chart.getOption()"
    rows = browser.run(f"{option}.yAxis[0].data")
    assert rows == ["0 (1)", "1 (0)", "2 (0)"]
    assert browser.problems == []


def test_runs_stand_beside_each_other(viewer):
    both = quote(
        ",".join(quote(r, safe="") for r in ("lm/detailed", "sweep/lr0.1-w8-s0"))
    )
    viewer.go(f"media?runs={both}", TEXT)
    viewer.browser.wait("document.body.innerText.includes('Not recorded so far.')")
    assert viewer.browser.texts(".names a") == ["lm/detailed", "sweep/lr0.1-w8-s0"]


def test_texts_and_tables_stay_text(media):
    assert HOSTILE in media.texts(".media-cell td")
    assert media.run("window.compromised") is None
    assert media.run("document.querySelectorAll('main b, main script').length") == 0
    assert media.problems == []


def test_runs_without_media_say_so(viewer):
    viewer.go("media?runs=sweep%252Flr0.1-w8-s0", "document.querySelector('.empty')")
    assert "recorded no texts" in viewer.browser.texts(".empty")[0]


def test_large_values_are_above_small_ones_in_histograms_by_step(media):
    media.run(
        "(() => { const list = [[0, 10], [10, 0]].map((counts, step) =>"
        "   ({ step, content: { counts, edges: [0, 1, 2] } }));"
        " window.own = { plots: [] };"
        " const box = format.addElement('div', document.getElementById('main'));"
        " box.scrollIntoView();"
        " mediacells.overSteps(box, 'histogram', list, window.own); })()"
    )
    media.wait("window.own.plots[0].chart")
    option = "window.own.plots[0].chart.getOption()"
    names = [float(name) for name in media.run(f"{option}.yAxis[0].data")]
    assert names == sorted(names, reverse=True)  # from top to bottom
    cells = media.run(f"{option}.series[0].data")
    for column, is_inside in ((0, lambda v: v > 1), (1, lambda v: v < 1)):
        rows = [row for c, row, *_ in cells if c == column]
        assert len(rows) == 20 and all(is_inside(names[row]) for row in rows)


def test_runs_beside_each_other_are_legible_in_a_narrow_window(viewer):
    names = ("lm/detailed", "sweep/lr0.1-w8-s0", "sweep/lr0.1-w8-s1")
    route = f"media?runs={quote(','.join(quote(name, safe='') for name in names))}"
    viewer.browser.resize(400, 800)
    viewer.go(route, "document.querySelector('.files img')?.naturalWidth === 8")
    cells = "[...document.querySelectorAll('.media-cell')]"
    widths = viewer.browser.run(f"{cells}.map(cell => cell.offsetWidth)")
    assert min(widths) >= 200
    outside = f"{cells}.some(cell => cell.scrollWidth > cell.clientWidth)"
    assert not viewer.browser.run(outside)
    assert viewer.browser.run("document.documentElement.scrollWidth") <= 400
    names, heading = (
        viewer.browser.run(
            f"document.querySelector('{one}').getBoundingClientRect().toJSON()"
        )
        for one in (".media-row.names", ".media-section h3")
    )
    assert names["bottom"] <= heading["top"]


@pytest.mark.parametrize(("width", "fits"), [(900, True), (200, False)])
def test_numbers_of_a_matrix_do_not_overlap(media, width, fits):
    media.run(
        "(() => { const names = Array.from({ length: 12 }, (_, i) => `c${i}`);"
        " const values = names.map(() => names.map((_, i) => 1000 + i));"
        " const box = format.addElement('div', document.getElementById('main'));"
        f" box.style.width = '{width}px';"
        " const options = plots.heatmap({ xs: names, rows: names, values,"
        "   log: false, square: true, xName: '', yName: '' });"
        " window.own = plots.create(box, { height: 300, label: 'm', options });"
        " box.scrollIntoView(); })()"
    )
    media.wait("window.own.chart")
    media.settle()
    shown = media.run(
        "window.own.chart.getZr().storage.getDisplayList(true)"
        ".filter(e => e.type === 'tspan' && e.style.text.startsWith('1,00')).length"
    )
    assert shown == 120 if fits else 0 < shown < 120, shown
