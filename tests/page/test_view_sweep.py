"""Parallel coordinates, scatter and means of a sweep in the viewer."""

import pytest

pytestmark = pytest.mark.timeout(60)

COORDINATES = "document.querySelector('.sweep .echart')?.chart"
ROWS = ".sweep-body > .card:last-child tr[data-row]"
READY = f"{COORDINATES} && document.querySelectorAll('.sweep canvas').length >= 2"


@pytest.fixture
def sweep(viewer):
    viewer.go("sweep?project=sweep&target=last%3Aval%2Floss", READY)
    return viewer


def test_the_axes_are_what_differs_and_the_goal(sweep):
    browser = sweep.browser
    assert browser.problems == []
    names = browser.run(
        f"{COORDINATES}.getOption().parallelAxis.map(axis => axis.name)"
    )
    assert names == ["lr", "width", "seed", "last val/loss"]
    lines = browser.run(f"{COORDINATES}.getOption().series[0].data.length")
    assert lines == 8
    assert len(browser.texts(ROWS)) == 8
    (colors,) = browser.run(
        f"{COORDINATES}.getOption().visualMap.map(map => map.inRange.color)"
    )
    assert colors[0] == "#fff3a6"  # the strongest color is that of the lowest loss


def drag_along(browser, axis, begin, end):
    """Drag along a parallel axis, between two fractions of its height."""
    left, top, width, height = browser.box(".sweep .echart")
    rect = browser.run(
        f"(() => {{ const model = {COORDINATES}.getModel().getComponent('parallel');"
        f" const layout = model.coordinateSystem.getAxisLayout('dim{axis}');"
        " const r = model.coordinateSystem.getRect();"
        " return [layout.position[0], r.y, r.height]; })()"
    )
    x = left + rect[0]
    low, high = top + rect[1] + begin * rect[2], top + rect[1] + end * rect[2]
    browser.mouse("Moved", x, low)
    browser.mouse("Pressed", x, low)
    browser.mouse("Moved", x, (low + high) / 2, held=1)
    browser.mouse("Moved", x, high, held=1)
    browser.mouse("Released", x, high)
    browser.settle()


def test_a_brush_filters_the_runs_and_the_means(sweep):
    browser = sweep.browser
    drag_along(browser, 0, 0.02, 0.45)  # the upper half: lr = 0.1
    browser.wait(f"document.querySelectorAll('{ROWS}').length === 4")
    names = browser.texts(f"{ROWS} .name")
    assert all("lr0.1" in name for name in names)
    assert "brush" in browser.run("location.hash")
    means = browser.texts(
        ".sweep-body > .card:nth-child(2) tr[data-row] td:first-child"
    )
    assert set(means) == {"0.1"}
    address = browser.run("location.hash")[2:]
    sweep.go(address, READY)  # the address keeps the brush
    assert len(browser.texts(f"{ROWS} .name")) == 4
    browser.click(".sweep .note .link")
    browser.wait(f"document.querySelectorAll('{ROWS}').length === 8")
    drag_along(browser, 0, 0.55, 0.98)  # the lower half: lr = 0.01
    browser.wait(f"document.querySelectorAll('{ROWS}').length === 4")
    assert all("lr0.01" in name for name in browser.texts(f"{ROWS} .name"))
    assert browser.problems == []


def test_means_by_group_have_standard_errors_and_the_best_is_marked(sweep):
    browser = sweep.browser
    table = ".sweep-body > .card:nth-child(2) tr[data-row]"
    rows = [text for text in browser.texts(table)]
    assert len(rows) == 4
    best = browser.texts(f"{table}.best td")
    assert best[:2] == ["0.1", "16"]
    assert any("±" in text for text in rows)


def test_the_scatter_takes_any_columns(sweep):
    browser = sweep.browser
    option = "document.querySelectorAll('.sweep .echart')[1].chart.getOption()"
    assert browser.run(f"{option}.xAxis[0].name") == "lr"
    picks = ".sweep-body > .card:nth-child(3) .field select"
    browser.choose(picks, "hp:width")
    browser.wait(f"{option}.xAxis[0].name === 'width'")
    assert browser.run(f"{option}.xAxis[0].data") == ["8", "16"]
    points = browser.run(f"{option}.series.reduce((n, s) => n + s.data.length, 0)")
    assert points >= 7
    assert "x=hp:width" in sweep.route


def test_a_filter_and_an_error_beside_it(sweep):
    browser = sweep.browser
    browser.choose(".sweep .where", "width == 16")
    browser.wait(f"document.querySelectorAll('{ROWS}').length === 4")
    browser.choose(".sweep .where", "widht == 16")
    browser.wait("!document.getElementById('where-error').hidden")
    assert "width" in browser.texts("#where-error")[0]
    assert len(browser.texts(ROWS)) == 4
    browser.problems.clear()  # the browser notes the refused request
