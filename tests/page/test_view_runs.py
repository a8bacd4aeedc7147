"""The first page of the viewer: the table of runs beside their charts."""

import pytest

pytestmark = pytest.mark.timeout(60)

ROWS = ".list tbody tr[data-row]"
DRAWN = "document.querySelector('.side .card')?.card.plot"
READY = f"document.querySelector('{ROWS}') && {DRAWN}"


def lines(browser, index=0):
    """Return the names of the lines of a chart that are drawn."""
    card = f"document.querySelectorAll('.side .card')[{index}].card"
    return browser.run(f"{card}.content.drawn.map(one => one.line.name)")


@pytest.fixture
def sweep(viewer):
    viewer.go("runs?project=sweep", READY)
    return viewer


def test_the_page_opens_without_problems_and_asks_this_server_only(viewer):
    viewer.go("runs", READY)
    assert viewer.browser.problems == []
    base = f"http://127.0.0.1:{viewer.server.port}/"
    assert all(url.startswith(base) for url in viewer.browser.requests)
    assert "token" not in viewer.browser.run("location.href")


def test_seeds_are_folded_into_means_over_the_runs_alive(sweep):
    browser = sweep.browser
    names = browser.texts(f"{ROWS} .name")
    assert len(names) == 4
    assert "lr=0.1 width=8" in names
    drawn = lines(browser)
    assert "lr=0.1 width=8 (n=2)" in drawn
    card = "document.querySelector('.side .card').card"
    mean = "one => one.line.name === 'lr=0.1 width=8 (n=2)'"
    y = browser.run(f"{card}.content.drawn.find({mean}).y")
    assert len(y) == 10
    faint = browser.run(
        f"{card}.content.drawn.filter(o => o.line.faint).map(o => o.line.name)"
    )
    assert not any(name.startswith("lr=0.1 width=16") for name in drawn)  # one is left
    assert {"lr0.1-w16-s0", "lr0.1-w16-s1 (diverged)"} <= set(drawn) - set(faint)
    assert "lr0.1-w8-s0" in faint


def test_a_run_that_diverged_does_not_rule_the_range(viewer):
    run = viewer.browser.run
    viewer.go("runs", READY)
    data = "[[1, 2, 3], [1, 2, 3], [5, 900, 5]]"
    for is_lost, high in ((True, 3), (False, 900)):
        flags = f"[{{}}, {{}}, {{ diverged: {str(is_lost).lower()} }}]"
        look = "{ log: false, full: false, pooled: true }"
        found = run(f"lines.yRange({data}, {flags}, -Infinity, Infinity, {look})")
        assert (found["max"], found["clipped"]) == (high, is_lost)


def test_a_group_opens_and_closes(sweep):
    browser = sweep.browser
    browser.click(f"{ROWS} .fold")
    assert len(browser.texts(f"{ROWS} .name")) == 6
    assert "open=" in sweep.route
    browser.click(f"{ROWS} .fold")
    assert len(browser.texts(f"{ROWS} .name")) == 4


def test_a_click_on_a_name_sorts_and_the_back_button_returns(sweep):
    browser = sweep.browser
    browser.click('[data-column="last:val/loss"]')
    route = sweep.route
    assert "sort=last:val/loss" in route
    first = browser.texts(f"{ROWS} .name")
    assert first[0] == "lr=0.1 width=8" or "0.1" in first[0]
    browser.click('[data-column="last:val/loss"]')
    assert "sort=-last:val/loss" in sweep.route
    descending = browser.texts(f"{ROWS} .name")
    assert descending[0] == "lr=0.01 width=8"
    browser.run("history.back()")
    browser.wait("location.hash.includes('sort=last')")
    browser.settle()
    assert browser.texts(f"{ROWS} .name") == first


@pytest.mark.parametrize("sort", ["v", "-v"])
def test_missing_values_are_last_in_both_directions(viewer, sort):
    viewer.go("runs", READY)
    values = "[2, null, 3, undefined, NaN, 1].map((v, id) => ({ id, v }))"
    column = "{ id: 'v', value: row => row.v }"
    ids = viewer.browser.run(
        f"table.sorted({values}, [{column}], '{sort}').map(row => row.id)"
    )
    assert ids[:3] == ([5, 0, 2] if sort == "v" else [2, 0, 5])


@pytest.mark.parametrize("sort", ["best:val/loss", "-best:val/loss"])
def test_runs_that_diverged_are_last_in_both_directions(viewer, sort):
    run = viewer.browser.run
    viewer.go("runs", READY)
    states = "[['diverged', 0.1], ['closed', 0.3], ['closed', 0.2], ['diverged', 9]]"
    rows = (
        f"{states}.map(([state, value], id) => ({{ id, run: {{ state, "
        "best: { 'val/loss': { value, step: 1 } } } }))"
    )
    column = "columns.available({ runs: [], hparams: [], keys: ['val/loss'], "
    column = f"[{column}better: {{}} }}).get('last:val/loss')]"
    column = (
        f"{column}.map((c) => ({{ ...c, id: 'best:val/loss', "
        "value: (row) => row.run.best['val/loss'].value }))"
    )
    ids = run(f"table.sorted({rows}, {column}, '{sort}').map((row) => row.id)")
    assert ids == ([1, 2, 3, 0] if sort.startswith("-") else [2, 1, 0, 3])


def test_hiding_a_run_takes_its_lines_away_and_is_kept(sweep):
    browser = sweep.browser
    before = lines(browser)
    browser.click(f"{ROWS} .eye")
    browser.wait(
        "document.querySelector('.side .card').card.content.drawn.length"
        f" < {len(before)}"
    )
    gone = set(before) - set(lines(browser))
    assert gone
    assert "hide=" in sweep.route
    sweep.go("runs?project=sweep", READY)  # the browser remembers
    assert not gone & set(lines(browser))


def test_stars_come_first_and_colors_change(sweep):
    browser = sweep.browser
    last = browser.texts(f"{ROWS} .name")[-1]
    browser.click(f"{ROWS}:nth-last-child(2) .star")
    assert browser.texts(f"{ROWS} .name")[0] == last
    color = f"document.querySelector('{ROWS} .eye').style.backgroundColor"
    before = browser.run(color)
    browser.run(f"document.querySelector('{ROWS} .paint').click()")
    assert browser.run(color) != before
    assert "colors=" in sweep.route


def test_the_group_can_be_a_parameter(sweep):
    browser = sweep.browser
    browser.choose(".list .field select", "width")
    browser.wait(f"document.querySelectorAll('{ROWS}').length === 2")
    assert sorted(browser.texts(f"{ROWS} .name")) == ["width=16", "width=8"]
    browser.choose(".list .field select", "none")
    browser.wait(f"document.querySelectorAll('{ROWS}').length === 8")


def test_columns_and_charts_are_chosen(sweep):
    browser = sweep.browser
    browser.click(".list details.menu summary")
    box = ".list details.menu .options label:first-child input"
    assert browser.run(f"document.querySelector('{box}').checked")
    browser.click(box)
    assert "cols=" in sweep.route
    headers = browser.texts(".list thead button")
    assert "state" not in headers
    assert browser.texts(".side .card h4") == ["val/loss", "train/loss"]
    browser.click(".list details.menu:last-of-type summary")
    options = ".list details.menu:last-of-type .options label"
    assert browser.texts(options)[0] == "train/loss"
    browser.click(f"{options}:first-child input")
    browser.wait("document.querySelectorAll('.side .card').length === 1")
    assert browser.texts(".side .card h4") == ["val/loss"]
    sweep.go("runs?project=sweep&keys=train%252Floss", READY)
    assert browser.texts(".side .card h4") == ["train/loss"]


def test_no_more_than_so_many_charts_can_be_chosen(viewer):
    viewer.go("runs", READY)
    disabled = viewer.browser.run(
        "(() => { const checked = new Set(['a']);"
        " const items = () => ['a', 'b'].map(id => ({ id, text: id,"
        "   checked: checked.has(id) }));"
        " const box = ui.menu(document.body, 'few', items, () => {}, { limit: 1 });"
        " box.open = true; box.dispatchEvent(new Event('toggle'));"
        " const found = [...box.querySelectorAll('input[type=checkbox]')];"
        " return found.map(mark => mark.disabled); })()"
    )
    assert disabled == [False, True]


def test_a_drag_zooms_and_loads_the_range_again(sweep):
    browser = sweep.browser
    browser.requests.clear()
    browser.drag(".side .card .u-over", 0.25, 0.75)
    browser.wait("location.hash.includes('zoom')")
    browser.wait(
        "performance.getEntriesByType('resource').some(r => r.name.includes('from='))"
    )
    scale = "document.querySelector('.side .card').card.plot.scales.x"
    low, high = browser.run(f"[{scale}.min, {scale}.max]")
    assert 10 < low < 60 < high < 100


def test_hostile_names_stay_text(viewer):
    viewer.go("runs?project=lm&by=none", READY)
    browser = viewer.browser
    assert "<img src=x onerror=window.compromised=1>" in browser.texts(f"{ROWS} .name")
    assert browser.run("window.compromised") is None
    assert browser.run("document.querySelectorAll('img, b, iframe').length") == 0
    assert browser.problems == []


def test_two_thousand_rows_build_only_what_is_seen(sweep):
    browser = sweep.browser
    browser.run(
        "(() => { const main = document.getElementById('main');"
        " const box = format.addElement('div', main, undefined, 'list');"
        " box.style.height = '400px'; box.id = 'many';"
        " const grid = table.create(box, { label: 'many', onSort() {} });"
        " const columns = [{ id: 'n', title: 'n', width: 9, value: r => r.n,"
        "   cell: (r, td) => { td.textContent = r.n; } }];"
        " const rows = [...Array(2000).keys()].map(n => ({ id: String(n), n }));"
        " grid.show({ columns, rows, sort: 'n' }); })()"
    )
    browser.settle()
    built = "document.querySelectorAll('#many tr[data-row]').length"
    assert 10 < browser.run(built) < 80
    browser.run("document.querySelector('#many .rows').scrollTop = 30 * 1500")
    browser.wait("document.querySelector('#many tr[data-row=\"1500\"]')")
    assert browser.run(built) < 80


def test_numbers_have_errors_of_two_digits(viewer):
    viewer.go("runs", READY)
    run = viewer.browser.run
    assert run("stats.withError(2.03149, 0.0123)") == "2.031 ± 0.012"
    assert run("stats.withError(1234.5, 67.8)") == "1,235 ± 68"
    assert run("stats.withError(1.5, null)") == "1.5"
    assert run("stats.withError(null, null)") == "–"
    summary = run("stats.summarize([1, 2, NaN, 3])")
    assert summary["n"] == 3 and summary["mean"] == 2
    assert summary["error"] == pytest.approx(1 / 3**0.5)
    mean = run(
        "stats.meanLine([{ x: [0, 2], y: [1, 3] },"
        " { x: [0, 1, 2, 3], y: [3, 3, 3, 9] }])"
    )
    assert mean["x"] == [0, 1, 2, 3]
    assert mean["y"] == [2, 2.5, 3, 9]
    assert mean["n"] == [2, 2, 2, 1]


def test_names_tell_the_projects_apart_where_there_are_several(viewer):
    viewer.go("runs", READY)
    names = viewer.browser.texts(f"{ROWS} .name")
    assert "sweep/lr=0.1 width=8" in names and "lm/detailed" in names
    drawn = lines(viewer.browser)
    assert "sweep/lr=0.1 width=8 (n=2)" in drawn and "lm/detailed" in drawn
    assert all("/" in name for name in drawn)


def test_a_long_name_does_not_hide_how_many_runs_diverged(sweep):
    browser = sweep.browser
    cell = "document.querySelector('.lost').closest('td')"
    browser.run(f"{cell}.querySelector('.name').textContent = 'width=1 '.repeat(20)")
    browser.settle()
    right = "getBoundingClientRect().right"
    mark, edge = browser.run(
        f"[document.querySelector('.lost').{right}, {cell}.{right}]"
    )
    assert mark <= edge
