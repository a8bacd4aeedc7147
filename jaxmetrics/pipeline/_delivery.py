"""Deliver rows to a writer: count them, try again, remember what was lost."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxmetrics.pipeline._breaker import Breaker
from jaxmetrics.pipeline._cadence import Thinning
from jaxmetrics.pipeline._row import Row
from jaxmetrics.record import MissingRows, Record, error_text

if TYPE_CHECKING:
    from jaxmetrics.writers import Writer

_LOG = logging.getLogger("jaxmetrics")
_MAY_HEAL = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EROFS,
        errno.EAGAIN,
        errno.EINTR,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
    }
)
_OUTCOMES = ("written", "failed", "dropped", "skipped")


class Delivery:
    """Calls of one writer, on the thread of the writer.

    A writer's errors are counted, and the first one is logged. After three in a row a
    writer that drops rows pauses (see `Breaker`): rows are skipped until the pause is
    over or a flush succeeds. A writer that blocks keeps its rows instead: after an
    error from which a disk may recover, such as ENOSPC or EIO, the row is to be tried
    again, after 0.05 seconds at first, then after pauses that double up to 30 seconds.

    Args:
      writer: The open writer.
      clock: Monotonic seconds, for the pauses.

    Attributes:
      is_waiting: Whether a row is to be tried again.
      is_rewound: False if the writer could not go back to a checkpoint, so that it has
        rows that another attempt at these steps replaces.
    """

    def __init__(self, writer: Writer, clock: Callable[[], float]) -> None:
        self._writer = writer
        self._keeps = writer.when_full == "block"
        retry = {"failures": 1, "pause": 0.05, "max_pause": 30.0}
        self._breaker = Breaker(clock, **(retry if self._keeps else {}))
        self.is_waiting: bool = False
        self.is_rewound: bool = True
        self._lock = threading.RLock()
        self._counts: dict[str, int] = dict.fromkeys(_OUTCOMES, 0)
        self._missing = MissingRows()
        self._lost = False  # since the last flush
        self._replayed_from: Mapping[str, Any] = {}  # state of the thinning
        self._lost_before_rewind = False
        self._warned: set[str] = set()

    @property
    def counts(self) -> dict[str, int]:
        """Rows by what became of them, and the writer's own counters."""
        try:
            own = dict(self._writer.counters)
        except Exception as error:
            self._warn_once("has no counters", error)
            own = {}
        return {**self._counts, **own}

    def missing(self) -> dict[str, Any]:
        """Return how many rows the writer has lost, and their steps by split."""
        with self._lock:
            return self._missing.state()

    def is_ready(self) -> bool:
        """Return whether a row may be tried now."""
        return self._breaker.allows()

    def write(self, row: Row) -> bool:
        """Write a row; return False if it is to be tried again."""
        if not self._keeps and not self._breaker.allows():
            self._lose("skipped", [row])
            return True
        try:
            record = self._writer.select(row.record())
            written = record is not None and self._writer.write(record)
        except Exception as error:
            return self._failed(row, error)
        if record is not None and self._breaker.succeeded():
            self._warn("works again")
        self.is_waiting = False
        self._count("skipped" if written is False else "written")
        return True

    def drop(self, rows: Sequence[Row], reason: str | None = None) -> None:
        """Count rows that will not be written.

        Args:
          rows: The rows.
          reason: Rest of a sentence about the writer, to be logged once.
        """
        if rows:
            self._lose("dropped", rows)
            if reason:
                self._warn_once(reason)

    def idle(self) -> None:
        """Let the writer write what waits to be joined."""
        if self._breaker.allows():
            try:
                self._writer.idle()
            except Exception as error:
                self._count("failed", 0)
                self._lost = True
                self._warn_once("failed to write a row; failures are counted", error)

    def flush(self) -> bool:
        """Flush the writer; return whether all rows up to now are in it."""
        with self._lock:
            lost, self._lost = self._lost, False
            lost = lost or self.is_waiting or not self.is_rewound
            lost = lost or (self._keeps and self._missing.rows > 0)
        try:
            self._writer.missing = self.missing()
            self._writer.flush()
        except Exception as error:
            self._warn_once("could not flush", error)
            return False
        if not self._breaker.allows():
            self._breaker.retry()
        return not lost

    def rewind(
        self,
        state: Mapping[str, Any],
        cadence: Mapping[str, Any],
        missing: Mapping[str, Any],
    ) -> None:
        """Have the writer go back.

        Args:
          state: State of the writer with the step; if it is the step alone, later rows
            are removed.
          cadence: State of the thinning, from which on records are selected anew.
          missing: Rows that were lost before the state was taken.
        """
        self.is_waiting = False
        self._writer.load_state(state)
        self.is_rewound = True
        with self._lock:
            if missing or state.keys() - {"step"}:
                self._missing.load_state(missing)
            else:
                self._missing.cut_after(state["step"])
            self._lost_before_rewind = self._missing.rows > 0
            self._replayed_from = cadence

    def close(self, records: Callable[[], Iterator[Record]]) -> bool:
        """Flush and close the writer; return whether it has all rows."""
        flushed = self.flush()
        if not flushed:
            self._lose_pending()
        if self._missing.rows and not self._writer.is_display:
            flushed = self._complete(records)
        try:
            self._writer.close()
        except Exception as error:
            self._warn_once("could not be closed", error)
            return False
        finally:
            self._writer.in_use = False
        return flushed

    def warn_if_idle(self, offered: int) -> None:
        """Warn about a writer whose keys selected nothing of the rows that it got."""
        keys = self._writer.keys
        if keys is not None and 0 < offered == self._counts["skipped"]:
            self._warn(f"wrote none of {offered} rows: no key is in {keys}")

    def _failed(self, row: Row, error: Exception) -> bool:
        """Count a row that could not be written, or return False to try it again."""
        may_heal = isinstance(error, OSError) and error.errno in _MAY_HEAL
        if self._keeps and may_heal and row.kind is None:
            if self._breaker.failed():
                self._warn("cannot write; rows wait", error)
            self.is_waiting = True
            return False
        self._lose("failed", [row])
        self._warn_once("failed to write a row; failures are counted", error)
        if not self._keeps and self._breaker.failed():
            self._warn("is paused after repeated failures; rows are skipped", error)
        return True

    def _complete(self, records: Callable[[], Iterator[Record]]) -> bool:
        """Have the writer write anew what it lost; return whether that succeeded."""

        def selected() -> Iterator[Record]:
            every = self._writer.every
            thinning = Thinning[Record](every) if every > 1 else None
            if thinning is not None:
                thinning.load_state(self._replayed_from)
            for record in records():
                if thinning is None or thinning.takes(record):
                    yield record
            yield from thinning.left_out if thinning is not None else ()

        def chosen() -> Iterator[Record]:
            return filter(None, map(self._writer.select, selected()))

        try:
            if not self._lost_before_rewind and self._writer.complete(chosen):
                with self._lock:
                    self._missing.load_state({})
                    self._lost = False
                return self.flush()
        except Exception as error:
            self._warn_once("could not be completed", error)
        self._warn(f"lacks {self._missing}")
        return False

    def _lose(self, outcome: str, rows: Sequence[Row]) -> None:
        with self._lock:
            self._count(outcome, len(rows))
            self._lost = (
                self._lost or outcome == "failed" or not self._writer.is_display
            )
            for row in rows:
                self._missing.add(row.split, row.step, self._counts["written"])

    def _lose_pending(self) -> None:
        """Count the rows that the writer took, and could not write until the end."""
        if pending := self._writer.pending:
            with self._lock:
                for step, split in pending:
                    self._missing.add(split, step, self._counts["written"])
                self._count("written", -len(pending))
                self._count("failed", len(pending))

    def _count(self, outcome: str, rows: int = 1) -> None:
        with self._lock:
            self._counts[outcome] += rows

    def _warn_once(self, message: str, error: Exception | None = None) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._warn(message, error)

    def _warn(self, message: str, error: Exception | None = None) -> None:
        reason = f" ({error_text(error)})" if error else ""
        _LOG.warning("Writer %s %s%s.", self._writer.name, message, reason)
