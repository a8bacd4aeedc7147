"""The queue of rows and jobs between the threads that log and one consumer."""

import threading
import time
from collections import deque

import pytest
from support.sinks import far_deadline, filled_row

from jaxmetrics.pipeline._queue import Job, RowQueue


def contents(queue):
    """Return what the consumer takes until the queue ends: steps, and "job"."""
    taken = []
    while (next_up := queue.take()) is not None:
        if isinstance(next_up, Job):
            next_up.run()
            taken.append("job")
        else:
            taken.append(next_up.step)
    return taken


def test_a_job_runs_after_the_rows_that_were_put_before_it():
    queue = RowQueue(10, "block", 0.0)
    queue.put(filled_row(0))
    queue.put(filled_row(1))
    assert queue.take().step == 0
    future = queue.submit(lambda: "done")
    queue.put(filled_row(2))
    queue.submit(queue.end)
    assert contents(queue) == [1, "job", 2, "job"]
    assert future.result() == "done"


def test_rows_that_are_dropped_do_not_delay_a_job():
    queue = RowQueue(1, "drop_oldest", 0.0)
    queue.put(filled_row(0))
    future = queue.submit(lambda: "done")
    assert [row.step for row in queue.put(filled_row(1))] == [0]
    queue.submit(queue.end)
    assert contents(queue) == ["job", 1, "job"]
    assert future.result() == "done"


def test_an_error_of_a_job_is_in_its_future_and_the_queue_goes_on():
    queue = RowQueue(10, "block", 0.0)
    future = queue.submit(lambda: 1 / 0)
    queue.put(filled_row(0))
    queue.submit(queue.end)
    assert contents(queue) == ["job", 0, "job"]
    with pytest.raises(ZeroDivisionError):
        future.result()


def test_a_closed_queue_refuses_rows_and_delivers_those_it_has():
    queue = RowQueue(10, "block", 0.0)
    assert queue.put(filled_row(0)) == []
    queue.close()
    assert [row.step for row in queue.put(filled_row(1))] == [1]
    queue.submit(queue.end)
    assert contents(queue) == [0, "job"]
    assert queue.offered == 2


def test_an_ended_queue_drops_its_rows_and_refuses_jobs():
    queue = RowQueue(10, "block", 0.0)
    queue.put(filled_row(0))
    future = queue.submit(lambda: None)
    assert [row.step for row in queue.end()] == [0]
    for refused in (future, queue.submit(lambda: None)):
        with pytest.raises(RuntimeError, match="closed"):
            refused.result()
    assert queue.take() is None


def test_the_consumer_has_idle_time_only_while_there_is_nothing_to_take():
    queue = RowQueue(10, "block", 0.0)
    queue.put(filled_row(0))
    assert queue.take(pytest.fail).step == 0
    ticks = []

    def idle():
        ticks.append(len(ticks))
        other = threading.Thread(target=queue.put, args=(filled_row(1),))
        other.start()  # another thread gets the lock meanwhile
        other.join()

    assert queue.take(idle).step == 1
    assert ticks == [0]
    queue.submit(queue.end)
    assert contents(queue) == ["job"]


def test_waiting_for_a_job_ends_at_the_deadline():
    queue = RowQueue(10, "block", 0.0)
    future = queue.submit(lambda: None)
    assert not queue.wait_for(future, time.monotonic())
    queue.submit(queue.end)
    consumer = threading.Thread(target=contents, args=(queue,))
    consumer.start()
    assert queue.wait_for(future, far_deadline())
    consumer.join()


def test_rows_wait_behind_one_that_was_put_back_until_the_consumer_is_ready():
    queue, ready = RowQueue(2, "block", 60.0), []
    queue.put(filled_row(0))
    queue.put(filled_row(1))
    assert queue.put_back(queue.take())
    (dropped,) = queue.put(filled_row(2))  # at once: the consumer is paused
    assert dropped.step == 2
    asked = []

    def is_ready():
        asked.append(len(asked))
        return len(asked) > 2

    assert queue.take(is_ready=is_ready).step == 0
    assert len(asked) == 3
    queue.resume()
    assert queue.take(is_ready=ready.pop).step == 1


def test_a_job_waits_only_for_one_attempt_of_the_rows_before_it():
    queue = RowQueue(10, "block", 0.0)
    queue.put(filled_row(0))
    queue.put(filled_row(1))
    queue.put_back(queue.take())
    future = queue.submit(lambda: "done")
    assert queue.take(is_ready=lambda: False).step == 0  # the job is the reason
    queue.put_back(filled_row(0))
    queue.take(is_ready=lambda: False).run()
    assert future.result() == "done"
    assert [row.step for row in queue.clear()] == [0, 1]
    queue.submit(queue.end)
    assert contents(queue) == ["job"]


def test_an_attempt_that_began_before_a_job_came_is_not_the_one_it_waits_for():
    queue = RowQueue(10, "block", 0.0)
    queue.put(filled_row(0))
    row = queue.take()
    future = queue.submit(lambda: "done")  # the disk may have got room since
    queue.put_back(row)
    assert queue.take(is_ready=lambda: False) is row
    queue.put_back(row)
    queue.take(is_ready=lambda: False).run()
    assert future.result() == "done"


def test_a_row_cannot_be_put_back_into_an_ended_queue():
    queue = RowQueue(10, "block", 0.0)
    queue.end()
    assert not queue.put_back(filled_row(0))


def test_a_producer_that_waits_for_room_is_released_by_a_pause():
    queue, dropped = RowQueue(1, "block", 3600.0), []
    queue.put(filled_row(0))
    row = queue.take()
    queue.put(filled_row(1))
    thread = threading.Thread(target=lambda: dropped.extend(queue.put(filled_row(2))))
    thread.start()
    while queue.offered < 3:  # it is about to wait, or waits
        thread.join(0.001)
    queue.put_back(row)
    thread.join(60)
    assert [row.step for row in dropped] == [2]


def test_a_row_that_is_added_while_the_queue_is_cleared_stays():
    class Growing(deque):
        def popleft(self):
            row = super().popleft()
            if row.step == 0:
                self.append(filled_row(2))  # another thread
            return row

    queue = RowQueue(10, "block", 0.0)
    queue._rows = Growing([filled_row(0), filled_row(1)])
    assert [row.step for row in queue.clear()] == [0, 1]
    assert [row.step for row in queue._rows] == [2]


def test_a_queue_grows_beyond_its_capacity_only_where_nobody_waits():
    queue = RowQueue(1, "drop_oldest", 0.0)
    assert queue.add(filled_row(0))
    assert not queue.add(filled_row(1))
    assert [row.step for row in queue.put(filled_row(2))] == [0, 1]
    assert queue.offered == 3
