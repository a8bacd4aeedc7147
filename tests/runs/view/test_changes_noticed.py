"""When the files of runs are looked at, and what a slow page is told."""

import asyncio
import os
import time

import pytest
from support.runs import rows_of, write_run

from jaxmetrics.runs.view import _changes
from jaxmetrics.runs.view._cache import RunCache
from jaxmetrics.runs.view._changes import Change, Watcher, _Client
from jaxmetrics.runs.view._root import Root

RUNS = ["one", "other1", "other2", "other3", "other4"]


@pytest.fixture
def watcher(tmp_path, monkeypatch):
    """Return a watcher of five runs, and a function that sets a run's last change.

    One quiet run is looked at each time; all but the first are quiet.
    """
    monkeypatch.setattr(_changes, "_QUIET_RUNS", 1)
    for name in RUNS:
        write_run(tmp_path / "p" / name, rows_of(3, train__loss=float), ["{}"])
    root = Root(tmp_path)
    cache = RunCache(root)

    def touch(age=0.0, name="one"):
        for path in (tmp_path / "p" / name).iterdir():
            path.write_bytes(path.read_bytes() + b" ")
            os.utime(path, (time.time() - age,) * 2)

    for name in RUNS[1:]:
        touch(1000.0, name)
    return Watcher(root, cache), cache, touch


def looks_until_noticed(watcher, touch):
    touch()
    for number in range(1, 20):
        if watcher.look():
            return number
    raise AssertionError("a change was not noticed")


@pytest.mark.parametrize(("age", "looks"), [(110, 1), (130, 5)])
def test_runs_that_are_old_at_first_are_looked_at_in_turn(watcher, age, looks):
    watcher, _, touch = watcher
    touch(age)
    assert [change.id for change in watcher.look()] == [f"p/{name}" for name in RUNS]
    assert looks_until_noticed(watcher, touch) == looks


@pytest.mark.parametrize(("quiet", "looks"), [(120, 1), (121, 5)])
def test_a_run_is_quiet_after_120_looks_without_a_change(watcher, quiet, looks):
    watcher, _, touch = watcher
    touch()
    watcher.look()
    assert not any(watcher.look() for _ in range(quiet))
    watcher._looks = 1  # a moment at which quiet runs are not due for a while
    assert looks_until_noticed(watcher, touch) == looks
    assert looks_until_noticed(watcher, touch) == 1  # it is not quiet any more


def test_few_quiet_runs_are_looked_at_every_time(watcher, monkeypatch):
    monkeypatch.setattr(_changes, "_QUIET_RUNS", len(RUNS))
    watcher, _, touch = watcher
    touch(130)
    watcher.look()
    assert looks_until_noticed(watcher, touch) == 1


def test_a_run_that_is_shown_is_looked_at_every_time(watcher):
    watcher, cache, touch = watcher
    touch(130)
    cache.get("p", "one")
    watcher.look()
    assert looks_until_noticed(watcher, touch) == 1


def test_a_slow_page_is_told_the_last_change_of_each_run_once():
    async def told():
        client = _Client()
        client.add([Change("a", "1", True), Change("b", "1", False)])
        client.add([Change("a", "2", False)])
        first = await client.take(60.0)
        client.add([])
        return first, await client.take(0.01)

    first, second = asyncio.run(told())
    assert first == [Change("a", "2", True), Change("b", "1", False)]
    assert second == []
