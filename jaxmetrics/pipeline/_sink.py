"""One queue and one thread for each writer, so that no writer stops a step.

`Sink` is that of one writer, `Sinks` holds those of a process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jaxmetrics.pipeline._cadence import Thinning
from jaxmetrics.pipeline._delivery import Delivery
from jaxmetrics.pipeline._intake import Intake
from jaxmetrics.pipeline._queue import Job, RowQueue
from jaxmetrics.pipeline._replay import Replay
from jaxmetrics.pipeline._row import Row
from jaxmetrics.record import (
    METRICS_JSONL,
    MissingRows,
    Record,
    disabled_in_children,
    error_text,
)

if TYPE_CHECKING:
    from jaxmetrics.writers import Writer

_LOG = logging.getLogger("jaxmetrics")
_TOO_SLOW = "is too slow; rows are dropped and counted"
_MAX_UNFETCHED = 4096
_UNDO_SECONDS = 5.0


class Sink:
    """A bounded queue before an open writer, and the thread that empties it.

    Whatever the writer does, `offer` returns: at once for a writer that drops its
    oldest rows, within `put_timeout` for one that blocks. In a forked child the sink is
    inert.

    `Delivery` counts and retries. While a row is to be tried again, those after it wait
    in the queue; each flush tries once more. What does not fit into the queue is lost.

    A flush after which rows of a writer are lost is not acknowledged. If the writer
    blocks, no later one is, until a rewind goes back to before the first of them. The
    close answers for all rows; a writer that can be completed gets those it has lost
    before.

    A writer with `every` above 1 gets the train rows that its `Thinning` takes, and at
    the end those of the last step, if it has not got them.

    Once the queue is empty, offered = written + failed + dropped + skipped.

    Args:
      writer: Writer that gets the rows, in the order in which they are offered.
      capacity: Maximum number of rows in the queue.
      put_timeout: Seconds that `offer` waits when a writer that blocks has no room.
      clock: Monotonic seconds, for the pauses after repeated failures.
      refill: Called by the thread when the queue is empty, to offer rows that wait.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        capacity: int = 1024,
        put_timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        refill: Callable[[], object] = lambda: None,
    ) -> None:
        self.writer = writer
        self._queue = RowQueue(capacity, writer.when_full, put_timeout)
        self._delivery = Delivery(writer, clock)
        self._thinning = Thinning[Row](writer.every) if writer.every > 1 else None
        self._refill = refill
        self._repeated = 0  # rows that were offered again
        self._closing: Future[bool] | None = None
        self._pid: int | None = os.getpid()
        disabled_in_children().add(self)
        writer.in_use = True
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
        return offered | self._delivery.counts

    def offer(self, row: Row, *, waits: bool = True) -> bool:
        """Queue a row if it is for the writer; a row offered again is written once.

        Args:
          row: The row.
          waits: Whether a full queue makes room, as its writer wants it. If false, it
            grows beyond its capacity.

        Returns:
          Whether the queue is within its capacity.
        """
        if self._pid is None:
            return True
        if row.kind is not None:
            if row.kind not in self.writer.shows:
                return True
        elif self._thinning is not None and not self._thinning.takes(row):
            return True
        if not waits:
            return self._queue.add(row)
        self._delivery.drop(self._queue.put(row), _TOO_SLOW)
        return True

    def begin_flush(self) -> Future[bool]:
        """Request a flush after the rows offered so far.

        Returns:
          A future that is True if the flush can be acknowledged. It is False if the
          writer has lost a row or failed to flush since the flush before, and as long
          as rows of a writer that blocks wait or are lost.
        """
        return self._submit(self._delivery.flush)

    def missing(self) -> dict[str, Any]:
        """Return how many rows the writer has lost, and their steps by split."""
        return self._delivery.missing()

    def state(self) -> dict[str, Any]:
        """Return the state of the writer, its cadence and its losses; flush before.

        A writer that cannot tell its state, for example because its file was removed,
        has none: a warning says so, and a restore takes it back to the step.
        """
        cadence = None if self._thinning is None else self._thinning.state()
        try:
            state = dict(self.writer.state())
        except Exception as error:
            _LOG.warning(
                "Writer %s has no state to save (%s). A restore takes it back to the "
                "step of the checkpoint.",
                *(self.writer.name, error_text(error)),
            )
            state = {}
        state |= {"cadence": cadence} if cadence else {}
        missing = {} if self.writer.is_display else self.missing()
        return state | ({"missing": missing} if missing else {})

    def begin_rewind(self, state: Mapping[str, Any]) -> Future[None]:
        """Have the writer load `state` after the rows offered so far.

        Raises:
          TypeError, ValueError: The state of the cadence is not one.
        """
        own = dict(state)
        cadence, missing = own.pop("cadence", {}), own.pop("missing", {})
        MissingRows().load_state(missing)
        if self._thinning is not None:
            self._thinning.load_state(cadence)

        def rewind() -> None:
            # Rows that wait were offered before the rewind, and are not tried again.
            self._delivery.drop(
                self._queue.clear() if self._delivery.is_waiting else []
            )
            self._queue.resume()
            self._delivery.rewind(own, cadence, missing)

        return self._submit(rewind)

    def finish_rewind(self, future: Future[None], step: int, deadline: float) -> None:
        """Wait for a rewind until the deadline.

        Raises:
          RuntimeError: The writer did not answer.
          Exception: Whatever the writer raises.
        """
        if not self.wait_for(future, deadline):
            raise RuntimeError(
                f"load_state(): writer {self.writer.name} did not go back to step "
                f"{step} in time. Close the logger and restore a new one."
            )
        future.result()

    def note_not_rewound(self) -> None:
        """Acknowledge no flush until a rewind succeeds."""
        self._delivery.is_rewound = False

    def begin_close(
        self, records: Callable[[], Iterator[Record]] = lambda: iter(())
    ) -> Future[bool]:
        """Refuse further rows, and close the writer after those offered so far.

        Args:
          records: Returns all records since the start or the last rewind, for a writer
            that has lost some of them and can be completed.

        Returns:
          A future that is True if the writer has all rows, and they are flushed.
        """
        if self._is_in_child():
            return self._submit(lambda: False)
        if self._closing is None:
            for row in self._thinning.left_out if self._thinning else ():
                self._delivery.drop(self._queue.put(row), _TOO_SLOW)
            self._queue.close()

            def close() -> bool:
                self._delivery.drop(self._queue.end())
                return self._delivery.close(records)

            self._closing = self._submit(close)
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
            self._delivery.drop(self._queue.end(), _TOO_SLOW)
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
        self._delivery.warn_if_idle(self._queue.offered - self._repeated)

    def disable(self) -> None:
        """Make this sink inert, as the copy in a forked child, which has no thread."""
        self._pid = None
        self.writer.in_use = False  # its copy there

    def _is_in_child(self) -> bool:
        return self._pid != os.getpid()

    def _submit(self, function: Callable[[], Any]) -> Future[Any]:
        if not self._is_in_child():
            return self._queue.submit(function)
        future: Future[Any] = Future()
        future.set_exception(RuntimeError("Logging stays with the parent process."))
        return future

    def _run(self) -> None:
        delivery, queue = self._delivery, self._queue
        next_up: Row | Job | None
        refill = self._refill
        while next_up := queue.take(delivery.idle, delivery.is_ready, refill):
            if isinstance(next_up, Job):
                next_up.run()
            elif self in next_up.delivered_to:
                self._repeated += 1
            elif delivery.write(next_up):
                next_up.delivered_to.add(self)
                queue.resume()
            elif not queue.put_back(next_up):
                delivery.drop([next_up])


class Sinks:
    """Open all writers, or none, and put a queue before each.

    A slow writer takes no time from the others.

    Rows come from an `Intake`, which hands them out in the thread of whichever writer
    is idle first.

    Deadlines are times of `time.monotonic()`.

    Args:
      writers: Writers to open; if one of them fails, all are closed again.
      run_dir: Directory of the run; None if it has none.
      resume_step: Step from which the run continues, or None.
      clock: Monotonic seconds, as in `Sink`.
      left_out: Steps to which attempts without them went back, by name of the writer.
        With a `resume_step` they continue from there, or from an earlier one.
    """

    def __init__(
        self,
        writers: Sequence[Writer],
        run_dir: Path | None,
        resume_step: int | None,
        clock: Callable[[], float] = time.monotonic,
        left_out: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        steps: dict[str, int] = {}
        if resume_step is not None:  # a restore has states of its own
            steps = {name: min(step, resume_step) for name, step in left_out.items()}
        self.intake: Intake = Intake(self.offer)
        """Calls that are not rows yet."""
        disabled_in_children().add(self.intake)
        self._rows_offered = 0
        self._unfetched: deque[Row] = deque(maxlen=_MAX_UNFETCHED)
        self._sinks: dict[str, Sink] = {}
        with contextlib.ExitStack() as undo:
            for writer in writers:
                place: Any = run_dir  # None is for writers that need none
                try:
                    writer.open(place, steps.pop(writer.name, resume_step))
                except Exception as error:
                    error.add_note(f"Writer {writer.name} could not be opened.")
                    raise
                undo.callback(writer.close)
            sinks: list[Sink] = []
            for writer in writers:
                # The first writer is that of the complete record, if there is one.
                refill = self.intake.try_hand_out if sinks else self._refill_first
                sink = Sink(writer, clock=clock, refill=refill)
                undo.callback(sink.close, time.monotonic() + _UNDO_SECONDS)
                sinks.append(sink)
            self._sinks = _by_name(sinks)
            undo.pop_all()
        self._replay = Replay(run_dir)
        # Where writers go back to that are not there now, but were once or will be.
        self._absent: dict[str, Mapping[str, Any]] = {
            name: {"step": step} for name, step in steps.items()
        }
        self._absent_step = resume_step  # of those without a state

    def __len__(self) -> int:
        """Return the number of writers."""
        return len(self._sinks)

    def show(self, kind: str) -> bool:
        """Return whether any writer takes this kind of `Media`."""
        return any(kind in sink.writer.shows for sink in self._sinks.values())

    def offer(self, rows: Sequence[Row], waits: bool = True) -> bool:
        """Queue rows, in order, for every writer that takes them.

        If that is interrupted, by KeyboardInterrupt for example, they can be offered
        again.

        Args:
          rows: The rows.
          waits: As in `Sink.offer`.

        Returns:
          Whether all queues are within their capacity.
        """
        has_room = True
        for row in rows:
            if not row.number:
                row.number = self._rows_offered = self._rows_offered + 1
                unfetched = self._unfetched
                while unfetched and unfetched[0].is_fetched:
                    unfetched.popleft()
                if self._sinks:
                    unfetched.append(row)
            for sink in self._sinks.values():
                has_room = sink.offer(row, waits=waits) and has_room
        return has_room

    def _refill_first(self) -> None:
        """Hand out; fetch the rows that no writer takes, to free their devices."""
        self.intake.try_hand_out()
        for row in self._unfetched.copy():
            with contextlib.suppress(Exception):  # raised for those who ask for it
                row.fetch()

    def fetch(self, timeout: float | None = None) -> bool:
        """Fetch the rows offered so far; return whether that was done in time.

        Args:
          timeout: Maximum seconds to wait for devices. None waits as long as it takes.
        """
        with self.intake.lock:
            self.intake.hand_out()
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
        self.intake.hand_out()
        begun = [(sink, sink.begin_flush()) for sink in self._sinks.values()]
        return all([sink.finish_flush(future, deadline) for sink, future in begun])

    def close(self, deadline: float) -> bool:
        """Close all writers, as `flush`; those that hang are left behind.

        A writer whose keys selected nothing of what was logged is named in a warning.
        """
        self.intake.close()
        record = self._sinks.get(METRICS_JSONL)
        written = record and record.begin_close()

        def records() -> Iterator[Record]:
            if record is not None and written is not None:
                record.wait_for(written, deadline)
            return self._replay.records()

        begun = [(sink, sink.begin_close(records)) for sink in self._sinks.values()]
        closed = all([sink.finish_close(future, deadline) for sink, future in begun])
        for sink in self._sinks.values():
            sink.warn_if_idle()
        return closed

    def missing(self) -> dict[str, dict[str, Any]]:
        """Return `Sink.missing` by name of the writer, of those that have lost rows."""
        self.intake.hand_out()
        lost = {name: sink.missing() for name, sink in self._sinks.items()}
        return {name: missing for name, missing in lost.items() if missing}

    def counters(self) -> dict[str, dict[str, int]]:
        """Return `Sink.counters` by name of the writer."""
        self.intake.hand_out()
        return {name: sink.counters for name, sink in self._sinks.items()}

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the states of the writers; flush before."""
        return {name: sink.state() for name, sink in self._sinks.items()}

    def absent(self) -> dict[str, Any]:
        """Return where writers go back to that are not there now.

        The files of a writer that is left out of an attempt keep what that attempt sets
        aside elsewhere, until a later one has the writer again. So each state has the
        last `writers` states of those left out, and the `step` of the last restore for
        writers without one; None if there was none.
        """
        return {"step": self._absent_step, "writers": self._absent}

    def rewind(
        self,
        step: int,
        states: Mapping[str, Any],
        timeout: float,
        absent: Mapping[str, Any] | None = None,
    ) -> None:
        """Take all writers back to `states`, or those without one to `step`.

        Args:
          step: Step of the states.
          states: States of the writers that were there, by name.
          timeout: Maximum seconds to wait.
          absent: Result of `absent()` when the states were taken. None takes writers
            without a state back to `step`.

        A writer whose files do not fit its state, because they were changed since, goes
        back to the step instead; one that cannot do that is left unchanged. Each is a
        warning and no error, so that the model can be restored.

        Raises:
          RuntimeError: A writer did not answer within `timeout` seconds.
          ValueError: A state does not belong to its writer.
        """
        deadline = time.monotonic() + timeout
        with self.intake.lock:
            self.intake.hand_out()
            self._unfetched.clear()  # what no writer takes is given up
        absent = absent or {"step": None, "writers": {}}
        absent_step = step if absent["step"] is None else absent["step"]
        steps = {name: step if name in states else absent_step for name in self._sinks}
        states = {**absent["writers"], **states}
        self._absent_step = absent_step
        self._absent = {n: s for n, s in states.items() if n not in self._sinks}
        begun = []
        for name, sink in self._sinks.items():
            try:
                state = {"step": steps[name]} | states.get(name, {})
                begun.append((name, sink, sink.begin_rewind(state)))
            except (AttributeError, TypeError, ValueError) as error:
                raise ValueError(
                    f"load_state(): writer {sink.writer.name} got a state whose "
                    f"'cadence' is damaged ({error}). Restore the state that was saved."
                ) from error
        for place, sink, future in begun:
            name, step = sink.writer.name, steps[place]
            try:
                sink.finish_rewind(future, step, deadline)
            except (KeyError, TypeError) as error:
                raise ValueError(
                    f"load_state(): writer {name} got a state of another kind of "
                    f"writer ({error_text(error)}). Restore the state that it saved."
                ) from error
            except (OSError, ValueError) as error:
                _LOG.warning(
                    "Writer %s cannot go back to where it was (%s). Its rows after "
                    "step %d are set aside instead.",
                    *(name, error, step),
                )
                try:
                    again = sink.begin_rewind({"step": step})
                    sink.finish_rewind(again, step, deadline)
                except (OSError, ValueError) as second:
                    _LOG.warning(
                        "Writer %s cannot go back to step %d (%s). It continues after "
                        "what it has, and no flush is acknowledged.",
                        *(name, step, second),
                    )
                    sink.note_not_rewound()
        self._replay.mark()


def _fetch(rows: Sequence[Row]) -> None:
    for row in rows:
        row.fetch()


def _by_name(sinks: Sequence[Sink]) -> dict[str, Sink]:
    """Return sinks by the names of their writers; a second `console` is `console-2`."""
    named: dict[str, Sink] = {}
    for sink in sinks:
        name, number = sink.writer.name, 2
        while name in named:
            name, number = f"{sink.writer.name}-{number}", number + 1
        named[name] = sink
    return named
