"""One queue and one thread for each writer, so that no writer stops a step.

`Sink` is that of one writer, `Sinks` holds those of a process: a slow writer takes no
time from the others.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxmetrics.pipeline._breaker import Breaker
from jaxmetrics.pipeline._cadence import Cadence
from jaxmetrics.pipeline._queue import Job, RowQueue
from jaxmetrics.pipeline._row import Row

if TYPE_CHECKING:
    from jaxmetrics.writers import Writer

_LOG = logging.getLogger("jaxmetrics")
_OUTCOMES = ("written", "failed", "dropped", "skipped")
_MAX_LEFT_OUT = 1024
_MAX_UNFETCHED = 4096


class Sink:
    """A bounded queue before an open writer, and the thread that empties it.

    Whatever the writer does, `offer` returns: at once for a writer that drops its
    oldest rows, within `put_timeout` for one that blocks. A writer's errors are
    counted, and the first one is logged. After three in a row the writer pauses (see
    `Breaker`); a pause and its end are logged. In a forked child the sink is inert.

    A writer with `every` above 1 gets the train rows that its `Cadence` takes, and at
    the end those of the last step, if it has not got them.

    Once the queue is empty, offered = written + failed + dropped + skipped.

    Args:
      writer: Writer that gets the rows, in the order in which they are offered.
      capacity: Maximum number of rows in the queue.
      put_timeout: Seconds that `offer` waits when a writer that blocks has no room.
      clock: Monotonic seconds, for the pauses after repeated failures.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        capacity: int = 1024,
        put_timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.writer = writer
        self._queue = RowQueue(capacity, writer.when_full, put_timeout)
        self._breaker = Breaker(clock)
        self._cadence = Cadence(writer.every) if writer.every > 1 else None
        self._left_out: list[Row] = []  # of the last train step, if it was not taken
        self._counts_lock = threading.RLock()
        self._counts: dict[str, int] = dict.fromkeys(_OUTCOMES, 0)
        self._repeated = 0  # rows that were offered again
        self._lost = False
        self._warned: set[str] = set()
        self._closing: Future[bool] | None = None
        self._pid: int | None = os.getpid()
        _sinks_of_process().add(self)
        thread = threading.Thread(
            target=self._run, name=f"jaxmetrics-{writer.name}", daemon=True
        )
        thread.start()

    @property
    def counters(self) -> dict[str, int]:
        """Rows offered, written, failed, dropped (no room) and skipped (not tried).

        Skipped rows came during a pause after repeated failures, or have nothing left
        after the writer's keys and limits. The writer's own counters follow.
        """
        offered = {"offered": self._queue.offered - self._repeated}
        return offered | self._counts | self.writer.counters

    def offer(self, row: Row) -> None:
        """Queue a row if it is for the writer; a row offered again is written once."""
        if self._pid is None:
            return
        if row.kind is not None:
            if row.kind not in self.writer.shows:
                return
        elif self._cadence is not None and not self._takes(row):
            return
        if dropped := self._queue.put(row):
            self._count_dropped(dropped)

    def begin_flush(self) -> Future[bool]:
        """Request a flush after the rows offered so far.

        Returns:
          A future that is True if the flush can be acknowledged. It is False if, since
          the flush before, the writer failed to write or to flush, or a writer that
          blocks has lost a row.
        """
        return self._submit(self._flush)

    def state(self) -> dict[str, Any]:
        """Return the state of the writer and of its cadence; flush before."""
        cadence = None if self._cadence is None else self._cadence.state()
        return self.writer.state() | ({"cadence": cadence} if cadence else {})

    def begin_rewind(self, state: Mapping[str, Any]) -> Future[None]:
        """Have the writer load `state` after the rows offered so far.

        Raises:
          TypeError, ValueError: The state of the cadence is not one.
        """
        own = dict(state)
        cadence = own.pop("cadence", {})
        if self._cadence is not None:
            self._cadence.load_state(cadence)
            self._left_out = []
        return self._submit(lambda: self.writer.load_state(own))

    def begin_close(self) -> Future[bool]:
        """Refuse further rows, and close the writer after those offered so far."""
        if self._is_in_child():
            return self._submit(self._close)
        if self._closing is None:
            for row in self._left_out:
                self._count_dropped(self._queue.put(row))
            self._queue.close()
            self._closing = self._submit(self._close)
        return self._closing

    def wait_for(self, future: Future[Any], deadline: float) -> bool:
        """Wait for a request until the deadline; return whether it is done."""
        return future.done() or self._queue.wait_for(future, deadline)

    def finish_flush(self, future: Future[bool], deadline: float) -> bool:
        """Wait for a flush until the deadline; return whether it is acknowledged."""
        if not self.wait_for(future, deadline):
            return False
        return future.exception() is None and future.result()

    def finish_close(self, future: Future[bool], deadline: float) -> bool:
        """Wait as `finish_flush`; at the deadline drop the queue, leave the writer."""
        acknowledged = self.finish_flush(future, deadline)
        if not future.done() and not self._is_in_child():
            self._count_dropped(self._queue.end())
        return acknowledged

    def flush(self, deadline: float) -> bool:
        """Flush the rows offered so far; return whether that was done in time.

        Args:
          deadline: Time of `time.monotonic()`.
        """
        return self.finish_flush(self.begin_flush(), deadline)

    def close(self, deadline: float) -> bool:
        """Flush and close the writer before the deadline, or leave it behind."""
        return self.finish_close(self.begin_close(), deadline)

    def warn_if_idle(self) -> None:
        """Warn about a writer whose keys selected nothing of the rows that it got."""
        counts, keys = self.counters, self.writer.keys
        if keys is not None and 0 < counts["offered"] == counts["skipped"]:
            self._warn(f"wrote none of {counts['offered']} rows: no key is in {keys}")

    def disable(self) -> None:
        """Make this sink inert, as the copy in a forked child, which has no thread."""
        self._pid = None

    def _is_in_child(self) -> bool:
        return self._pid != os.getpid()

    def _submit(self, function: Callable[[], Any]) -> Future[Any]:
        if not self._is_in_child():
            return self._queue.submit(function)
        future: Future[Any] = Future()
        future.set_exception(RuntimeError("Logging stays with the parent process."))
        return future

    def _takes(self, row: Row) -> bool:
        assert self._cadence is not None
        if row.split != "train":
            return True
        taken = self._cadence.takes(row.step)
        left_out = self._left_out
        last = left_out[0].step if left_out else self._cadence.last or 0
        if taken and row.step >= last:
            self._left_out = []
        elif not taken and row.step == last and len(left_out) < _MAX_LEFT_OUT:
            left_out.append(row)
        elif not taken and row.step > last:
            self._left_out = [row]
        return taken

    def _run(self) -> None:
        while (next_up := self._queue.take(self._idle)) is not None:
            if isinstance(next_up, Job):
                next_up.run()
            elif self in next_up.delivered_to:
                self._repeated += 1
            else:
                next_up.delivered_to.add(self)
                self._write(next_up)

    def _write(self, row: Row) -> None:
        if not self._breaker.allows():
            # Only a writer that drops rows anyway may lose some without failing the
            # next flush.
            self._count("skipped", lost=self.writer.when_full == "block")
            return
        try:
            record = self.writer.select(row.record())
            if record is None:
                self._count("skipped")
                return
            written = self.writer.write(record)
        except Exception as error:
            self._count("failed", lost=True)
            self._warn_once("failed to write a row; failures are counted", error)
            if self._breaker.failed():
                self._warn("is paused after repeated failures; rows are skipped", error)
            return
        if self._breaker.succeeded():
            self._warn("works again")
        self._count("skipped" if written is False else "written")

    def _idle(self) -> None:
        if self._breaker.allows():
            try:
                self.writer.idle()
            except Exception as error:
                self._count("failed", 0, lost=True)
                self._warn_once("failed to write a row; failures are counted", error)

    def _flush(self) -> bool:
        with self._counts_lock:
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

    def _count_dropped(self, rows: int) -> None:
        if rows:
            self._count("dropped", rows, lost=self.writer.when_full == "block")
            self._warn_once("is too slow; rows are dropped and counted")

    def _count(self, outcome: str, rows: int = 1, lost: bool = False) -> None:
        with self._counts_lock:
            self._counts[outcome] += rows
            self._lost = self._lost or lost

    def _warn_once(self, message: str, error: Exception | None = None) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._warn(message, error)

    def _warn(self, message: str, error: Exception | None = None) -> None:
        reason = f" ({type(error).__name__}: {error})" if error else ""
        _LOG.warning("Writer %s %s%s.", self.writer.name, message, reason)


class Sinks:
    """Open all writers, or none, and put a queue before each.

    Deadlines are times of `time.monotonic()`.

    Args:
      writers: Writers to open; all are closed again if one of them fails to open.
      run_dir: Directory of the run; None if it has none.
      resume_step: Step from which the run continues, or None.
      clock: Monotonic seconds, as in `Sink`.
    """

    def __init__(
        self,
        writers: Sequence[Writer],
        run_dir: Path | None,
        resume_step: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        opened: list[Writer] = []
        try:
            for writer in writers:
                place: Any = run_dir  # None is for writers that need none
                writer.open(place, resume_step)
                opened.append(writer)
        except BaseException:
            for writer in opened:
                writer.close()
            raise
        self._sinks = _by_name([Sink(writer, clock=clock) for writer in opened])
        self._rows_offered = 0
        self._unfetched: deque[Row] = deque(maxlen=_MAX_UNFETCHED)

    def __len__(self) -> int:
        """Return the number of writers."""
        return len(self._sinks)

    def show(self, kind: str) -> bool:
        """Return whether any writer takes this kind of `Media`."""
        return any(kind in sink.writer.shows for sink in self._sinks.values())

    def offer(self, rows: list[Row]) -> None:
        """Queue rows, in order, for every writer that takes them.

        A row leaves the list once every writer has it. If that is interrupted, by
        KeyboardInterrupt for example, the row is still in the list and can be offered
        again.
        """
        while rows:
            row = rows[0]
            if not row.number:
                row.number = self._rows_offered = self._rows_offered + 1
                unfetched = self._unfetched
                while unfetched and unfetched[0].is_fetched:
                    unfetched.popleft()
                if self._sinks:
                    unfetched.append(row)
            for sink in self._sinks.values():
                sink.offer(row)
            if rows and rows[0] is row:  # a signal handler may have logged meanwhile
                del rows[0]

    def fetch(self, timeout: float | None = None) -> bool:
        """Fetch the rows offered so far; return whether that was done in time.

        Args:
          timeout: Maximum seconds to wait for devices. None waits as long as it takes.
        """
        rows = list(self._unfetched)
        if timeout is None or all(row.is_fetched for row in rows):
            _fetch(rows)
            return True
        thread = threading.Thread(
            target=_fetch, args=(rows,), name="jaxmetrics-fetch", daemon=True
        )
        thread.start()
        thread.join(timeout)
        return not thread.is_alive()

    def flush(self, deadline: float) -> bool:
        """Flush all writers; return whether all rows were written before the deadline.

        All flushes begin before one is waited for, so that one deadline covers them.
        """
        begun = [(sink, sink.begin_flush()) for sink in self._sinks.values()]
        return all([sink.finish_flush(future, deadline) for sink, future in begun])

    def close(self, deadline: float) -> bool:
        """Close all writers, as `flush`; those that hang are left behind.

        A writer whose keys selected nothing of what was logged is named in a warning.
        """
        begun = [(sink, sink.begin_close()) for sink in self._sinks.values()]
        closed = all([sink.finish_close(future, deadline) for sink, future in begun])
        for sink in self._sinks.values():
            sink.warn_if_idle()
        return closed

    def counters(self) -> dict[str, dict[str, int]]:
        """Return `Sink.counters` by name of the writer."""
        return {name: sink.counters for name, sink in self._sinks.items()}

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the states of the writers that have one; flush before."""
        states = {name: sink.state() for name, sink in self._sinks.items()}
        return {name: state for name, state in states.items() if state}

    def rewind(self, step: int, states: Mapping[str, Any], timeout: float) -> None:
        """Take all writers back to `states`, or those without one to `step`.

        Raises:
          RuntimeError: A writer did not answer within `timeout` seconds.
          ValueError: A state does not belong to its writer.
        """
        deadline = time.monotonic() + timeout
        begun = []
        for name, sink in self._sinks.items():
            try:
                state = {"step": step} | states.get(name, {})
                begun.append((sink, sink.begin_rewind(state)))
            except (AttributeError, TypeError, ValueError) as error:
                raise ValueError(
                    f"load_state(): writer {sink.writer.name} got a state whose "
                    f"'cadence' is damaged ({error}). Restore the state that was saved."
                ) from error
        for sink, future in begun:
            if not sink.wait_for(future, deadline):
                raise RuntimeError(
                    f"load_state(): writer {sink.writer.name} did not go back to step "
                    f"{step} within {timeout:g} seconds. Close the logger and restore "
                    f"a new one."
                )
            try:
                future.result()
            except (KeyError, TypeError) as error:
                raise ValueError(
                    f"load_state(): writer {sink.writer.name} got a state of another "
                    f"kind of writer ({type(error).__name__}: {error}). Restore the "
                    f"state that it saved."
                ) from error


def _fetch(rows: Sequence[Row]) -> None:
    for row in rows:
        row.record()


def _by_name(sinks: Sequence[Sink]) -> dict[str, Sink]:
    """Return sinks by the names of their writers; a second `console` is `console-2`."""
    named: dict[str, Sink] = {}
    for sink in sinks:
        name, number = sink.writer.name, 2
        while name in named:
            name, number = f"{sink.writer.name}-{number}", number + 1
        named[name] = sink
    return named


@functools.cache
def _sinks_of_process() -> weakref.WeakSet[Sink]:
    """Return the set of all sinks, which a forked child disables.

    The only state of the module. `os.register_at_fork` cannot be undone, so that a
    callback per sink would stay for the life of the process; one callback, registered
    with the first sink, serves all of them. The process number alone is not enough to
    recognize a child: in another PID namespace it can have its parent's number.
    """
    sinks: weakref.WeakSet[Sink] = weakref.WeakSet()

    def disable_all() -> None:
        for sink in sinks:
            sink.disable()

    os.register_at_fork(after_in_child=disable_all)
    return sinks
