"""What was lost stays told: no flush or close is True while the record lacks a row."""

import logging
import os
import random

import pytest
from support.faults import FullDisk
from support.loggers import events, steps
from support.sinks import far_deadline, filled_row

from jaxmetrics import TrainingLogger
from jaxmetrics.pipeline._sink import Sinks
from jaxmetrics.record import AppendFile, read_lines, read_summary
from jaxmetrics.writers import CSV, JSONL, Memory


class FailingSync:
    """Lets one call of `os.fsync` fail; the pages of that call are lost for good."""

    def __init__(self, monkeypatch, failing):
        self.calls, self.failed = 0, False
        self._failing, self._real = failing, os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, fd):
        self.calls += 1
        if self.calls == self._failing:
            self.failed = True
            raise OSError(5, "Input/output error")


def acknowledged_after_a_failed_sync(folder, seed, monkeypatch):
    """Log with one failing sync; return the flushes that are True although it failed.

    Then go back to a state from before the failure, and to the end again.
    """
    random_ = random.Random(seed)
    folder.mkdir()
    sinks = Sinks([JSONL(), CSV()], folder, None)
    failing = random_.randrange(1, 40)
    wrong, good, step = [], None, 0
    with monkeypatch.context() as patch:
        disk = FailingSync(patch, failing)
        for _ in range(random_.randrange(5, 15)):
            for _ in range(random_.randrange(4)):
                step += 1
                sinks.offer([filled_row(step)])
            had_failed = disk.failed
            flushed = sinks.flush(far_deadline())
            if flushed and had_failed:
                wrong.append(step)
            if flushed and not disk.failed:
                good = step, sinks.state()
    if good is not None:
        sinks.rewind(*good, timeout=60.0)
        sinks.offer([filled_row(good[0] + 1)])
        assert sinks.flush(far_deadline())
        rows, _ = read_lines(folder / "metrics.jsonl")
        assert [row["step"] for row in rows[1:]] == list(range(1, good[0] + 2))
    sinks.close(far_deadline())
    return wrong


def test_no_flush_is_acknowledged_after_a_sync_that_failed(tmp_path, monkeypatch):
    for seed in range(200):
        wrong = acknowledged_after_a_failed_sync(
            tmp_path / str(seed), seed, monkeypatch
        )
        assert wrong == [], f"seed {seed}"


def test_a_file_that_forgets_the_failure_acknowledges_what_may_be_lost(
    tmp_path, monkeypatch
):
    def forgetful(self):
        os.fsync(self._complete())

    monkeypatch.setattr(AppendFile, "flush", forgetful)
    runs = [
        acknowledged_after_a_failed_sync(tmp_path / str(seed), seed, monkeypatch)
        for seed in range(20)
    ]
    assert any(runs)


def test_half_a_second_of_a_full_disk_loses_no_row(tmp_path, monkeypatch):
    now = [0.0]
    disk = FullDisk(monkeypatch, tmp_path)
    sinks = Sinks([JSONL()], tmp_path, None, clock=lambda: now[0])
    for number in range(20 * 36):
        now[0] = number / 20
        disk.room = 0 if 1.0 <= now[0] < 1.5 else None
        sinks.offer([filled_row(number)])
    assert sinks.flush(far_deadline())
    assert sinks.close(far_deadline())
    rows, _ = read_lines(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows[1:]] == list(range(720))


def test_a_disk_that_stays_full_is_told_to_the_end_and_stops_no_step(
    tmp_path, monkeypatch, caplog
):
    memory = Memory()
    options = {"writers": [memory], "root": tmp_path, "console": False}
    logger = TrainingLogger("p", "r", **options)
    logger.log_step(1, loss=1.0)
    assert logger.flush()
    logger._max_entries = 1  # no call waits for an idle writer
    disk = FullDisk(monkeypatch, tmp_path)
    disk.room = 20
    for step in range(2, 2002):
        logger.log_step(step, loss=1.0)
        if step == 100:
            assert not logger.flush()
    assert not logger.flush()
    dropped = logger.counters()["metrics.jsonl"]["dropped"]
    assert dropped in (2000 - 1024, 2000 - 1025)  # one row may be out of the queue
    assert not logger.close()
    assert [record.step for record in memory.records][-1] == 2001
    assert steps(logger) == [1]
    assert "Writer metrics.jsonl lacks 2000 rows: train 2-2001." in caplog.messages


def test_what_was_lost_is_in_the_events_and_in_the_summary(tmp_path, monkeypatch):
    logger = TrainingLogger("p", "r", root=tmp_path, console=False)
    logger._max_entries = 1  # no call waits for an idle writer
    disk = FullDisk(monkeypatch, tmp_path)
    disk.room = 0
    logger.log_step(0, loss=1.0)
    assert not logger.flush()
    for step in range(1, 1030):
        logger.log_step(step, loss=1.0)
    disk.room = None
    assert not logger.flush()
    lost = read_summary(logger.run_dir)["missing"]
    first = 1030 - lost["rows"]
    assert lost["steps"] == {"train": [[first, 1029]]}
    assert first in (1024, 1025)  # one row may be out of the queue
    state = logger.state()
    logger.log_step(2000, loss=1.0)
    assert not logger.close()
    noted = [e["writers"] for e in events(logger) if e["event"] == "missing"]
    assert noted == [{"metrics.jsonl": lost}]

    again = TrainingLogger("p", "r", root=tmp_path, console=False)
    again.load_state(state)
    assert not again.flush()  # the state has the loss
    again.load_state(state | {"writers": {}, "step": 1000})
    again.log_step(1001, loss=1.0)
    assert again.flush()
    assert again.close()
    assert read_summary(again.run_dir)["missing"] == {}


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.WARNING, "jaxmetrics")


def test_a_record_that_cannot_go_back_is_told_and_stops_no_restore(
    tmp_path, monkeypatch, caplog
):
    logger = TrainingLogger("p", "r", root=tmp_path, console=False)
    logger.log_step(1, loss=1.0)
    state = logger.state()
    for step in range(2, 9):
        logger.log_step(step, loss=1.0)
    assert logger.flush()
    disk = FullDisk(monkeypatch, tmp_path)
    disk.room = 0
    logger.load_state(state | {"step": 1})  # the rest cannot be set aside
    disk.room = None
    logger.log_step(2, loss=1.0)
    assert not logger.flush()
    assert "cannot go back to step 1" in caplog.text
    logger.load_state(state | {"step": 1})
    logger.log_step(2, loss=1.0)
    assert logger.flush()
    assert logger.close()
    assert steps(logger) == [1, 2]


def test_a_record_that_was_changed_keeps_its_rows_up_to_the_step(tmp_path, caplog):
    logger = TrainingLogger("p", "r", root=tmp_path, console=False, writers=[CSV()])
    for step in range(1, 5):
        logger.log_step(step, loss=1.0)
    state = logger.state()
    logger.close()
    file = logger.run_dir / "metrics.jsonl"
    file.write_text(file.read_text().replace("1.0", "1.000"))  # bytes do not fit
    (logger.run_dir / "summary.json").unlink()
    again = TrainingLogger("p", "r", root=tmp_path, console=False, writers=[CSV()])
    again.load_state(state | {"step": 2})
    assert "cannot go back to where it was" in caplog.text
    again.log_step(3, loss=1.0)
    assert again.close()
    assert steps(again) == [1, 2, 3]
