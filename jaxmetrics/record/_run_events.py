"""Count the alarms of a run, and tell how it ended, while its events are added."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxmetrics.record._event_limit import alarm_count
from jaxmetrics.record._io import open_read
from jaxmetrics.record._json import loads
from jaxmetrics.record._run_files import EVENTS_JSONL, METRICS_JSONL

_CHUNK_BYTES = 2**20
_NAMES = {  # of events that count
    *(b'"alarm"', b'"start"', b'"restore"', b'"close"', b'"failure"')
}


class Ending(NamedTuple):
    """End of a run, by the events of its attempts.

    Attributes:
      state: `"closed"` or `"crashed"`.
      error: Type and message of the exception that ended the run; None without one, as
        of a run that was killed.
    """

    state: Literal["closed", "crashed"]
    error: str | None = None


class RunEvents:
    """The events of a run up to a position.

    An attempt that an exception or a signal ended before it had written or restored
    anything, as one that the guard of `log_step` refuses, leaves the ending of the
    attempts before it: the record is still theirs.

    The exception of another process, which the event `failure` has, comes before that
    of the first process: the first process fails, or is killed, as a consequence.

    Attributes:
      alarms: Number of alarms.
    """

    def __init__(self, alarms: int = 0, position: int = 0) -> None:
        """Begin with the alarms before a position."""
        self._begin(alarms, position)

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any]) -> RunEvents:
        """Return the events of a summary; from the start if it has none."""
        count, position = summary.get("alarms"), summary.get("events_position")
        if not (isinstance(count, int) and isinstance(position, int) and position >= 0):
            return cls()
        events = cls(count, position)
        saved = summary.get("ending")
        if not isinstance(saved, dict):  # of an earlier version
            saved = {"state": "closed"} if summary.get("closed") else {"open": True}
        state, error = saved.get("state"), saved.get("error")
        if state in ("closed", "crashed"):
            events._ending = Ending(state, error if isinstance(error, str) else None)
        events._is_open = bool(saved.get("open"))
        events._is_restored = bool(saved.get("restored"))
        failure = saved.get("failure")
        events._failure = failure if isinstance(failure, str) else None
        return events

    @property
    def ending(self) -> Ending | None:
        """End of the run; None while an attempt has neither failed nor closed."""
        if not self._is_open:
            return self._ending
        return None if self._failure is None else Ending("crashed", self._failure)

    def read(self, run_dir: Path) -> None:
        """Take in the events that were added since.

        Raises:
          OSError: The file cannot be read, or is not a regular file.
        """
        path = os.path.join(run_dir, EVENTS_JSONL)
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            return
        if size < self._position:  # another file
            self._begin(0, 0)
        if size == self._position:
            return
        with open(open_read(path, follow_links=True), "rb") as file:
            file.seek(self._position)
            rest = b""
            while chunk := file.read(_CHUNK_BYTES):
                end = chunk.rfind(b"\n") + 1
                if not end:
                    rest = (rest + chunk)[-_CHUNK_BYTES:]
                    continue
                self._add_lines(rest + chunk[:end])
                rest = chunk[end:]
            self._position = file.tell() - len(rest)

    def add(self, row: Mapping[str, object]) -> None:
        """Add the next event."""
        match row.get("event"):
            case "alarm":
                self.alarms += alarm_count(row)
            case "start":
                if self._is_open:  # the attempt before was killed
                    self._ending = Ending("crashed", self._failure)
                self._is_open, self._failure = True, None
                self._is_restored = row.get("restored_step") is not None
            case "restore":
                self._is_restored = True
            case "failure":
                self._failure = f"{row.get('error')} (process {row.get('process')})"
            case "close":
                error = self._failure or row.get("error")
                is_early = error is not None or "stopped" in row
                has_record = self._is_restored or _has_rows(row)
                if has_record or not is_early or self._ending is None:
                    self._ending = Ending("closed")
                    if isinstance(error, str):
                        self._ending = Ending("crashed", error)
                self._is_open = False

    def state(self) -> dict[str, Any]:
        """Return the fields of a summary."""
        ending = {} if self._ending is None else self._ending._asdict()
        flags: dict[str, Any] = {"open": self._is_open, "restored": self._is_restored}
        if self._failure is not None:
            flags |= {"failure": self._failure}
        return {
            "alarms": self.alarms,
            "events_position": self._position,
            "ending": ending | flags,
        }

    def _begin(self, alarms: int, position: int) -> None:
        self.alarms: int = alarms
        self._position = position
        self._ending: Ending | None = None
        self._is_open = False  # an attempt has started and not closed
        self._is_restored = False
        self._failure: str | None = None  # of another process of the attempt

    def _add_lines(self, lines: bytes) -> None:
        if not any(name in lines for name in _NAMES):
            return
        for line in lines.split(b"\n"):
            if any(name in line for name in _NAMES):
                with contextlib.suppress(ValueError):
                    row = loads(line)
                    if isinstance(row, dict):
                        self.add(row)


def _has_rows(close: Mapping[str, object]) -> bool:
    """Return whether an attempt has written rows, by the event at its end."""
    writers = close.get("writers")
    counts = writers.get(METRICS_JSONL) if isinstance(writers, dict) else None
    return not isinstance(counts, dict) or counts.get("written") != 0
