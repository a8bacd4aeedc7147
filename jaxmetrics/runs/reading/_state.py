"""State of a run: whether it is written now, was closed, or crashed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from jaxmetrics.record import (
    EVENTS_JSONL,
    METRICS_JSONL,
    Ending,
    loads,
    lock_scope,
    locked_inodes,
    read_end,
)

State = Literal["running", "closed", "crashed", "diverged"]

_LIVE_SECONDS = 300.0  # since the last change, of a run whose lock is not seen
_EVENT_BYTES = 2**16
_LOCKED_FILES = (METRICS_JSONL, EVENTS_JSONL)  # whose locks their writer holds


class StateReader:
    """Reader of the states of runs at one time.

    Args:
      now: Seconds since the epoch.
    """

    def __init__(self, now: float) -> None:
        """Read which files are locked on this machine."""
        self._now = now
        self._locked = locked_inodes()
        self._scope = lock_scope()

    def state(
        self, folder: Path, is_closed: bool, updated: float | None, scope: object
    ) -> State:
        """Return the state of a run, as if it has not diverged.

        Args:
          folder: Folder of the run.
          is_closed: The summary or the last event says that the run was closed.
          updated: Time of the last change, in seconds since the epoch.
          scope: Result of `lock_scope` in the writing process; None without a lock.
        """
        if self._is_locked(folder):
            return "running"
        if is_closed:
            return "closed"
        if updated is None or self._now - updated >= _LIVE_SECONDS:
            return "crashed"
        if scope is None or scope != self._scope:
            return "running"
        # It may have been opened or closed since the locks or its summary were read.
        self._locked = locked_inodes()
        if self._is_locked(folder):
            return "running"
        return "closed" if last_event(folder).get("event") == "close" else "crashed"

    def _is_locked(self, folder: Path) -> bool:
        for name in _LOCKED_FILES:
            with contextlib.suppress(OSError, ValueError):
                if os.stat(os.path.join(folder, name)).st_ino in self._locked:
                    return True
        return False


def ended(state: State, ending: Ending | None) -> tuple[State, str | None]:
    """Return the state of a run with its ending, and the error that ended it.

    Args:
      state: From `StateReader.state`.
      ending: From the events of the run.
    """
    if state == "running" or ending is None:
        return state, None
    return ending.state if state == "closed" else state, ending.error


def scope_of(run: Mapping[str, Any]) -> object:
    """Return what `lock_scope` was to the last attempt of a `run.json`."""
    attempts = run.get("attempts")
    last = attempts[-1] if isinstance(attempts, list) and attempts else None
    return last.get("lock_scope") if isinstance(last, dict) else None


def last_event(folder: Path) -> Mapping[str, Any]:
    """Return the last complete row of the events; empty without one."""
    with contextlib.suppress(OSError, ValueError):
        lines = read_end(folder / EVENTS_JSONL, _EVENT_BYTES).split(b"\n")
        row = loads(lines[-2]) if len(lines) > 1 else None
        return row if isinstance(row, dict) else {}
    return {}
