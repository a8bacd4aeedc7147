"""A bounded queue of rows, and of jobs that keep their place among them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Literal, NamedTuple

from jaxmetrics.pipeline._row import Row

_SHORTEST, _LONGEST = 0.01, 0.16  # seconds


class Job(NamedTuple):
    """Something to do once `after` rows were taken, and where its result goes."""

    after: int
    function: Callable[[], Any]
    future: Future[Any]

    def run(self) -> None:
        """Do it, and keep the result or the error."""
        try:
            self.future.set_result(self.function())
        except Exception as error:
            self.future.set_exception(error)


class RowQueue:
    """Rows from any thread to the one that takes them, in order.

    The taker looks for rows by itself, after 10 to 160 ms, and is woken for jobs and
    when the queue fills: waking a thread costs the one that does it 10 microseconds.

    Args:
      capacity: Rows that may wait.
      when_full: Whether `put` waits for room, or drops the oldest row.
      patience: Seconds that it waits.
    """

    def __init__(
        self,
        capacity: int,
        when_full: Literal["block", "drop_oldest"],
        patience: float,
    ) -> None:
        self._capacity = capacity
        self._when_full = when_full
        self._patience = patience
        self._rows: deque[Row] = deque()
        self._jobs: deque[Job] = deque()
        self._taken = 0
        self.offered = 0
        self._enough = max(1, capacity // 4)
        self._stalled = self._closed = self._ended = False
        # Reentrant, so that a signal handler may log while this thread holds it; and
        # taken by itself, as a KeyboardInterrupt in Condition.__enter__ would keep it.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    def put(self, row: Row) -> int:
        """Add a row; the number of rows, 0 or 1, that were dropped for it."""
        with self._lock:
            self.offered += 1
            if self._closed:
                return 1
            full = len(self._rows) >= self._capacity
            if full and self._when_full == "block" and not self._wait_for_room():
                return 1
            self._rows.append(row)
            dropped = len(self._rows) > self._capacity
            if dropped:
                self._rows.popleft()
                self._taken += 1
            if len(self._rows) == self._enough:
                self._changed.notify_all()
            return int(dropped)

    def submit(self, function: Callable[[], Any]) -> Future[Any]:
        """Have `function` called after the rows that are here now."""
        future: Future[Any] = Future()
        with self._lock:
            if self._ended:
                _refuse(future)
            else:
                after = self._taken + len(self._rows)
                self._jobs.append(Job(after, function, future))
                self._changed.notify_all()
        return future

    def take(self) -> Row | Job | None:
        """Wait for the next row or job; None when there will be no more.

        Taking one says that the one before is done.
        """
        with self._lock:
            self._stalled = False
            self._changed.notify_all()
            pause = _SHORTEST
            while not (self._rows or self._jobs or self._ended):
                self._changed.wait(pause)
                pause = min(2 * pause, _LONGEST)
            if self._jobs and self._jobs[0].after <= self._taken:
                return self._jobs.popleft()
            if not self._rows:
                return None
            self._taken += 1
            return self._rows.popleft()

    def wait_for(self, future: Future[Any], deadline: float) -> bool:
        """Whether a submitted job is done before `deadline`, a monotonic time."""
        # On this condition, not on the future: a signal handler may wait here while
        # the code it interrupted holds the lock, which waiting releases.
        with self._lock:
            return self._changed.wait_for(future.done, deadline - time.monotonic())

    def close(self) -> None:
        """Take no more rows."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()

    def end(self) -> int:
        """Drop the rows that wait, whose number is returned, and refuse all jobs."""
        with self._lock:
            self._closed = self._ended = True
            left = len(self._rows)
            self._rows.clear()
            while self._jobs:
                _refuse(self._jobs.popleft().future)
            self._changed.notify_all()
            return left

    def _wait_for_room(self) -> bool:
        def has_room() -> bool:
            return len(self._rows) < self._capacity or self._closed

        # One wait shows that the taker is stuck; the next begins when it has moved.
        room = has_room() or (
            not self._stalled and self._changed.wait_for(has_room, self._patience)
        )
        self._stalled = not room
        return room and not self._closed


def _refuse(future: Future[Any]) -> None:
    future.set_exception(RuntimeError("The writer is closed."))
