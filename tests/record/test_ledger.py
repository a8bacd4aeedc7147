"""The event ledger of a run."""

import logging
import os

import pytest
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
            "attempt": 2,
            "event": "compile",
            "seconds": 1.0,
            "api_key": "<redacted>",
            "step": 3,
        },
        {"time": time, "attempt": 2, "event": "restore"},
    ]


@pytest.mark.parametrize("name", ["time", "attempt", "event"])
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


def test_a_full_disk_is_logged_once_and_never_raised(path, monkeypatch, caplog):
    ledger = Ledger(path)
    disk = FullDisk(monkeypatch)
    disk.room = 0
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        ledger.event("lost")
        ledger.event("lost")
    disk.room = None
    ledger.event("kept")
    assert ledger.flush()
    ledger.close()
    assert [event["event"] for event in events(path)] == ["kept"]
    assert caplog.text.count("failed (") == 1 and "events.jsonl" in caplog.text


def test_a_flush_that_fails_is_not_acknowledged(path, monkeypatch):
    ledger = Ledger(path)
    ledger.event("kept")

    def fail(fd):
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        assert not ledger.flush()
    assert ledger.flush()
    ledger.close()


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
