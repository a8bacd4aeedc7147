"""One queue and one thread before each writer, so that none of them stops a step."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from jaxmetrics.pipeline._breaker import Breaker
from jaxmetrics.pipeline._queue import Job, RowQueue
from jaxmetrics.pipeline._row import Row

if TYPE_CHECKING:
    from jaxmetrics.writers import Writer

_LOG = logging.getLogger("jaxmetrics")
_OUTCOMES = ("written", "failed", "dropped", "skipped")


class Sink:
    """A bounded queue before a writer, which is open, and the thread that empties it.

    Whatever the writer does, `offer` returns: at once for a writer that drops its
    oldest rows, within `patience` for one that blocks. A writer's errors are counted,
    and the first one is logged. After three in a row it pauses for 30 seconds, and for
    twice as long, up to 10 minutes, whenever the row after a pause fails too; a pause
    and its end are logged. After a fork the child's copy does nothing.

    Once drained, offered = written + failed + dropped + skipped.

    Args:
      writer: Takes the rows in the order of their offers.
      capacity: Rows that may wait.
      patience: Seconds that `offer` waits when a writer that blocks has no room.
      clock: Monotonic seconds, for the pause after repeated failures.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        capacity: int = 1024,
        patience: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.writer = writer
        self._queue = RowQueue(capacity, writer.when_full, patience)
        self._breaker = Breaker(clock)
        self._counting = threading.RLock()
        self._counts: dict[str, int] = dict.fromkeys(_OUTCOMES, 0)
        self._again = 0  # rows that came a second time
        self._lost = False
        self._warned: set[str] = set()
        self._closing: Future[bool] | None = None
        self._pid: int | None = os.getpid()
        os.register_at_fork(after_in_child=_forgetter(weakref.ref(self)))
        thread = threading.Thread(
            target=self._run, name=f"jaxmetrics-{writer.name}", daemon=True
        )
        thread.start()

    @property
    def counters(self) -> dict[str, int]:
        """Rows offered, written, failed, dropped (no room), skipped (not tried).

        Skipped are those that came in the pause after repeated failures, and those of
        which the writer's keys or limits leave nothing. What the writer itself counts
        follows.
        """
        offered = {"offered": self._queue.offered - self._again}
        return offered | self._counts | self.writer.counters

    def offer(self, row: Row) -> None:
        """Queue a row, if it is one for the writer; a row that it had is not again."""
        if self._pid is None or not self._takes(row):
            return
        if dropped := self._queue.put(row):
            self._drop(dropped)

    def begin_flush(self) -> Future[bool]:
        """Ask for a flush after the rows offered so far; the result is whether it held.

        It did not when the writer failed to write or to flush, or when a writer that
        blocks rather than drop has lost a row, since the flush before.
        """
        return self._submit(self._flush)

    def begin_rewind(self, state: Mapping[str, Any]) -> Future[None]:
        """Ask the writer to go back to `state` after the rows offered so far."""
        return self._submit(lambda: self.writer.load_state(state))

    def begin_close(self) -> Future[bool]:
        """Take no more rows, and close the writer after those offered so far."""
        if self._inert():
            return self._submit(self._close)
        if self._closing is None:
            self._queue.close()
            self._closing = self._submit(self._close)
        return self._closing

    def wait_for(self, future: Future[Any], deadline: float) -> bool:
        """Whether what was begun here is done before `deadline`."""
        return future.done() or self._queue.wait_for(future, deadline)

    def held(self, future: Future[bool], deadline: float) -> bool:
        """Whether a flush that was begun here is done before `deadline`, and held."""
        if not self.wait_for(future, deadline):
            return False
        return future.exception() is None and future.result()

    def finish_close(self, future: Future[bool], deadline: float) -> bool:
        """As `held`; at the deadline what still waits is dropped, the writer left."""
        held = self.held(future, deadline)
        if not future.done() and not self._inert():
            self._drop(self._queue.end())
        return held

    def flush(self, deadline: float) -> bool:
        """Whether every row offered so far was written and flushed before `deadline`.

        Args:
          deadline: A time of `time.monotonic()`.
        """
        return self.held(self.begin_flush(), deadline)

    def close(self, deadline: float) -> bool:
        """Flush and close the writer before `deadline`, or leave it behind."""
        return self.finish_close(self.begin_close(), deadline)

    def _inert(self) -> bool:
        return self._pid != os.getpid()

    def _takes(self, row: Row) -> bool:
        if row.kind is None:
            return self.writer.accepts(row.step, row.split)
        return row.kind in self.writer.shows

    def _submit(self, function: Callable[[], Any]) -> Future[Any]:
        if not self._inert():
            return self._queue.submit(function)
        future: Future[Any] = Future()
        future.set_exception(RuntimeError("Logging stays with the parent process."))
        return future

    def _run(self) -> None:
        while (next_up := self._queue.take()) is not None:
            if isinstance(next_up, Job):
                next_up.run()
            elif self in next_up.taken:
                self._again += 1
            else:
                next_up.taken.add(self)
                self._write(next_up)

    def _write(self, row: Row) -> None:
        blocks = self.writer.when_full == "block"
        if not self._breaker.allows():
            self._count("skipped", lost=blocks)
            return
        try:
            record = self.writer.select(row.record())
            if record is None:
                self._count("skipped")
                return
            written = self.writer.write(record)
        except Exception as error:
            self._count("failed", lost=True)
            self._warn_once("failed, which is counted", error)
            if self._breaker.failed():
                self._warn("pauses: rows are skipped, but for one now and then", error)
            return
        if self._breaker.succeeded():
            self._warn("works again")
        self._count("skipped" if written is False else "written")

    def _flush(self) -> bool:
        with self._counting:
            lost, self._lost = self._lost, False
        try:
            self.writer.flush()
        except Exception as error:
            self._warn_once("could not flush", error)
            return False
        return not lost

    def _close(self) -> bool:
        flushed = self._flush()
        self._queue.end()
        try:
            self.writer.close()
        except Exception as error:
            self._warn_once("could not be closed", error)
            return False
        return flushed

    def _drop(self, rows: int) -> None:
        if rows:
            self._count("dropped", rows, lost=self.writer.when_full == "block")
            self._warn_once("is too slow, so that rows are dropped and counted")

    def _count(self, outcome: str, rows: int = 1, lost: bool = False) -> None:
        with self._counting:
            self._counts[outcome] += rows
            self._lost = self._lost or lost

    def _warn_once(self, what: str, error: Exception | None = None) -> None:
        if what not in self._warned:
            self._warned.add(what)
            self._warn(what, error)

    def _warn(self, what: str, error: Exception | None = None) -> None:
        why = f" ({type(error).__name__}: {error})" if error else ""
        _LOG.warning("Writer %s %s%s.", self.writer.name, what, why)


def _forgetter(sink: weakref.ref[Sink]) -> Callable[[], None]:
    """What makes a sink inert in a child, even one that has its parent's number."""

    def forget() -> None:
        if (here := sink()) is not None:
            here._pid = None

    return forget
