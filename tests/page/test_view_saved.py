"""Saved views: one HTML file that needs no server."""

import pytest

pytestmark = pytest.mark.timeout(60)

SAVE = "save.page().then(blob => blob.text())"


def saved(viewer, path):
    path.write_text(viewer.browser.run(SAVE))
    viewer.browser.open(path)
    return viewer.browser


def test_a_saved_run_is_drawn_without_a_server(viewer, tmp_path):
    plot = "document.querySelector('.run .card')?.card?.plot"
    viewer.go("run/lm/detailed", plot)
    viewer.browser.wait("!api.saved && document.querySelector('.chip.alarm')")
    browser = saved(viewer, tmp_path / "run.html")
    browser.wait(plot)
    assert browser.problems == []
    assert browser.requests == [(tmp_path / "run.html").as_uri()]
    assert browser.run("document.querySelector('h1').textContent") == "lm/detailed"
    browser.click(".chip.alarm")
    browser.wait(f"{plot}.scales.x.min > 100")
    assert browser.run("window.compromised") is None
    browser.run("document.querySelector('#views a').click()")
    browser.wait("!document.getElementById('message').hidden")
    assert "not stored" in browser.run("document.getElementById('message').textContent")


def test_a_saved_run_has_its_map_of_layers(viewer, tmp_path):
    heat = "document.querySelector('.heat .echart')?.chart"
    viewer.go("run/lm/detailed", "document.querySelector('.run .card')?.card?.plot")
    browser = saved(viewer, tmp_path / "run.html")  # before the map was in sight
    browser.wait("document.querySelector('.layers:not([hidden])')")
    browser.run("document.querySelector('.layers').scrollIntoView()")
    browser.wait(f"{heat} && document.querySelector('.heat .note').textContent")
    largest = "Largest: layer_1, 82 at"
    assert browser.texts(".heat .note")[0].startswith(largest)
    browser.run("document.querySelector('.chip.alarm').click()")
    browser.wait("location.hash.includes('zoom')")
    browser.settle()  # of a range that was not stored the whole is taken
    assert browser.texts(".heat .note")[0].startswith(largest)
    assert browser.problems == []


def test_saved_media_play_their_audio(viewer, tmp_path):
    tone = "document.querySelector('.files audio')"
    viewer.go("media?runs=lm%252Fdetailed&step=100&kind=audio", tone)
    browser = saved(viewer, tmp_path / "media.html")
    browser.wait(tone)
    browser.run(f"{tone}.load()")
    browser.run(f"{tone}.preload = 'metadata'")
    browser.wait(f"{tone}.duration > 0.09")
    assert browser.run(f"{tone}.src").startswith("data:audio/")
    assert browser.problems == []


def test_saved_media_hold_their_images_and_stay_text(viewer, tmp_path):
    image = "document.querySelector('.files img')?.naturalWidth === 8"
    viewer.go("media?runs=lm%252Fdetailed&step=100", image)
    browser = saved(viewer, tmp_path / "media.html")
    browser.wait(image)
    assert browser.run("document.querySelector('.files img').src").startswith("data:")
    assert "good good good good good <" in browser.run(
        "document.querySelector('pre.text').textContent"
    )
    assert browser.run("document.querySelectorAll('main b').length") == 0
    assert browser.problems == []


def test_a_saved_sweep_draws_its_charts(viewer, tmp_path):
    chart = "document.querySelector('.sweep .echart')?.chart"
    viewer.go("sweep?project=sweep&target=last%3Aval%2Floss", chart)
    browser = saved(viewer, tmp_path / "sweep.html")
    browser.wait(chart)
    assert browser.run(f"{chart}.getOption().series[0].data.length") == 8
    assert browser.problems == []
