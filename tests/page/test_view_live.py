"""The viewer while runs are written, cut back and deleted, and servers end."""

import json
import shutil

import pytest
from page.conftest import Viewer, open_logger
from support.viewer import serving

pytestmark = pytest.mark.timeout(90)

PLOT = "document.querySelector('.run .card')?.card?.plot"
LAST = f"Math.max(...{PLOT}.data[0])"
LIVE = "document.getElementById('connection').className === 'live'"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("live") / "runs"


@pytest.fixture(scope="module")
def server(root):
    root.mkdir()
    with serving(root) as server:
        yield server


@pytest.fixture(scope="module")
def entered_live(view_browser, server):
    viewer = Viewer(view_browser, server)
    viewer.enter()
    return viewer


@pytest.fixture
def live(entered_live):
    entered_live.browser.resize(1400, 1000)
    return entered_live


def write(folder, steps, mode="a"):
    with open(folder / "metrics.jsonl", mode) as file:
        for step in steps:
            row = {"step": step, "split": "train", "train/loss": 5 - step / 100}
            file.write(json.dumps(row) + "\n")


def made(root, name, steps=range(1, 51)):
    folder = root / "live" / name
    folder.mkdir(parents=True)
    write(folder, steps)
    return folder


def test_an_empty_root_says_how_to_begin_and_shows_the_first_run(live, root):
    assert not any(root.iterdir())
    live.browser.wait("document.body.innerText.includes('No runs yet')")
    live.browser.wait(LIVE)
    made(root, "first")
    live.browser.wait("document.querySelector('.list tbody tr[data-row]')")
    assert live.browser.problems == []


def test_a_new_row_appears_without_a_reload(live, root):
    options = {"overwrite": True, "hparams": {"total_steps": 42}}
    with open_logger(root, "live", "growing", **options) as logger:
        for step in range(1, 21):
            logger.log_step(step, loss=5 - step / 100)
        logger.flush()
        live.go("run/live/growing", f"{PLOT} && {LAST} === 20 && {LIVE}")
        canvas = "document.querySelector('.card canvas')"
        live.browser.run(f"window.sameCanvas = {canvas}")
        status = "document.querySelector('.status').innerText"
        live.browser.wait(f"{status}.includes('% of 42 steps')")
        assert live.browser.texts(".status .state") == ["running"]
        logger.log_step(21, loss=1.0)
        logger.flush()
        live.browser.wait(f"{LAST} === 21")
        assert live.browser.run(f"window.sameCanvas === {canvas}")
        live.browser.wait(
            "document.querySelector('.facts').innerText.includes('at step 21')"
        )


def test_growth_is_announced_asked_for_once_and_drawn(live, root):
    folder = made(root, "counted")
    live.go("run/live/counted", f"{PLOT} && {LAST} === 50 && {LIVE}")
    live.browser.run("api.settled()")
    live.browser.run(
        "window.announced = []; api.onChanges(runs => announced.push(...runs))"
    )
    live.browser.requests.clear()
    write(folder, [51])
    live.browser.wait(f"{LAST} === 51")
    live.browser.settle()
    announced = live.browser.run("announced.map(({ id, reset }) => [id, reset])")
    asked = [url for url in live.browser.requests if "/series" in url]
    assert announced[0] == ["live/counted", False]
    assert len(asked) <= len(announced) <= 2  # two if it was read in two pieces
    assert all("after=" in url for url in asked)
    assert live.browser.run(f"{PLOT}.data[0].length") == 51


def test_a_long_line_is_continued_as_it_would_be_read_anew(live, root):
    folder = made(root, "long", range(1, 1991))
    live.go("run/live/long", f"{PLOT} && {LAST} === 1990 && {LIVE}")
    line = "document.querySelector('.run .card').card.data[0]"
    fresh = (
        "(async () => { const answer = await (await fetch('api/run/live/long/series"
        "?key=train/loss&x=step&points=1500')).json();"
        " return answer.series['train/loss']; })()"
    )
    for last in (1993, 1996, 2100):  # the windows become longer at 1997
        write(folder, range(live.browser.run(f"{LAST} + 1"), last + 1))
        live.browser.wait(f"{LAST} === {last}")
        live.browser.run("api.settled()")
        shown, expected = live.browser.run(line), live.browser.run(fresh)
        assert {**shown, "end": ""} == {**expected, "end": ""}
        assert shown["means"]["of"] == (4 if last < 1997 else 5)


def test_a_rewound_run_is_drawn_anew(live, root):
    folder = made(root, "rewound")
    live.go("run/live/rewound", f"{PLOT} && {LAST} === 50 && {LIVE}")
    write(folder, range(1, 31), mode="w")
    live.browser.wait(f"{LAST} === 30")
    write(folder, range(31, 41))
    live.browser.wait(f"{LAST} === 40")
    assert live.browser.run(f"{PLOT}.data[0].length") == 40


def test_a_run_deleted_while_shown_is_a_message(live, root):
    folder = made(root, "deleted")
    live.go("run/live/deleted", f"{PLOT} && {LIVE}")
    shutil.rmtree(folder)
    live.browser.wait(
        "document.getElementById('message').innerText.includes('is not there')"
    )
    assert live.browser.run("document.querySelectorAll('.card').length") > 0


def test_a_hidden_tab_asks_for_nothing_until_it_is_seen(live, root):
    folder = made(root, "hidden")
    live.go("run/live/hidden", f"{PLOT} && {LAST} === 50 && {LIVE}")
    hide = (
        "Object.defineProperty(document, 'hidden',"
        " {{ value: {}, configurable: true }});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    live.browser.run(hide.format("true"))
    live.browser.run("api.settled()")
    live.browser.requests.clear()
    write(folder, range(51, 61))
    with live.server.changes() as changes:  # the server sees the next growth
        write(folder, range(61, 71))
        assert next(changes)["id"] == "live/hidden"
    live.browser.settle()
    assert live.browser.requests == []
    live.browser.run(hide.format("false"))
    live.browser.wait(f"{LAST} === 70")


def test_two_tabs_follow_the_same_run(live, root):
    folder = made(root, "shared")
    browser, first = live.browser, live.browser.tab
    ready = f"{PLOT} && {LAST} === 50 && {LIVE}"
    live.go("run/live/shared", ready)
    second = browser.new_tab()
    try:
        live.go("run/live/shared", ready)
        write(folder, range(51, 61))
        for tab in (first, second):
            browser.use(tab)
            browser.wait(f"{LAST} === 60")
    finally:
        browser.use(second)
        browser.call("Page.close")
        browser.use(first)


def test_damaged_runs_are_rows_among_good_ones(live, root):
    made(root, "good", range(1, 5))
    folder = made(root, "damaged", range(1, 5))
    (folder / "run.json").write_text("{")
    live.go(
        "runs?by=none", "document.querySelectorAll('.list tr[data-row]').length >= 2"
    )
    names = "[...document.querySelectorAll('.list .name')].map(e => e.textContent)"
    assert {"live/good", "live/damaged"} <= {
        name if "/" in name else f"live/{name}" for name in live.browser.run(names)
    }


def test_a_server_that_ends_and_starts_again_is_reached_again(view_browser, root):
    folder = made(root, "restarted")
    ready = f"{PLOT} && {LAST} === 50 && {LIVE}"
    with serving(root) as first:
        viewer = Viewer(view_browser, first)
        viewer.enter()
        viewer.go("run/live/restarted", ready)
    view_browser.wait(
        "document.getElementById('connection').textContent === 'connection lost'"
    )
    write(folder, range(51, 61))
    with serving(root, "--port", str(first.port)) as again:
        message = "document.getElementById('message').innerText"
        view_browser.wait(f"{message}.includes('started anew')")
        tab = view_browser.tab
        other = view_browser.new_tab()
        try:  # the address that the new server printed lets in the old tab too
            Viewer(view_browser, again).enter()
        finally:
            view_browser.call("Page.close")
            view_browser.use(tab)
        assert other != tab
        view_browser.wait(f"{LAST} === 60 && {LIVE}", seconds=30)
        view_browser.wait("document.getElementById('message').hidden")
