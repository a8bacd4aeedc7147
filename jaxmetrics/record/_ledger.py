"""The ledger of a run: what happened when, and how long it took."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from jaxmetrics.record._files import AppendFile
from jaxmetrics.record._json import dumps
from jaxmetrics.record._redact import redact

__all__ = ["Ledger"]

_LOG = logging.getLogger("jaxmetrics")
_INTERVAL = 10.0
_FIELDS = {"time", "attempt", "event", "seconds"}


class Ledger:
    """Appends events to `events.jsonl`; `TrainingLogger.ledger` is the run's own.

    Losing an event never stops a training: an error of the file system is logged once.

    Args:
      path: The file; None keeps no ledger, as on all processes but the first.
      attempt: Which attempt of the run this is, from 1.
      clock: Seconds since the epoch.

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
        self._noted = math.inf

    def event(self, name: str, seconds: float | None = None, **fields: object) -> None:
        """Append an event.

        Args:
          name: What happened: `"compile"`, `"checkpoint"`.
          seconds: How long it took.
          fields: What else is known, in plain values; secrets are hidden.
        """
        if clash := _FIELDS & fields.keys():
            raise ValueError(
                f"ledger.event({name!r}) got {sorted(clash)}, which the ledger sets. "
                f"Give these other names."
            )
        line = {"time": iso(self._clock()), "attempt": self.attempt, "event": name}
        if seconds is not None:
            line["seconds"] = float(seconds)
        text = dumps({**line, **redact(fields)})
        self._attempt_io(lambda file: file.write_line(text))

    def progress(self, step: int, at_once: bool = False) -> None:
        """Note that the training has reached a step.

        Args:
          step: Optimizer updates completed.
          at_once: Not only if ten seconds have passed since the last note.
        """
        now = self._clock()
        if at_once or not self._noted <= now < self._noted + _INTERVAL:
            self._noted = now
            self.event("step", step=step)

    def flush(self) -> bool:
        """Whether every event is on the disk."""
        return self._attempt_io(AppendFile.flush)

    def close(self) -> None:
        """Let the file go; later events go nowhere."""
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


def iso(seconds: float) -> str:
    """A time since the epoch in ISO form, UTC.

    >>> iso(0.0)
    '1970-01-01T00:00:00.000+00:00'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
