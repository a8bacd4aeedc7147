import math

import pytest
from support.runs import write_run

from jaxmetrics.record import Record
from jaxmetrics.runs import Overview, overview_lines
from jaxmetrics.runs.live import _overview


def row(step, split="train", **values):
    named = {f"{split}/{name}": value for name, value in values.items()}
    return Record(step, split, named, step * 0.5).line()


@pytest.fixture
def project(tmp_path):
    """A project of two runs; the second one ended early."""
    a = [row(n, loss=4.0 - n / 100) for n in range(0, 301, 100)]
    write_run(tmp_path / "sweep" / "a", [*a, row(300, "val", loss=2.0)])
    b = [row(0, loss=9.0), row(100, loss=math.nan), row(100, "val", loss=3.0)]
    events = [{"event": "start", "attempt": 1}, {"event": "close", "attempt": 1}]
    write_run(tmp_path / "sweep" / "b", b, events)
    return tmp_path / "sweep"


def runs_of(project):
    return Overview(lambda: sorted(project.iterdir()))


def test_a_single_path_is_one_run(project):
    (view,) = Overview(lambda: str(project / "a")).read()
    assert view.metrics.step == 300


def test_a_line_for_each_run(project):
    views = runs_of(project).read()
    now = views[0].changed + 75
    assert overview_lines(views, now) == [
        "2 runs: val/loss",
        "                state  step  last  min  max",
        "a  running, 1m15s ago   300     2    2    2   ▄",
        "b            diverged   100     3    3    3  ▄",
    ]


def test_the_most_important_key_of_most_runs_is_shown(project):
    lines = overview_lines(Overview(lambda: project.iterdir(), ["train/*"]).read(), 0.0)
    assert lines[0] == "2 runs: train/loss"
    (b,) = [line for line in lines if line.startswith("b ")]
    assert b.split()[1:] == ["diverged", "100", "nan", "9", "9", "▄×"]
    write_run(project / "c", [row(7, accuracy=0.5)])
    lines = overview_lines(runs_of(project).read(), 0.0)
    (c,) = [line for line in lines if line.startswith("c ")]
    assert lines[0] == "3 runs: val/loss"
    assert c.split() == ["c", "running,", "0s", "ago", "7"]


def test_runs_that_begin_or_vanish_are_seen_and_others_are_not_read_again(project):
    overview = runs_of(project)
    first, _ = overview.read()
    write_run(project / "c", [row(7, loss=0.5)])
    views = overview.read()
    assert [view.metrics.step for view in views] == [300, 100, 7]
    assert views[0].metrics is first.metrics
    for name in ("metrics.jsonl", "events.jsonl"):
        (project / "b" / name).unlink()
    lines = overview_lines(overview.read(), 0.0)
    assert [line.split()[1:3] for line in lines if line[0] == "b"] == [["no", "record"]]


def test_lines_fit_into_the_window_and_names_are_escaped(project):
    for number in range(30):
        write_run(project / f"long-name-\x1b[31m-{number:02}", [row(1, loss=1.0)])
    views = runs_of(project).read()
    lines = overview_lines(views, 0.0, width=50, height=12)
    assert len(lines) == 12 and max(map(len, lines)) <= 50
    assert lines[-1] == "and 23 more runs" and all(map(str.isprintable, lines))
    assert len(overview_lines(views, 0.0, width=50)) == 34


def test_of_very_many_runs_the_last_ones_are_followed(project, monkeypatch):
    monkeypatch.setattr(_overview, "_MAX_RUNS", 1)
    overview = runs_of(project)
    (view,) = views = overview.read()
    assert view.name == "sweep/b"
    lines = overview_lines(views, 0.0, left_out=overview.left_out)
    assert lines[0] == "the last 1 of 2 runs: val/loss"


def test_no_runs_and_runs_without_records(tmp_path):
    assert overview_lines([], 0.0) == ["0 runs"]
    write_run(tmp_path / "p" / "a", [])
    lines = overview_lines(runs_of(tmp_path / "p").read(), 0.0)
    assert lines[0] == "1 runs" and len(lines) == 3
