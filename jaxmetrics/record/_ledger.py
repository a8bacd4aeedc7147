"""Event ledger of a run: timestamps and durations of what happened."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jaxmetrics.record._elapsed import Elapsed, duration_clock
from jaxmetrics.record._event_limit import EventLimit
from jaxmetrics.record._json import dumps
from jaxmetrics.record._patient_file import PatientFile
from jaxmetrics.record._redact import redact

_OWN_FIELDS = {"time", "elapsed", "attempt", "event", "seconds", "repeated"}


class Ledger:
    """Appends events to `events.jsonl`; `TrainingLogger.ledger` is that of the run.

    Each event has its time of day, `time`, and `elapsed`, the seconds since the ledger
    was opened: the time of day may be set while the run lasts. Equal events, and events
    of a kind that come more often than 100 at once or one in 36 seconds, are merged
    into one line with `repeated`; those of the last 36 seconds are written by `flush`.

    A file system error never stops the training: it is logged once, and the events wait
    in memory for the next call. Beyond 1000 of them events are lost, and `flush`
    returns False from then on.

    Args:
      path: The file; None keeps no ledger, as on all processes except the first.
      attempt: Number of this attempt of the run, from 1. Default 1.
      clock: Returns seconds since the epoch. Default `time.time`.
      monotonic: Returns seconds of any origin, for `elapsed`. If only `clock` is
        passed, it serves both. Default `time.monotonic`.

    Raises:
      WriterLockedError: Another process has the ledger open.
    """

    def __init__(
        self,
        path: Path | None,
        attempt: int = 1,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file."""
        self.attempt = attempt
        self._clock = clock
        self._elapsed = Elapsed(duration_clock(clock, monotonic))
        self._limit = EventLimit()
        self._file = None if path is None else PatientFile(path, "The ledger")
        self._before_close: list[Callable[[], object]] = []
        self._pid = os.getpid()
        self._lock = threading.RLock()

    def event(self, name: str, seconds: float | None = None, **fields: object) -> None:
        """Append an event.

        Args:
          name: Kind of the event, such as `"compile"` or `"checkpoint"`.
          seconds: Duration, if the event has one.
          fields: Further plain values; secrets are redacted.

        Raises:
          ValueError: A field has a name that the ledger sets.
        """
        if reserved := _OWN_FIELDS & fields.keys():
            raise ValueError(
                f"ledger.event({name!r}) got {sorted(reserved)}, which the ledger "
                f"sets; expected other names. Rename these fields."
            )
        if (file := self._own_file()) is None:
            return
        plain = redact(fields)
        length = None if seconds is None else float(seconds)
        with self._lock:
            time, now = iso_time(self._clock()), self._elapsed()
            events = self._limit.add(name, length, plain, time, now)
            file.write_lines(*self._lines(events, time, now))

    def before_close(self, call: Callable[[], object]) -> None:
        """Register a callback that `end` calls before it appends the event `"close"`.

        Args:
          call: Callback without arguments. It may append events.
        """
        self._before_close.append(call)

    def end(self, **fields: Any) -> None:
        """Call the callbacks of `before_close`, and append the event `"close"`.

        Args:
          fields: Fields of the event.
        """
        while self._before_close:
            self._before_close.pop(0)()
        self.event("close", **fields)

    def flush(self) -> bool:
        """Write merged events, and sync all to disk.

        Returns:
          Whether that succeeded, and no event was lost before.
        """
        if (file := self._own_file()) is None:
            return True
        self._write_merged(file)
        return file.flush()

    def renew(self) -> bool:
        """Write the events anew after a failure, as the run goes back to a checkpoint.

        Returns:
          Whether that succeeded; later flushes then answer for later events.
        """
        file = self._own_file()
        return file is None or file.renew()

    def close(self) -> None:
        """Write merged events and close the file; later events are ignored."""
        if (file := self._own_file()) is not None:
            self._write_merged(file)
            file.close()
        self._file = None

    def _own_file(self) -> PatientFile | None:
        # A forked child shares the file, whose one writer is its parent.
        return self._file if self._pid == os.getpid() else None

    def _write_merged(self, file: PatientFile) -> None:
        with self._lock:
            if events := self._limit.due(math.inf):
                time, now = iso_time(self._clock()), self._elapsed()
                file.write_lines(*self._lines(events, time, now))

    def _lines(
        self, events: list[dict[str, Any]], time: str, elapsed: float
    ) -> list[str]:
        own = {"time": time, "elapsed": elapsed, "attempt": self.attempt}
        return [dumps(own | event) for event in events]


def iso_time(seconds: float) -> str:
    """Return seconds since the epoch as an ISO 8601 time in UTC.

    >>> iso_time(0.0)
    '1970-01-01T00:00:00.000+00:00'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
