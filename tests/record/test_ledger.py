"""The event ledger of a run."""

import logging
import os

import pytest
from support.clock import Clock
from support.faults import FullDisk
from support.processes import run_python

from jaxmetrics.record import Ledger, WriterLockedError, iso_time, read_lines


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def events(path):
    return read_lines(path)[0]


def test_an_event_has_its_time_attempt_and_redacted_fields(path):
    ledger = Ledger(path, attempt=2, clock=lambda: 0.5)
    ledger.event("compile", 1, api_key="hush", step=3)
    ledger.event("restore")
    ledger.close()
    time = "1970-01-01T00:00:00.500+00:00"
    assert events(path) == [
        {
            "time": time,
            "elapsed": 0.0,
            "attempt": 2,
            "event": "compile",
            "seconds": 1.0,
            "api_key": "<redacted>",
            "step": 3,
        },
        {"time": time, "elapsed": 0.0, "attempt": 2, "event": "restore"},
    ]


@pytest.mark.parametrize("name", ["time", "elapsed", "attempt", "event", "repeated"])
def test_a_field_that_the_ledger_sets_is_refused(path, name):
    ledger = Ledger(path)
    with pytest.raises((ValueError, TypeError)):
        ledger.event("compile", **{name: 1})
    ledger.close()


def test_without_a_file_events_are_ignored():
    ledger = Ledger(None)
    ledger.event("compile")
    assert ledger.flush()
    ledger.close()


def test_after_the_close_events_are_ignored(path):
    ledger = Ledger(path)
    ledger.event("first")
    ledger.close()
    ledger.close()
    ledger.event("second")
    assert ledger.flush()
    assert [event["event"] for event in events(path)] == ["first"]


def test_a_full_disk_is_logged_once_and_its_events_are_written_later(
    path, monkeypatch, caplog
):
    ledger = Ledger(path)
    disk = FullDisk(monkeypatch)
    disk.room = 0
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        ledger.event("waits", number=1)
        ledger.event("waits", number=2)
        assert not ledger.flush()
    disk.room = None
    ledger.event("last")
    assert ledger.flush()
    ledger.close()
    assert [e["event"] for e in events(path)] == ["waits", "waits", "last"]
    assert (
        caplog.text.count("cannot be written (") == 1 and "events.jsonl" in caplog.text
    )


def test_once_events_were_lost_no_flush_is_acknowledged(path, monkeypatch):
    ledger = Ledger(path)
    disk = FullDisk(monkeypatch)
    disk.room = 0
    for number in range(1001):
        ledger.event("close", number=number)
    disk.room = None
    assert not ledger.flush()
    assert not ledger.flush()
    ledger.close()
    assert [e["number"] for e in events(path)] == list(range(1, 1001))


def test_an_event_has_the_seconds_since_the_opening_whatever_the_clock(path):
    clock, monotonic = Clock(1e9), Clock(50.0)
    ledger = Ledger(path, clock=clock, monotonic=monotonic)
    clock.now, monotonic.now = 1e9 - 3600, 52.5
    ledger.event("compile", 0.1)
    ledger.close()
    (event,) = events(path)
    assert event["time"] == iso_time(1e9 - 3600) and event["elapsed"] == 2.5


def test_equal_events_are_one_line_with_their_number_and_times(path):
    clock = Clock(0.0)
    ledger = Ledger(path, clock=clock)
    for clock.now in range(5):
        ledger.event("retry", cause="timeout")
    ledger.event("retry", cause="refused")
    ledger.flush()
    first, merged, other = events(path)
    assert "repeated" not in first and first["cause"] == "timeout"
    times = {"first": iso_time(1.0), "last": iso_time(4.0)}
    assert merged["repeated"] == {"count": 4} | times
    assert merged["cause"] == "timeout"
    assert "repeated" not in other and other["cause"] == "refused"
    ledger.close()


@pytest.mark.parametrize("after", ["36 seconds", "flush", "close"])
def test_an_event_that_waits_is_written(path, after):
    clock = Clock(0.0)
    ledger = Ledger(path, clock=clock)
    ledger.event("retry")
    ledger.event("retry")
    clock.now = 35.0
    ledger.event("compile", 9.0)
    assert [e["event"] for e in events(path)] == ["retry", "compile"]
    if after == "36 seconds":
        clock.now = 36.0
        ledger.event("compile", 9.0)
    else:
        getattr(ledger, after)()
    assert [e["event"] for e in events(path)][2] == "retry"
    ledger.close()


def test_a_kind_gets_a_hundred_lines_and_one_in_36_seconds(path):
    clock = Clock(0.0)
    ledger = Ledger(path, clock=clock)
    for step in range(7200):  # two hours
        clock.now += 1.0
        ledger.event("alarm", kind="limit", key="train/loss", step=step)
    ledger.event("alarm", kind="spike", key="train/loss", step=7)
    ledger.close()
    lines = events(path)
    of_limit = [e for e in lines if e["kind"] == "limit"]
    assert 250 < len(of_limit) <= 302
    assert sum(e.get("repeated", {"count": 1})["count"] for e in of_limit) == 7200
    assert of_limit[-1]["step"] == 7199
    assert [e["step"] for e in lines if e["kind"] == "spike"] == [7]


def test_any_number_of_kinds_is_bounded(path):
    ledger = Ledger(path, clock=Clock(0.0))
    for number in range(5000):
        ledger.event(f"event {number}")
    ledger.close()
    assert len(events(path)) <= 1101


def test_signs_of_progress_and_long_durations_are_never_merged(path):
    ledger = Ledger(path, clock=Clock(0.0))
    for name in ("start", "step", "restore", "close"):
        ledger.event(name, step=1)
        ledger.event(name, step=1)
    for _ in range(200):
        ledger.event("evaluation", 0.05)
    assert len(events(path)) == 208
    for _ in range(4):
        ledger.event("logging", 0.01)
    ledger.close()
    *_, first, merged = events(path)
    assert first["seconds"] == 0.01 and merged["seconds"] == pytest.approx(0.03)


def test_a_flush_that_fails_is_not_acknowledged(path, monkeypatch):
    ledger = Ledger(path)
    ledger.event("kept")

    def fail(fd):
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        assert not ledger.flush()
    assert not ledger.flush()  # what the disk lost then is not known
    assert ledger.renew()
    assert ledger.flush()
    ledger.close()
    assert [event["event"] for event in events(path)] == ["kept"]


def test_a_fork_writes_no_events(path):
    finished = run_python(
        """
        import os, sys
        from pathlib import Path
        from jaxmetrics.record import Ledger
        ledger = Ledger(Path(sys.argv[1]))
        ledger.event("parent")
        if os.fork() == 0:
            ledger.event("child")
            os._exit(0 if ledger.flush() else 1)
        assert os.wait()[1] == 0
        ledger.close()
        """,
        path,
    )
    assert finished.returncode == 0, finished.stderr
    assert [event["event"] for event in events(path)] == ["parent"]


def test_a_second_ledger_is_refused(path):
    ledger = Ledger(path)
    with pytest.raises(WriterLockedError):
        Ledger(path)
    ledger.close()


def test_times_have_milliseconds_and_a_zone():
    assert iso_time(1.0014) == "1970-01-01T00:00:01.001+00:00"
