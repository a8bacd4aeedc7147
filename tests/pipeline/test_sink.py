"""One queue and one thread for each writer of a run."""

import json
import logging
import threading
import time

import pytest
from support.faults import FullDisk
from support.processes import run_python
from support.sinks import (
    Blocking,
    Failing,
    Gated,
    Retried,
    far_deadline,
    filled_row,
)

from jaxmetrics.pipeline._delivery import Delivery
from jaxmetrics.pipeline._row import Row
from jaxmetrics.pipeline._sink import Sink, Sinks
from jaxmetrics.writers import CSV, Memory, Writer


def test_rows_are_written_in_the_order_of_their_offers():
    sink = Sink(Memory())
    for step in range(500):
        sink.offer(filled_row(step))
    assert sink.flush(far_deadline())
    assert [record.step for record in sink.writer.records] == list(range(500))
    assert sink.close(far_deadline())


def test_a_full_queue_drops_its_oldest_rows():
    writer = Gated()
    sink = Sink(writer, capacity=2)
    sink.offer(filled_row(0))
    writer.entered.wait()
    for step in range(1, 6):
        sink.offer(filled_row(step))
    writer.gate.set()
    assert not sink.flush(far_deadline())
    assert [record.step for record in writer.records] == [0, 4, 5]
    assert sink.counters["dropped"] == 3
    assert sink.flush(far_deadline())  # nothing was lost since the flush before
    assert not sink.close(far_deadline())


def test_rows_that_a_display_drops_fail_no_flush():
    class Screen(Gated):
        is_display = True

    writer = Screen()
    sink = Sink(writer, capacity=1)
    sink.offer(filled_row(0))
    writer.entered.wait()
    for step in range(1, 6):
        sink.offer(filled_row(step))
    writer.gate.set()
    assert sink.flush(far_deadline())
    assert sink.counters["dropped"] == 4
    assert sink.close(far_deadline())


def test_a_blocking_writer_that_lost_rows_acknowledges_no_flush_until_a_rewind():
    writer = Blocking()
    sink = Sink(writer, capacity=2, put_timeout=0.0)
    sink.offer(filled_row(0))
    writer.entered.wait()
    for step in range(1, 5):
        sink.offer(filled_row(step))
    writer.gate.set()
    assert not sink.flush(far_deadline())
    assert [record.step for record in writer.records] == [0, 1, 2]
    assert sink.counters["dropped"] == 2
    assert sink.missing() == {"rows": 2, "steps": {"train": [[3, 4]]}}
    sink.offer(filled_row(9))
    assert not sink.flush(far_deadline())
    sink.begin_rewind({"step": 3}).result()
    assert sink.missing()["steps"] == {"train": [[3, 3]]}
    assert not sink.flush(far_deadline())
    sink.begin_rewind({"step": 2}).result()
    assert sink.missing() == {}
    assert sink.flush(far_deadline())
    assert sink.close(far_deadline())


def test_a_blocking_writer_makes_its_producer_wait_for_room():
    writer = Blocking()
    sink = Sink(writer, capacity=1, put_timeout=60.0)
    sink.offer(filled_row(0))
    writer.entered.wait()
    sink.offer(filled_row(1))
    producer = threading.Thread(target=lambda: sink.offer(filled_row(2)))
    producer.start()
    writer.gate.set()
    producer.join()
    assert sink.flush(far_deadline())
    assert [record.step for record in writer.records] == [0, 1, 2]
    sink.close(far_deadline())


def test_a_stuck_writer_costs_the_producer_one_timeout_not_one_per_row(monkeypatch):
    writer = Blocking()
    sink = Sink(writer, capacity=1, put_timeout=0.01)
    waits = []
    condition = sink._queue._changed
    wait_for = condition.wait_for
    sink.offer(filled_row(0))
    writer.entered.wait()
    sink.offer(filled_row(1))

    def counting(predicate, timeout=None):
        waits.append(timeout)
        return wait_for(predicate, timeout)

    monkeypatch.setattr(condition, "wait_for", counting)
    for step in range(2, 6):
        sink.offer(filled_row(step))
    assert waits == [0.01]
    assert sink.counters["dropped"] == 4
    writer.gate.set()
    sink.close(far_deadline())


def test_errors_of_a_writer_are_counted_and_logged_once(caplog):
    sink = Sink(Failing(lambda step: step < 2))
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        for step in range(4):
            sink.offer(filled_row(step))
        assert not sink.flush(far_deadline())
        assert sink.flush(far_deadline())
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
    sink.close(far_deadline())


def test_three_failures_pause_a_writer_and_one_probe_ends_the_pause(caplog):
    now = [0.0]
    broken = [True]
    writer = Failing(lambda step: broken[0])
    sink = Sink(writer, clock=lambda: now[0])

    def offer(*steps: int) -> None:
        for step in steps:
            sink.offer(filled_row(step))
        sink.begin_rewind({"step": 10**9}).result()  # after these rows

    offer(0, 1, 2, 3, 4)
    assert writer.attempted == [0, 1, 2]
    assert sink.counters["skipped"] == 2
    now[0] = 29.9
    offer(5)
    now[0] = 30.0
    offer(6, 7)
    assert writer.attempted == [0, 1, 2, 6]
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
    sink.close(far_deadline())


def test_a_flush_that_succeeds_ends_a_pause():
    broken = [True]
    sink = Sink(Failing(lambda step: broken[0]), clock=lambda: 0.0)
    for step in range(5):
        sink.offer(filled_row(step))
    assert not sink.flush(far_deadline())
    broken[0] = False
    sink.offer(filled_row(5))
    assert sink.flush(far_deadline())
    assert [record.step for record in sink.writer.records] == [5]
    sink.close(far_deadline())


def test_failures_with_a_success_in_between_do_not_pause_a_writer():
    sink = Sink(Failing(lambda step: step % 3), clock=lambda: 0.0)
    for step in range(1, 10):
        sink.offer(filled_row(step))
    sink.flush(far_deadline())
    assert sink.counters["failed"] == 6
    assert sink.counters["written"] == 3
    sink.close(far_deadline())


def test_one_deadline_covers_a_hung_writer_and_the_others_write_all_rows(tmp_path):
    hung, healthy = Gated(), Memory()
    sinks = Sinks([hung, healthy], tmp_path, None)
    sinks.offer([filled_row(step) for step in range(10)])
    hung.entered.wait()
    assert not sinks.close(time.monotonic() + 0.05)
    assert len(healthy.records) == 10
    assert sinks.counters()["memory"]["written"] == 10
    assert sinks.counters()["gated"]["dropped"] == 9
    sinks.offer([filled_row(11)])
    assert sinks.counters()["gated"]["dropped"] == 10
    hung.gate.set()


def test_a_flush_past_its_deadline_is_false_and_a_later_one_is_true():
    writer = Gated()
    sink = Sink(writer)
    sink.offer(filled_row(0))
    writer.entered.wait()
    assert not sink.flush(time.monotonic())
    writer.gate.set()
    assert sink.flush(far_deadline())
    assert sink.close(far_deadline())
    assert sink.close(far_deadline())


def test_a_failing_flush_or_close_of_a_writer_is_false_and_told_once(caplog):
    class Broken(Memory):
        def flush(self):
            raise OSError("disk gone")

        def close(self):
            raise OSError("disk gone")

    sink = Sink(Broken())
    sink.offer(filled_row(1))
    assert not sink.flush(far_deadline())
    assert not sink.flush(far_deadline())
    assert caplog.text.count("could not flush") == 1 and "disk gone" in caplog.text
    assert sink.counters["written"] == 1
    assert not sink.close(far_deadline())


def test_a_writer_gets_its_steps_and_keys_under_its_names():
    writer = Memory(every=2, keys=("train/l*", "val/*"), rename={"train/loss": "L"})
    sink = Sink(writer)
    for step in range(4):
        sink.offer(filled_row(step, loss=1.0, accuracy=0.5))
    sink.offer(filled_row(3, "val", loss=2.0))
    sink.offer(filled_row(3, "test", loss=3.0))
    assert sink.flush(far_deadline())
    assert [(r.step, r.values) for r in writer.records] == [
        (0, {"L": 1.0}),
        (2, {"L": 1.0}),
        (3, {"val/loss": 2.0}),
    ]
    assert sink.counters["offered"] == 4
    assert sink.counters["skipped"] == 1
    sink.close(far_deadline())


def steps_written(steps, every, state=None, closes=True):
    """Return the steps that a writer has, and the state before it closed."""
    sink = Sink(Memory(every=every))
    if state is not None:
        sink.begin_rewind(state)
    for step in steps:
        sink.offer(filled_row(step))
    assert sink.flush(far_deadline())
    saved = sink.state()
    assert sink.close(far_deadline()) if closes else True
    return [record.step for record in sink.writer.records], saved


@pytest.mark.parametrize(
    ("steps", "written"),
    [
        (range(99, 1000, 100), list(range(99, 1000, 100))),
        (range(64, 641, 64), [64, 128, 256, 320, 448, 512, 640]),
        (range(1, 11), [1, 10]),
        (range(1, 21), [1, 20]),
        ([7], [7]),
        ([], []),
        ([1, 2, 2, 2], [1, 2, 2, 2]),
        ([1, 5, 3], [1, 5]),
        ([1, 5, 100, 30], [1, 100]),
    ],
    ids=str,
)
def test_the_first_step_each_crossing_and_the_last_step_are_written(steps, written):
    assert steps_written(steps, every=100)[0] == written


def test_all_records_of_the_last_step_are_written_at_the_close():
    sink = Sink(Memory(every=10))
    for step, loss in ((1, 1.0), (2, 2.0), (3, 3.0), (3, 3.5), (2, 2.5)):
        sink.offer(filled_row(step, loss=loss))
    sink.close(far_deadline())
    losses = [record.values["train/loss"] for record in sink.writer.records]
    assert losses == [1.0, 3.0, 3.5]
    assert sink.counters["offered"] == sink.counters["written"] == 3


def test_a_state_holds_the_decisions_and_not_the_step_of_the_close():
    steps = range(3, 60, 4)
    reference, _ = steps_written(steps, every=10)
    for saved_at in range(1, len(steps)):
        before, state = steps_written(steps[:saved_at], every=10)
        state = json.loads(json.dumps(state)) | {"step": steps[saved_at - 1]}
        sink = Sink(Memory(every=10))
        sink.writer.records += map(record_of, before)
        sink.begin_rewind(state)
        for step in steps[saved_at:]:
            sink.offer(filled_row(step))
        assert sink.close(far_deadline())
        assert [record.step for record in sink.writer.records] == reference


def record_of(step):
    return filled_row(step).record()


def test_a_damaged_state_of_a_cadence_is_named(tmp_path):
    sinks = Sinks([Memory(every=10)], tmp_path, None)
    for cadence in ({"last": "x"}, {"last": 1, "decided": [3]}, 7):
        with pytest.raises(ValueError, match="memory got a state whose 'cadence'"):
            sinks.rewind(1, {"memory": {"cadence": cadence}}, 60.0)
    sinks.close(far_deadline())


@pytest.mark.parametrize("error", [KeyError("position"), TypeError("not a row")])
def test_a_state_of_another_kind_of_writer_is_named(tmp_path, error):
    class Other(Memory):
        def load_state(self, state):
            raise error

    sinks = Sinks([Other()], tmp_path, None)
    with pytest.raises(ValueError, match="other got a state of another kind of writer"):
        sinks.rewind(1, {"other": {"rows": 1}}, 60.0)
    sinks.close(far_deadline())


class Joining(Memory):
    """A writer that writes the last record in its idle time."""

    def __init__(self, **options):
        super().__init__(**options)
        self.waiting = None
        self.idled = threading.Event()
        self.fails = False

    def write(self, record):
        self.waiting = record

    def idle(self):
        self.idled.set()
        if self.fails:
            self.fails = False
            raise OSError("no space left")
        if self.waiting is not None:
            super().write(self.waiting)
            self.waiting = None


def test_a_writer_gets_idle_time_on_its_own_thread_while_no_row_comes():
    sink = Sink(writer := Joining())
    sink.offer(filled_row(1))
    assert sink.flush(far_deadline())
    writer.idled.clear()
    assert writer.idled.wait(60.0)
    assert sink.flush(far_deadline())  # after the idle call
    assert [record.step for record in writer.records] == [1]
    sink.close(far_deadline())


def test_an_error_in_idle_time_fails_the_next_flush_and_stops_nothing(caplog):
    sink = Sink(writer := Joining())
    writer.fails = True
    sink.offer(filled_row(1))
    writer.idled.clear()
    assert writer.idled.wait(60.0)
    assert not sink.flush(far_deadline())
    sink.offer(filled_row(2))
    assert sink.flush(far_deadline())
    assert "failed to write a row" in caplog.text
    counts = sink.counters
    assert counts["offered"] == counts["written"] == 2
    sink.close(far_deadline())


class Pending:
    """Values that a device has not computed until the gate opens."""

    def __init__(self):
        self.gate = threading.Event()

    def __call__(self, split):
        self.gate.wait()
        return {"loss": 1.0}


def test_rows_are_fetched_without_their_writers_and_with_a_time_limit(tmp_path):
    sinks, fetched = Sinks([Memory(every=10)], tmp_path, None), []
    assert sinks.fetch() and sinks.fetch(0.0)
    pending = Pending()
    for step in (1, 2):
        row = Row(step, "train", 0.0, on_record=lambda row, _: fetched.append(row.step))
        row.values = {"(metrics)": pending if step == 2 else lambda _: {"loss": 0.0}}
        sinks.offer([row])
    assert not sinks.fetch(0.01)
    pending.gate.set()
    assert sinks.fetch(60.0) and sinks.fetch()
    assert fetched == [1, 2]
    sinks.close(far_deadline())


def test_a_bounded_number_of_rows_that_no_writer_takes_is_kept(tmp_path):
    writer = Gated(every=10**9)
    sinks = Sinks([writer], tmp_path, None)
    for step in range(1, 5001):
        sinks.offer([filled_row(step)])
    assert len(sinks._unfetched) == 4096
    writer.gate.set()
    assert sinks.fetch()
    sinks.offer([filled_row(5001)])
    assert len(sinks._unfetched) == 1
    sinks.close(far_deadline())


def test_rows_that_no_writer_takes_are_fetched_while_the_first_is_idle(tmp_path):
    sinks, fetched = Sinks([Memory(every=10)], tmp_path, None), threading.Event()
    sinks.offer([filled_row(1)])
    row = Row(2, "train", 0.0, on_record=lambda *_: fetched.set())
    row.values = {"train/loss": 1.0}
    sinks.offer([row])
    assert fetched.wait(60)
    sinks.close(far_deadline())


def test_a_rewind_gives_up_rows_that_were_not_fetched(tmp_path):
    writer, fetched = Retried(lambda step: step > 1), []
    sinks = Sinks([writer], tmp_path, None, clock=lambda: 0.0)
    for step in range(1, 6):
        row = Row(step, "train", 0.0, on_record=lambda row, _: fetched.append(row.step))
        row.values = {"train/loss": 1.0}
        sinks.offer([row])
    sinks.rewind(1, {}, 60.0)
    assert sinks.fetch()
    assert fetched == [1, 2]  # the second one was tried
    sinks.close(far_deadline())


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_every_must_be_a_positive_integer(every):
    with pytest.raises(ValueError, match="every="):
        Memory(every=every)


def test_a_rewind_comes_after_the_rows_offered_before_it():
    sink = Sink(Memory())
    for step in range(5):
        sink.offer(filled_row(step))
    future = sink.begin_rewind({"step": 2})
    sink.offer(filled_row(3, loss=-1.0))
    assert sink.flush(far_deadline())
    assert future.result() is None
    assert [r.values["train/loss"] for r in sink.writer.records] == [0, 1, 2, -1]
    sink.close(far_deadline())


def test_open_writers_are_closed_when_another_fails_to_open(tmp_path):
    closed = []

    class Closing(Memory):
        def close(self):
            closed.append(self)

    class Refusing(Memory):
        def open(self, run_dir, resume_step):
            raise PermissionError("read-only")

    first = Closing()
    with pytest.raises(PermissionError) as raised:
        Sinks([first, Refusing()], tmp_path, None)
    assert raised.value.__notes__ == ["Writer refusing could not be opened."]
    assert closed == [first]

    class Broken(Memory):
        when_full = property(lambda self: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        Sinks([first, Broken()], tmp_path, None)
    assert closed[1:]


def test_a_writer_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Writer()


def test_rows_of_a_blocking_writer_wait_while_it_fails(caplog):
    now, broken = [0.0], [True]
    sink = Sink(Retried(lambda step: broken[0]), clock=lambda: now[0])
    for step in range(100):
        sink.offer(filled_row(step))
    assert not sink.flush(far_deadline())
    assert not sink.flush(far_deadline())
    broken[0] = False
    assert sink.flush(far_deadline())  # which does not wait for the end of the pause
    assert [record.step for record in sink.writer.records] == list(range(100))
    assert sink.counters["written"] == sink.counters["offered"] == 100
    assert sink.missing() == {}
    assert [r.getMessage() for r in caplog.records] == [
        "Writer retried cannot write; rows wait (OSError: [Errno 28] no space left).",
        "Writer retried works again.",
    ]
    assert sink.close(far_deadline())


def test_rows_that_wait_are_tried_again_when_the_pause_is_over():
    now, broken = [0.0], [True]
    tried, written = threading.Event(), threading.Event()

    def fails(step):
        tried.set()
        if not broken[0]:
            written.set()
        return broken[0]

    sink = Sink(Retried(fails), clock=lambda: now[0])
    sink.offer(filled_row(1))
    assert tried.wait(60)
    broken[0], now[0] = False, 0.05
    assert written.wait(60)  # no flush and no further row was needed
    assert sink.close(far_deadline())


def test_more_rows_than_the_queue_holds_are_lost_at_once_while_a_writer_fails():
    broken = [True]
    sink = Sink(
        Retried(lambda step: broken[0]),
        capacity=2,
        put_timeout=60.0,
        clock=lambda: 0.0,
    )
    sink.offer(filled_row(0))
    assert not sink.flush(far_deadline())
    for step in range(1, 5):
        sink.offer(filled_row(step))
    broken[0] = False
    assert not sink.flush(far_deadline())
    assert [record.step for record in sink.writer.records] == [0, 1]
    assert sink.missing() == {"rows": 3, "steps": {"train": [[2, 4]]}}
    assert sink.state()["missing"] == sink.missing()
    assert not sink.close(far_deadline())


def test_an_error_of_a_value_loses_its_row_and_no_other():
    class Picky(Memory):
        when_full = "block"

        def write(self, record):
            if record.step == 1:
                raise ValueError("too long")
            super().write(record)

    sink = Sink(Picky())
    for step in range(3):
        sink.offer(filled_row(step))
    assert not sink.flush(far_deadline())
    assert [record.step for record in sink.writer.records] == [0, 2]
    assert sink.missing() == {"rows": 1, "steps": {"train": [[1, 1]]}}
    assert not sink.close(far_deadline())


def test_rows_that_wait_at_the_close_are_missing():
    sink = Sink(Retried(lambda step: step > 1), clock=lambda: 0.0)
    for step in range(5):
        sink.offer(filled_row(step))
    assert not sink.close(far_deadline())
    assert sink.missing() == {"rows": 3, "steps": {"train": [[2, 4]]}}
    assert sink.counters["dropped"] == 3


def test_rows_that_a_writer_joins_and_cannot_write_until_the_end_are_missing(
    tmp_path, monkeypatch, caplog
):
    writer = CSV()
    writer.open(tmp_path, None)
    delivery = Delivery(writer, lambda: 0.0)
    for step in range(1, 9):  # row 7 has a new column and waits, row 8 is joined
        delivery.write(filled_row(step, **{"loss" if step < 7 else "new": 1.0}))
    FullDisk(monkeypatch).room = 0
    for step in range(9, 16):
        delivery.write(filled_row(step, new=1.0))
    assert delivery.missing()["rows"] == 7
    assert not delivery.close(lambda: iter(()))
    assert delivery.missing() == {"rows": 9, "steps": {"train": [[7, 15]]}}
    counts = delivery.counts
    assert (counts["written"], counts["failed"] + counts["skipped"]) == (6, 9)
    assert "Writer csv lacks 9 rows: train 7-15." in caplog.messages


def test_a_rewind_gives_up_the_rows_that_wait():
    broken = [True]
    sink = Sink(Retried(lambda step: broken[0]), clock=lambda: 0.0)
    for step in range(5):
        sink.offer(filled_row(step))
    assert not sink.flush(far_deadline())
    broken[0] = False
    sink.begin_rewind({"step": -1}).result()
    sink.offer(filled_row(1))
    assert sink.flush(far_deadline())
    assert [record.step for record in sink.writer.records] == [1]
    assert sink.close(far_deadline())


def test_a_state_takes_the_losses_before_it_to_the_next_attempt():
    first = Sink(Retried(lambda step: False), capacity=1, put_timeout=0.0)
    first.offer(filled_row(1))
    state = {"step": 9, "missing": {"rows": 2, "steps": {"val": [[3, 4]]}}}
    first.begin_rewind(state).result()
    assert not first.flush(far_deadline())
    assert not first.close(far_deadline())


def test_a_row_offered_again_is_written_and_counted_once():
    sink = Sink(Memory())
    row = filled_row(1)
    sink.offer(row)
    sink.offer(row)
    assert sink.flush(far_deadline())
    assert [record.step for record in sink.writer.records] == [1]
    assert sink.counters["offered"] == sink.counters["written"] == 1
    sink.close(far_deadline())


def test_all_sinks_of_a_process_share_one_fork_callback(tmp_path):
    script = """
        import os, sys
        callbacks = []
        register = os.register_at_fork

        def registering(**options):
            callbacks.extend(options.values())
            register(**options)

        os.register_at_fork = registering
        from jaxmetrics import TrainingLogger
        from jaxmetrics.writers import Memory
        for number in range(5):
            writers = [Memory(), Memory(), Memory()]
            TrainingLogger("p", f"{number}", root=sys.argv[1], writers=writers).close()
        own = [c for c in callbacks if c.__module__.startswith("jaxmetrics")]
        print(len(own))
    """
    done = run_python(script, tmp_path)
    assert done.stdout == "1\n", done.stderr


def test_a_sink_is_disabled_in_a_child_that_has_the_number_of_its_parent():
    script = """
        import os, time
        from jaxmetrics.pipeline._sink import Sink
        from jaxmetrics.writers import Memory
        from support.sinks import filled_row
        sink = Sink(Memory())
        child = os.fork()
        if child == 0:
            os.getpid = os.getppid  # as in another PID namespace
            sink.offer(filled_row(1))
            assert not sink.flush(time.monotonic() + 5.0)
            os._exit(sink.counters["offered"])
        print(os.waitpid(child, 0)[1])
    """
    done = run_python(script)
    assert done.stdout == "0\n", done.stderr
