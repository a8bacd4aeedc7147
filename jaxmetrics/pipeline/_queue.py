"""A bounded queue of rows and jobs, between the threads that log and one consumer.

**Locks.** One lock guards everything, and one condition, built on it, announces every
change. The lock is reentrant because of signal handlers, which Python runs in the main
thread between any two instructions, also inside `put`:

    training loop:  log_step() -> put(row 7): takes the lock, appends the row
    SIGTERM:        handler -> logger.flush() -> submit(flush): takes the lock again
                    -> wait_for(future): releases it completely while it waits
    writer thread:  take() -> row 7, take() -> flush; the future is done
    training loop:  put returns

With a plain lock the handler would wait forever for its own thread. For the same reason
`wait_for` waits on the condition and not in `future.result()`: that would keep the lock
which the consumer needs to finish the job. The lock is entered directly, never through
the condition, as `Condition.__enter__` is Python code: a KeyboardInterrupt in it could
leave the lock taken for good.

**Jobs** (flush, rewind, close) keep their place among the rows. Each has the number of
rows that come before it: with 3 rows taken and 2 in the queue, `submit` gives a job the
number 5, and `take` returns it after the fifth row and before the sixth.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Literal, NamedTuple

from jaxmetrics.pipeline._row import Row

_MIN_POLL_SECONDS, _MAX_POLL_SECONDS = 0.01, 0.16


class Job(NamedTuple):
    """A function to call once `after` rows were taken, and the future of its result."""

    after: int
    function: Callable[[], Any]
    future: Future[Any]

    def run(self) -> None:
        """Call the function; put its result or its error into the future."""
        try:
            self.future.set_result(self.function())
        except Exception as error:
            self.future.set_exception(error)


class RowQueue:
    """Pass rows, in order, from any thread to the one that takes them.

    The consumer polls for rows every 10 to 160 ms; only jobs and a queue that fills up
    wake it, because waking a thread costs the training thread 10 microseconds.

    A consumer that cannot process a row now puts it back. Rows then wait until it is
    ready again or a job comes, which waits only for one more attempt: one that began
    after the job came.

    Args:
      capacity: Maximum number of rows in the queue.
      when_full: `"block"` makes `put` wait for room, `"drop_oldest"` makes room.
      put_timeout: Maximum seconds for which `put` waits.
    """

    def __init__(
        self,
        capacity: int,
        when_full: Literal["block", "drop_oldest"],
        put_timeout: float,
    ) -> None:
        self._capacity = capacity
        self._when_full = when_full
        self._put_timeout = put_timeout
        self._rows: deque[Row] = deque()
        self._jobs: deque[Job] = deque()
        self._rows_taken = 0
        self._jobs_before = 0  # that came before the last row was taken
        self.offered = 0
        """Rows that were put, including dropped ones."""
        self._rows_to_wake = max(1, capacity // 4)
        self._is_stuck = self._is_paused = self._closed = self._ended = False
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    def put(self, row: Row) -> list[Row]:
        """Add a row; return the rows that were dropped for it."""
        with self._lock:
            self.offered += 1
            if self._closed:
                return [row]
            full = len(self._rows) >= self._capacity
            if full and self._when_full == "block" and not self._wait_for_room():
                return [row]
            self._rows.append(row)
            dropped = []
            while len(self._rows) > self._capacity and self._when_full != "block":
                dropped.append(self._rows.popleft())
                self._rows_taken += 1
            if len(self._rows) >= self._rows_to_wake:
                self._changed.notify_all()
            return dropped

    def add(self, row: Row) -> bool:
        """Add a row at once, without the lock; return False if it exceeds the capacity.

        One thread at a time calls `put` or `add`.
        """
        self.offered += 1
        self._rows.append(row)
        return len(self._rows) <= self._capacity

    def put_back(self, row: Row) -> bool:
        """Return a row that could not be processed to the front; rows wait after it.

        Jobs that came before it was taken are next, before the rows that they follow.

        Returns:
          False if the queue has ended, which drops the row.
        """
        with self._lock:
            if self._ended:
                return False
            self._is_paused = True
            self._rows.appendleft(row)
            self._rows_taken -= 1
            for place in range(self._jobs_before):
                self._jobs[place] = self._jobs[place]._replace(after=0)
            self._changed.notify_all()
            return True

    def resume(self) -> None:
        """Hand out rows again as they come."""
        if self._is_paused:
            with self._lock:
                self._is_paused = False

    def clear(self) -> list[Row]:
        """Remove and return all rows."""
        with self._lock:
            # One by one: another thread may add rows meanwhile.
            rows = [self._rows.popleft() for _ in range(len(self._rows))]
            self._rows_taken += len(rows)
            self._changed.notify_all()
            return rows

    def submit(self, function: Callable[[], Any]) -> Future[Any]:
        """Have the consumer call a function after the rows that are in the queue."""
        future: Future[Any] = Future()
        with self._lock:
            if self._ended:
                _refuse(future)
            else:
                after = self._rows_taken + len(self._rows)
                self._jobs.append(Job(after, function, future))
                self._changed.notify_all()
        return future

    def take(
        self,
        idle: Callable[[], object] | None = None,
        is_ready: Callable[[], bool] = lambda: True,
        refill: Callable[[], object] = lambda: None,
    ) -> Row | Job | None:
        """Wait for the next row or job; return None once the queue has ended.

        Taking one means that the previous one is done.

        Args:
          idle: Called every 10 to 160 ms while there is nothing to take, without the
            lock.
          is_ready: Returns whether a row that was put back may be tried again.
          refill: Called, without the lock, when there is nothing to take and after each
            poll; it may add rows.
        """

        def has_next() -> bool:
            rows = self._rows and (not self._is_paused or is_ready())
            return bool(rows or self._jobs or self._ended)

        def is_empty() -> bool:
            return not (self._rows or self._jobs or self._ended)

        with self._lock:
            self._is_stuck = False
            self._changed.notify_all()
            poll_seconds = _MIN_POLL_SECONDS
            if is_empty():
                self._without_lock(refill)
            while not has_next():
                self._changed.wait(poll_seconds)
                poll_seconds = min(2 * poll_seconds, _MAX_POLL_SECONDS)
                if is_empty():
                    self._without_lock(refill)
                if idle is not None and is_empty():
                    self._without_lock(idle)
            if self._jobs and self._jobs[0].after <= self._rows_taken:
                return self._jobs.popleft()
            if not self._rows:
                return None
            self._rows_taken += 1
            self._jobs_before = len(self._jobs)
            return self._rows.popleft()

    def wait_for(self, future: Future[Any], deadline: float) -> bool:
        """Wait for a submitted job; return whether it is done.

        Args:
          future: The future that `submit` returned.
          deadline: Time of `time.monotonic()` at which to give up.
        """
        with self._lock:
            return self._changed.wait_for(future.done, deadline - time.monotonic())

    def close(self) -> None:
        """Refuse further rows; those in the queue are still taken."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()

    def end(self) -> list[Row]:
        """Drop all rows and refuse all jobs; return the rows dropped."""
        with self._lock:
            self._closed = self._ended = True
            while self._jobs:
                _refuse(self._jobs.popleft().future)
            return self.clear()

    def _without_lock(self, function: Callable[[], object]) -> None:
        self._lock.release()
        try:
            function()
        finally:
            self._lock.acquire()

    def _wait_for_room(self) -> bool:
        def has_room() -> bool:
            return len(self._rows) < self._capacity or self._closed

        def need_not_wait() -> bool:
            return has_room() or self._is_paused

        # A consumer that is stuck costs one timeout, not one per row: `put` waits again
        # only after the consumer has taken something. One that is paused costs none.
        if not (self._is_stuck or need_not_wait()):
            self._changed.wait_for(need_not_wait, self._put_timeout)
        room = has_room()
        self._is_stuck = not room
        return room and not self._closed


def _refuse(future: Future[Any]) -> None:
    future.set_exception(RuntimeError("The writer is closed."))
