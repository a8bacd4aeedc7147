"""Event ledger of a run: timestamps and durations of what happened."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from jaxmetrics.record._append_file import AppendFile
from jaxmetrics.record._json import dumps
from jaxmetrics.record._redact import redact

_LOG = logging.getLogger("jaxmetrics")
_OWN_FIELDS = {"time", "attempt", "event", "seconds"}


class Ledger:
    """Appends events to `events.jsonl`; `TrainingLogger.ledger` is that of the run.

    A file system error never stops the training: it is logged once.

    Args:
      path: The file; None keeps no ledger, as on all processes except the first.
      attempt: Number of this attempt of the run, from 1. Default 1.
      clock: Returns seconds since the epoch. Default `time.time`.

    Raises:
      WriterLockedError: Another process has the ledger open.
    """

    def __init__(
        self,
        path: Path | None,
        attempt: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the file."""
        self.attempt = attempt
        self._clock = clock
        self._file = None if path is None else AppendFile(path)
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._warned = False

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
        line = {"time": iso_time(self._clock()), "attempt": self.attempt, "event": name}
        if seconds is not None:
            line["seconds"] = float(seconds)
        text = dumps({**line, **redact(fields)})
        self._attempt_io(lambda file: file.write_line(text))

    def flush(self) -> bool:
        """Sync the events to disk; return whether that succeeded."""
        return self._attempt_io(AppendFile.flush)

    def close(self) -> None:
        """Close the file; later events are ignored."""
        self._attempt_io(AppendFile.close)
        self._file = None

    def _attempt_io(self, action: Callable[[AppendFile], object]) -> bool:
        # A forked child shares the file, whose one writer is its parent.
        if self._file is None or self._pid != os.getpid():
            return True
        try:
            with self._lock:
                action(self._file)
        except OSError as error:
            if not self._warned:
                self._warned = True
                _LOG.warning("The ledger %s failed (%s).", self._file.path, error)
            return False
        return True


def iso_time(seconds: float) -> str:
    """Return seconds since the epoch as an ISO 8601 time in UTC.

    >>> iso_time(0.0)
    '1970-01-01T00:00:00.000+00:00'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
