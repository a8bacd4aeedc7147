"""The page of one run in the viewer."""

import pytest

from jaxmetrics.record import duration

pytestmark = pytest.mark.timeout(60)

PLOT = "document.querySelector('.run .card')?.card?.plot"
HEAT = "document.querySelector('.heat .echart')?.chart"


def x_range(browser):
    return browser.run(f"[{PLOT}.scales.x.min, {PLOT}.scales.x.max]")


@pytest.fixture
def run(viewer):
    viewer.go("run/lm/detailed", PLOT)
    return viewer.browser


def test_the_page_says_what_the_run_is(run):
    assert run.problems == []
    assert run.texts("h1") == ["lm/detailed"]
    facts = dict(zip(run.texts(".facts dt"), run.texts(".facts dd:not(.detail)")))
    assert any("val/loss" in name for name in facts)
    assert facts["Attempts"] == "2"
    assert run.texts(".run h3")[0] == "Loss"
    first = "document.querySelector('.run .card').card.content.drawn"
    names = run.run(f"{first}.map(one => one.line.name)")
    assert names == ["train/loss", "val/loss"]


def test_facts_are_in_columns_of_equal_width(viewer):
    for width in (1400, 900, 400):
        viewer.browser.resize(width, 1000)
        viewer.go("run/lm/detailed", PLOT)
        facts = "[...document.querySelectorAll('.facts > div')]"
        widths = viewer.browser.run(f"{facts}.map(fact => fact.offsetWidth)")
        assert len(widths) > 4 and max(widths) - min(widths) <= 1, width
        longest = viewer.browser.run(f"{facts}.map(f => f.scrollWidth - f.clientWidth)")
        assert max(longest) <= 0


def test_axes_of_maps_have_round_numbers(run):
    ticks = "[43, 110, 177, 244, 311, 378, 445, 512]"
    found = run.run(
        "(ticks => { const { axisLabel } = plots.categories(ticks);"
        " return ticks.map((_, i) => axisLabel.formatter('', i)); })(" + ticks + ")"
    )
    assert [text for text in found if text] == ["100", "200", "300", "400", "500"]
    assert found[1] == "100"
    assert run.run("plots.categories(['cat', 'dog', 'x']).data") == ["cat", "dog", "x"]


def test_numbers_of_layers_and_counts_are_not_smoothed_by_themselves(run):
    prepare = (
        "((y, smoothing) => { const x = [...y.keys()], n = y.length;"
        " const data = [{ x, y, count: n, missing: 0 }];"
        " const chart = { lines: [{ color: 0 }] };"
        " const look = { log: false, smoothing, span: n, range: { min: 0, max: n },"
        " colors: ['#000'], text: '#000', shown: () => true };"
        " return lines.prepare(chart, data, look).drawn[0].isSmooth; })"
    )
    integers = "Array.from({ length: 900 }, (_, i) => i === 500 ? 7 : -1)"
    reals = "Array.from({ length: 900 }, (_, i) => Math.sin(i))"
    assert run.run(f"{prepare}({integers}, null)") is False
    assert run.run(f"{prepare}({integers}, 0.05)") is True
    assert run.run(f"{prepare}({reals}, null)") is True


def test_an_alarm_zooms_the_charts_to_it_and_the_address_says_so(run):
    full = x_range(run)
    assert full == [1, 200]
    run.click(".chip.alarm")
    run.wait("location.hash.includes('zoom')")
    run.wait(f"{PLOT}.scales.x.min > 100")
    low, high = x_range(run)
    assert low < 150 < high < 170
    settings = run.run("chartstate.read(router.current.state)")
    # In the chart of its key the spike is no outlier.
    assert list(settings["full"].values()) == [True]
    run.run("history.back()")
    run.wait(f"{PLOT}.scales.x.max === 200 && {PLOT}.scales.x.min === 1")


def test_alarms_that_share_an_event_are_counted_each(run):
    assert run.texts(".chips .label") == ["2 alarms"]
    alarms = "{ kind: 'alarm', count: 41 }, { kind: 'alarm', count: 1 }"
    assert run.run(f"stats.alarmCount([{alarms}, {{ kind: 'restart' }}])") == 42


def test_the_layer_that_exploded_is_on_top_of_the_heatmap(run):
    run.run("document.querySelector('.layers').scrollIntoView()")
    run.wait(f"{HEAT} && document.querySelector('.heat .note').textContent")
    assert run.texts(".heat .note")[0].startswith("Largest: layer_1, 82 at step 150")
    names = run.run(f"{HEAT}.getOption().yAxis[0].data")
    assert names == ["layer_1", "layer_2", "layer_0"]
    canvas = run.run("document.querySelector('.heat canvas').width")
    assert canvas > 100
    assert run.problems == []


def test_a_heatmap_of_a_range_without_records_is_not_shown(run):
    run.run("document.querySelector('.layers').scrollIntoView()")
    run.wait(HEAT)
    settings = "{ ...chartstate.read({}), zoom: { min: 500, max: 600 } }"
    state = f"chartstate.patch({settings})"
    run.run(f"location.hash = router.href('run', ['lm', 'detailed'], {state})")
    run.wait("document.querySelector('.heat .note').textContent.startsWith('Nothing')")
    assert run.run("document.querySelectorAll('.heat .echart').length") == 0


def test_where_the_time_went_adds_up_and_attempts_are_bands(run):
    shares = run.texts(".share-list dd.muted")
    assert sum(float(text.split()[0]) for text in shares) == pytest.approx(100, abs=2)
    by_name = dict(zip(run.texts(".share-list dt"), shares))
    assert run.texts(".goodput strong") == [by_name["training steps"]]
    assert by_name["training steps"] != "100 %"
    assert run.texts(".band") == ["from the start", "went on"]


def test_only_charts_that_can_be_seen_are_loaded(viewer):
    viewer.browser.resize(1400, 500)
    viewer.go("run/lm/detailed", PLOT)
    requested = [u for u in viewer.browser.requests if "/series" in u]
    assert any("loss" in url for url in requested)
    assert not any("mfu" in url for url in requested)
    viewer.browser.run("scrollTo(0, document.body.scrollHeight)")
    viewer.browser.wait(
        "performance.getEntriesByType('resource').some(r => r.name.includes('mfu'))"
    )


def test_the_axis_is_part_of_the_address(run, viewer):
    run.choose("#axis", "tokens")
    run.wait(f"{PLOT}.scales.x.max === 2000")
    assert "axis=tokens" in run.run(
        "decodeURIComponent(decodeURIComponent(location.hash))"
    )
    address = run.run("location.hash")[2:]
    viewer.go(address, f"{PLOT}?.scales.x.max === 2000")
    assert run.run("document.querySelector('#axis').value") == "tokens"


def test_a_run_that_is_not_there_is_a_message(viewer):
    viewer.go("run/lm/absent", "!document.getElementById('message').hidden")
    assert "lm/absent is not there" in viewer.browser.texts("#message")[0]


def test_a_run_outside_of_the_root_is_a_message(viewer, view_root, tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step":1,"split":"train"}\n')
    link = view_root / "lm" / "outside"
    link.symlink_to(tmp_path)
    try:
        viewer.go("run/lm/outside", "!document.getElementById('message').hidden")
        assert "is a symbolic link" in viewer.browser.texts("#message")[0]
    finally:
        link.unlink()


def test_texts_of_the_run_have_no_effect(run):
    run.run("scrollTo(0, document.body.scrollHeight)")
    run.settle()
    body = run.run("document.body.innerText")
    assert "</script><img src=x onerror='window.compromised=1'><b>&lt;" in body
    assert run.run("window.compromised") is None
    assert run.run("document.querySelectorAll('main img, main b').length") == 0


def test_charts_and_tables_fit_a_narrow_window_in_both_schemes(viewer):
    browser = viewer.browser
    browser.resize(400, 800)
    for route in ("runs", "run/lm/detailed", "media?runs=lm%252Fdetailed", "sweep"):
        viewer.go(route, "document.querySelector('main').childElementCount")
        assert browser.run("document.documentElement.scrollWidth") <= 400, route
    color = "getComputedStyle(document.body).backgroundColor"
    assert browser.run(color) == "rgb(14, 17, 23)"
    browser.prefer("light")
    assert browser.run(color) != "rgb(14, 17, 23)"
    browser.prefer("dark")


@pytest.mark.parametrize("text", ["connection lost", "saved 2026-01-01 00:00 UTC"])
def test_a_narrow_bar_has_room_for_the_state_of_the_connection(run, text):
    run.resize(400, 800)
    shown = "document.getElementById('connection')"
    run.run(f"{shown}.className = 'lost', {shown}.textContent = {text!r}")
    run.settle()
    assert run.run("document.documentElement.scrollWidth") <= 400
    bar = "document.querySelector('.topbar').getBoundingClientRect()"
    edges = f"(e => [e.left, e.right, e.bottom])({shown}.getBoundingClientRect())"
    left, right, bottom = run.run(edges)
    assert 0 <= left < right <= 400 and bottom <= run.run(f"{bar}.bottom")


def test_durations_are_written_as_in_the_facts(run):
    seconds = [0.25, 7, 9.96, 59.7, 305, 7500, 86_400 * 3 + 4 * 3600]
    texts = run.run(f"{seconds}.map(stats.duration)")
    assert texts == ["0.3s", *(duration(value) for value in seconds[1:])]
