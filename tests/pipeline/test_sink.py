"""Queues and threads between the training loop and its writers."""

import logging
import threading
import time

import pytest
from support.sinks import Blocking, Failing, Gated, row, soon

from jaxmetrics.pipeline._breaker import Breaker
from jaxmetrics.pipeline._sink import Sink, Sinks
from jaxmetrics.writers import Memory, Writer


def test_rows_are_written_in_the_order_of_their_offers():
    sink = Sink(Memory())
    for step in range(500):
        sink.offer(row(step))
    assert sink.flush(soon())
    assert [record.step for record in sink.writer.records] == list(range(500))
    assert sink.close(soon())


def test_a_full_queue_drops_its_oldest_rows():
    writer = Gated()
    sink = Sink(writer, capacity=2)
    sink.offer(row(0))
    writer.entered.wait()
    for step in range(1, 6):
        sink.offer(row(step))
    writer.gate.set()
    assert sink.flush(soon())  # dropping is what this writer was asked to do
    assert [record.step for record in writer.records] == [0, 4, 5]
    assert sink.counters["dropped"] == 3
    sink.close(soon())


def test_a_writer_that_blocks_loses_a_row_after_its_patience_and_says_so_once():
    writer = Blocking()
    sink = Sink(writer, capacity=2, put_timeout=0.0)
    sink.offer(row(0))
    writer.entered.wait()
    for step in range(1, 5):
        sink.offer(row(step))
    writer.gate.set()
    assert not sink.flush(soon())
    assert [record.step for record in writer.records] == [0, 1, 2]
    assert sink.counters["dropped"] == 2
    sink.offer(row(9))
    assert sink.flush(soon())
    sink.close(soon())


def test_a_writer_that_blocks_makes_its_producer_wait_for_room():
    writer = Blocking()
    sink = Sink(writer, capacity=1, put_timeout=60.0)
    sink.offer(row(0))
    writer.entered.wait()
    sink.offer(row(1))
    producer = threading.Thread(target=lambda: sink.offer(row(2)))
    producer.start()
    writer.gate.set()
    producer.join()
    assert sink.flush(soon())
    assert [record.step for record in writer.records] == [0, 1, 2]
    sink.close(soon())


def test_a_stuck_writer_costs_the_producer_one_wait_not_one_a_row(monkeypatch):
    writer = Blocking()
    sink = Sink(writer, capacity=1, put_timeout=0.01)
    waits = []
    condition = sink._queue._changed
    real = condition.wait_for
    sink.offer(row(0))
    writer.entered.wait()
    sink.offer(row(1))

    def counted(predicate, timeout=None):
        waits.append(timeout)
        return real(predicate, timeout)

    monkeypatch.setattr(condition, "wait_for", counted)
    for step in range(2, 6):
        sink.offer(row(step))
    assert waits == [0.01]
    assert sink.counters["dropped"] == 4
    writer.gate.set()
    sink.close(soon())


def test_errors_of_a_writer_are_counted_and_logged_once(caplog):
    sink = Sink(Failing(lambda step: step < 2))
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        for step in range(4):
            sink.offer(row(step))
        assert not sink.flush(soon())
        assert sink.flush(soon())
    assert sink.counters == {
        "offered": 4,
        "written": 2,
        "failed": 2,
        "dropped": 0,
        "skipped": 0,
    }
    assert [r.getMessage() for r in caplog.records] == [
        "Writer failing failed to write a row; failures are counted (OSError: no space "
        "left)."
    ]
    sink.close(soon())


def test_three_failures_pause_a_writer_and_one_probe_ends_the_pause(caplog):
    now = [0.0]
    broken = [True]
    writer = Failing(lambda step: broken[0])
    sink = Sink(writer, clock=lambda: now[0])

    def offer(*steps: int) -> None:
        for step in steps:
            sink.offer(row(step))
        sink.flush(soon())

    offer(0, 1, 2, 3, 4)
    assert writer.tried == [0, 1, 2]
    assert sink.counters["skipped"] == 2
    now[0] = 29.9
    offer(5)
    now[0] = 30.0
    offer(6, 7)
    assert writer.tried == [0, 1, 2, 6]
    now[0], broken[0] = 90.0, False
    offer(8, 9)
    assert [record.step for record in writer.records] == [8, 9]
    assert sink.counters == {
        "offered": 10,
        "written": 2,
        "failed": 4,
        "dropped": 0,
        "skipped": 4,
    }
    assert [r.getMessage() for r in caplog.records] == [
        "Writer failing failed to write a row; failures are counted (OSError: no space "
        "left).",
        "Writer failing is paused after repeated failures; rows are skipped (OSError: "
        "no space left).",
        "Writer failing works again.",
    ]
    sink.close(soon())


def test_pauses_double_up_to_ten_minutes_and_begin_again_after_a_success():
    now = [0.0]
    breaker = Breaker(lambda: now[0])

    def pauses(number: int) -> list[float]:
        """How long it stays open at each of so many failed probes."""
        found = []
        while len(found) < number:
            start = now[0]
            while not breaker.allows():
                now[0] += 1.0
            found.append(now[0] - start)
            assert not breaker.failed()
        return found

    for _ in range(2):
        assert [breaker.failed() for _ in range(3)] == [False, False, True]
        assert pauses(7) == [30, 60, 120, 240, 480, 600, 600]
        assert breaker.succeeded() and breaker.allows()
        assert not breaker.succeeded()


def test_a_success_in_between_begins_the_count_of_failures_again():
    sink = Sink(Failing(lambda step: step % 3), clock=lambda: 0.0)
    for step in range(1, 10):
        sink.offer(row(step))
    sink.flush(soon())
    assert sink.counters["failed"] == 6
    assert sink.counters["written"] == 3
    sink.close(soon())


def test_one_deadline_covers_a_hung_writer_and_the_others_are_not_harmed(tmp_path):
    hung, healthy = Gated(), Memory()
    sinks = Sinks([hung, healthy], tmp_path, None)
    sinks.offer([row(step) for step in range(10)])
    hung.entered.wait()
    assert not sinks.close(time.monotonic() + 0.05)
    assert len(healthy.records) == 10
    assert sinks.counters()["memory"]["written"] == 10
    assert sinks.counters()["gated"]["dropped"] == 9
    sinks.offer([row(11)])
    assert sinks.counters()["gated"]["dropped"] == 10
    hung.gate.set()


def test_a_flush_that_comes_too_late_says_so_and_a_later_one_holds():
    writer = Gated()
    sink = Sink(writer)
    sink.offer(row(0))
    writer.entered.wait()
    assert not sink.flush(time.monotonic())
    writer.gate.set()
    assert sink.flush(soon())
    assert sink.close(soon())
    assert sink.close(soon())


def test_a_writer_that_cannot_flush_or_close_makes_them_false():
    class Stubborn(Memory):
        def flush(self):
            raise OSError("disk gone")

        def close(self):
            raise OSError("disk gone")

    sink = Sink(Stubborn())
    sink.offer(row(1))
    assert not sink.flush(soon())
    assert sink.counters["written"] == 1
    assert not sink.close(soon())


def test_every_keys_and_rename_select():
    writer = Memory(every=2, keys=("train/l*", "val/*"), rename={"train/loss": "L"})
    sink = Sink(writer)
    for step in range(4):
        sink.offer(row(step, loss=1.0, accuracy=0.5))
    sink.offer(row(3, "val", loss=2.0))
    sink.offer(row(3, "test", loss=3.0))
    assert sink.flush(soon())
    assert [(r.step, r.values) for r in writer.records] == [
        (0, {"L": 1.0}),
        (2, {"L": 1.0}),
        (3, {"val/loss": 2.0}),
    ]
    assert sink.counters["offered"] == 4
    assert sink.counters["skipped"] == 1
    sink.close(soon())


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_an_interval_is_a_positive_integer(every):
    with pytest.raises(ValueError, match="every="):
        Memory(every=every)


def test_a_rewind_comes_after_the_rows_offered_before_it():
    sink = Sink(Memory())
    for step in range(5):
        sink.offer(row(step))
    future = sink.begin_rewind({"step": 2})
    sink.offer(row(3, loss=-1.0))
    assert sink.flush(soon())
    assert future.result() is None
    assert [r.values["train/loss"] for r in sink.writer.records] == [0, 1, 2, -1]
    sink.close(soon())


def test_writers_that_opened_are_closed_when_another_does_not(tmp_path):
    closed = []

    class Kept(Memory):
        def close(self):
            closed.append(self)

    class Refusing(Memory):
        def open(self, run_dir, resume_step):
            raise PermissionError("read-only")

    first = Kept()
    with pytest.raises(PermissionError):
        Sinks([first, Refusing()], tmp_path, None)
    assert closed == [first]


def test_a_writer_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Writer()
