"""Entries that wait to be rows: none is lost, doubled, overtaken or left waiting."""

import threading

import pytest
from support.sinks import Blocking, Gated, far_deadline, filled_row

from jaxmetrics.pipeline._intake import Intake
from jaxmetrics.pipeline._sink import Sinks
from jaxmetrics.writers import Memory


class Seen(Memory):
    """A writer that announces each record."""

    def __init__(self):
        super().__init__()
        self.changed = threading.Condition()

    def write(self, record):
        with self.changed:
            super().write(record)
            self.changed.notify_all()

    def wait_for(self, number):
        with self.changed:
            return self.changed.wait_for(lambda: len(self.records) >= number, 60)


def entry_of(step):
    return [0.0, filled_row(step), None]


def collecting():
    """Return an intake, and the steps of the rows that it has offered."""
    offered = []

    def offer(rows, waits):
        offered.extend((row.split, row.step) for row in rows)
        return True

    return Intake(offer), offered


def test_entries_of_many_threads_are_offered_once_and_in_their_order():
    intake, offered = collecting()
    stop = threading.Event()

    def append(name):
        for step in range(300):
            intake.entries.append([0.0, filled_row(step, name), None])

    def hand_out():
        while not stop.is_set():
            intake.try_hand_out()

    producers = [threading.Thread(target=append, args=(f"p{n}",)) for n in range(3)]
    others = [threading.Thread(target=hand_out) for _ in range(3)]
    for thread in producers + others:
        thread.start()
    for thread in producers:
        thread.join(60)
    intake.hand_out()
    stop.set()
    for thread in others:
        thread.join(60)
    assert len(offered) == 900
    for n in range(3):
        own = [step for split, step in offered if split == f"p{n}"]
        assert own == list(range(300))


def test_an_idle_writer_takes_what_no_call_hands_out(tmp_path):
    """No signal tells the writers of an entry, so that none can be lost."""
    seen = Seen()
    sinks = Sinks([seen], tmp_path, None)
    for step in range(30):
        sinks.intake.entries.append(entry_of(step))
        if step % 10 == 0:
            assert seen.wait_for(step + 1)
    assert seen.wait_for(30)
    assert [record.step for record in seen.records] == list(range(30))
    sinks.close(far_deadline())


def test_an_interrupted_row_is_made_once_and_offered_again():
    intake, _ = collecting()
    made, offered = [], []

    def row_of(entry):
        made.append(entry[1].step)
        return entry[1]

    def offer(rows, waits):
        offered.append(rows[0])
        if len(offered) == 1:
            raise KeyboardInterrupt
        return True

    intake.row_of, intake._offer = row_of, offer
    intake.entries.append(entry_of(1))
    with pytest.raises(KeyboardInterrupt):
        intake.hand_out()
    intake.hand_out()
    assert made == [1] and offered[0] is offered[1] and not intake.entries


def test_a_signal_handler_hands_out_within_the_row_it_interrupts():
    intake, offered = collecting()
    offer, handled = intake._offer, []

    def interrupted(rows, waits):
        if not handled:
            handled.append(rows[0].step)
            intake.entries.append(entry_of(3))
            intake.hand_out()  # the handler
        return offer(rows, waits)

    intake._offer = interrupted
    for step in (1, 2):
        intake.entries.append(entry_of(step))
    intake.hand_out()
    # A sink writes a row that is offered again once.
    assert [step for _, step in offered] == [1, 2, 3, 1]
    assert not intake.entries


def test_a_hung_writer_takes_no_rows_from_the_others(tmp_path):
    hung, seen, noticed = Gated(), Seen(), threading.Event()
    sinks = Sinks([hung, seen], tmp_path, None)
    sinks.intake.on_excess = noticed.set
    queue = next(iter(sinks._sinks.values()))._queue
    queue._capacity = 4
    for step in range(20):
        sinks.intake.entries.append(entry_of(step))
    assert seen.wait_for(20)  # without a call that hands out
    assert noticed.wait(60) and sinks.intake.has_excess
    sinks.intake.entries.append(entry_of(20))
    sinks.intake.hand_out(waits=True)  # as the next call does
    assert len(queue._rows) == 4 and not sinks.intake.has_excess
    hung.gate.set()
    assert not sinks.close(far_deadline())
    assert sinks.counters()["gated"]["dropped"] > 0
    assert hung.records[-1].step == 20


def test_only_a_call_waits_for_room(tmp_path):
    writer = Blocking()
    sinks = Sinks([writer], tmp_path, None)
    (sink,) = sinks._sinks.values()
    sink._queue._capacity, sink._queue._put_timeout = 1, 0.0
    for step in range(5):
        sinks.intake.entries.append(entry_of(step))
    sinks.intake.hand_out()
    assert sink.counters["dropped"] == 0 and sinks.intake.has_excess
    sinks.intake.entries.append(entry_of(5))
    sinks.intake.hand_out(waits=True)
    assert sink.counters["dropped"] == 1
    writer.gate.set()
    sinks.close(far_deadline())
    assert [record.step for record in writer.records] == [0, 1, 2, 3, 4]


def test_what_is_appended_after_the_close_stays():
    intake, offered = collecting()
    intake.entries.append(entry_of(1))
    intake.close()
    late = entry_of(2)
    intake.entries.append(late)
    intake.hand_out()
    assert offered == [("train", 1)]
    assert intake.has(late) and not intake.has(entry_of(2))


def test_the_copy_in_a_forked_child_hands_out_nothing_and_waits_for_nobody():
    intake, offered = collecting()
    intake.entries.append(entry_of(1))
    holder = threading.Thread(target=intake.lock.acquire)  # and never releases it
    holder.start()
    holder.join()
    intake.disable()
    intake.hand_out()
    intake.try_hand_out()
    assert offered == []
