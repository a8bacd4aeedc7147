"""Keep `summary.json`: how far a run has come, its values, and where its steps lie."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxmetrics.record._better import NO_DIRECTIONS, Better, recorded_directions
from jaxmetrics.record._index import RecordIndex, read_summary, write_summary
from jaxmetrics.record._json import dumps, loads
from jaxmetrics.record._reader import scan_lines
from jaxmetrics.record._run_events import RunEvents
from jaxmetrics.record._run_files import METRICS_JSONL
from jaxmetrics.record._run_json import edit_run_json, read_run_json
from jaxmetrics.record._run_values import RunValues

_SECONDS = 10.0
_MAX_SAVED_KEYS = 1000  # whose values are in the states of checkpoints
_MAX_BYTES = 2**24  # of a record that is read again while the run goes on
_END_BYTES = 2**15  # of a record whose summary lacks the levels of training losses


class RunSummary:
    """The summary of a run while its record is written.

    It holds the last and the best value of each key, the last training losses, the last
    step and the training seconds, the index of the record, the rows that are missing,
    the number of attempts and of alarms, and whether the run is running, closed or
    diverged. It can be derived from the record, so that an error of the disk is
    ignored: a summary that does not fit is not used.

    Args:
      run_dir: The run directory.
      monotonic: Seconds, for the time between two writes.

    Attributes:
      index: Steps of the record.
      values: Last and best values of the record.
    """

    def __init__(
        self, run_dir: Path, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._run_dir = run_dir
        self._monotonic = monotonic
        self._written = monotonic()
        run: Mapping[str, Any] = {}
        with contextlib.suppress(ValueError):  # a damaged run.json is for its reader
            run = read_run_json(run_dir) or {}
        self._attempts = len(run.get("attempts", ()))
        progress = read_progress(run_dir, better=recorded_directions(run))
        read_recent(run_dir, progress)
        self.index, self.values, summary, _ = progress
        self._missing: Mapping[str, Any] = {}
        self._has_new_directions = dict(self.values.better) != recorded_directions(run)
        self._events = RunEvents.from_summary(summary)

    def add(self, row: Mapping[str, object], end: int) -> None:
        """Add a row that was appended; at least every 10 seconds write the file."""
        self.index.add(row, end)
        self.values.add(row)
        if self._monotonic() - self._written >= _SECONDS:
            self.write(self._missing)

    def note_directions(self, better: Mapping[str, Better]) -> None:
        """Take directions of keys, and keep them in `run.json`.

        If the file cannot be written, `write` tries again.

        Args:
          better: Directions by key.
        """
        if self.values.take_directions(better):
            self._has_new_directions = True
            self._save_directions()
            self._read_unknown()

    def state(self) -> dict[str, Any]:
        """Return the values for `note_cut`, as strict JSON; none of very many keys."""
        if len(self.values) > _MAX_SAVED_KEYS:
            return {}
        state = loads(dumps(self.values.state()))
        return state if isinstance(state, dict) else {}

    def note_cut(self, position: int, values: Mapping[str, Any] | None = None) -> None:
        """Forget the rows after a position.

        Args:
          position: Position at which the file was cut.
          values: What `state` returned at that position, if it was called there.

        Raises:
          OSError: The record cannot be read.
        """
        if position >= self.index.position:
            return
        saved = RunValues.from_state(values) if values else None
        self.index.note_cut(position)
        if saved is not None:
            saved.take_directions(self.values.better)
            self.values = saved
            self.index.scan()
        else:
            self._scan_after_cut(self.values.make_unknown)

    def note_cut_after(self, step: int) -> None:
        """Forget the rows of later steps.

        Raises:
          OSError: The record cannot be read.
        """
        self.index.note_cut(step=step)
        self._scan_after_cut(lambda: self.values.cut_after(step))

    def write(
        self,
        missing: Mapping[str, Any],
        state: Literal["running", "closed"] = "running",
    ) -> None:
        """Write the file.

        A run whose last training loss is not finite is diverged, whether it is running
        or closed. `note_ending` tells of a run that was closed whether it crashed.

        Args:
          missing: Number and steps of the rows that the record lacks.
          state: `"running"` or `"closed"`.
        """
        self._missing, self._written = missing, self._monotonic()
        if state == "closed":
            self._read_unknown()
        self._save_directions()
        with contextlib.suppress(OSError, ValueError):
            self._events.read(self._run_dir)
            known = {
                "schema": 2,
                "state": "diverged" if is_diverged(self.values) else state,
                "closed": state == "closed",
                "attempts": self._attempts,
                **self._events.state(),
                "missing": missing,
            }
            own = self.values.state() | self.index.state()
            write_summary(self._run_dir, known | own)

    def _scan_after_cut(self, forget: Callable[[], None]) -> None:
        """Read the rows that the index lacks; if these are all, nothing is unknown."""
        if self.index.position == 0:
            self.values = RunValues(self.values.better)
        else:
            forget()
        self.index.scan(self.values.add)

    def _read_unknown(self) -> None:
        """Take the values that are unknown from the record, unless it is long.

        Else each reader of the summary would read the whole record for them: a
        direction may be declared after the first values of its key were logged, and a
        cut may have removed a best value.
        """
        if self.index.position <= _MAX_BYTES and self.values.has_unknown:
            better = self.values.better
            with contextlib.suppress(OSError, ValueError):
                again = read_progress(self._run_dir, whole=True, better=better)
                self.values = again.values

    def _save_directions(self) -> None:
        """Add the directions that `run.json` lacks."""
        if not self._has_new_directions:
            return

        def add(run: dict[str, Any]) -> None:
            run["better"] = {**recorded_directions(run), **self.values.better}

        with contextlib.suppress(OSError, ValueError):
            edit_run_json(self._run_dir, add)
            self._has_new_directions = False


def note_ending(run_dir: Path) -> None:
    """Bring a summary up to date with the events after it, once a run was closed.

    It is ignored if the summary cannot be read or written, since it is derived.
    """
    if not (summary := read_summary(run_dir)):
        return
    events = RunEvents.from_summary(summary)
    with contextlib.suppress(OSError, ValueError):
        events.read(run_dir)
        if events.ending is not None and summary.get("state") == "closed":
            summary["state"] = events.ending.state
        write_summary(run_dir, summary | events.state())


class Progress(NamedTuple):
    """Last step, time and values of the record of a run.

    Attributes:
      steps: Index of the steps of the record.
      values: Last and best values.
      summary: `summary.json`; empty if it does not fit the record.
      damaged: Number of damaged lines among those that were read.
    """

    steps: RecordIndex
    values: RunValues
    summary: Mapping[str, Any]
    damaged: int


def read_progress(
    run_dir: str | os.PathLike[str],
    max_bytes: float = math.inf,
    whole: bool = False,
    better: Mapping[str, Better] = NO_DIRECTIONS,
) -> Progress:
    """Read the summary of a run and the rows after it.

    Without a summary that fits, the whole record is read.

    Args:
      run_dir: The run directory.
      max_bytes: Maximum number of bytes of the record to read.
      whole: Read the whole record, for values that the summary does not know.
      better: Directions of the run by key, from `run.json`.

    Raises:
      ValueError: There are more bytes to read.
      OSError: The record cannot be read.
    """
    index, summary = RecordIndex.begin(Path(run_dir))
    values = RunValues.from_state(summary)
    if values is not None:
        values.take_directions(better)
    is_whole = values is None or whole
    if values is None or whole:
        index, values = index.empty(), RunValues(better)
        summary = summary if whole else {}
    if (rest := index.bytes_after()) > max_bytes:
        raise ValueError(
            f"{rest:,} bytes of its record are in no summary.json that fits, more than "
            f"the {max_bytes:,.0f} that are read; load it with Run.load"
        )
    damaged = 0

    def follow(row: Mapping[str, object]) -> None:
        nonlocal damaged
        damaged += not row
        values.add(row)

    index.scan(follow)
    if is_whole:
        lines = scan_lines(Path(run_dir) / METRICS_JSONL)
        lines = itertools.takewhile(lambda line: line.end <= index.position, lines)
        values.take_best(line.row for line in lines if line.row is not None)
    return Progress(index, values, summary, damaged)


def read_recent(run_dir: str | os.PathLike[str], progress: Progress) -> None:
    """Take the levels of training losses from the end of the record.

    A summary of an earlier version lacks them; others are not changed.

    Args:
      run_dir: The run directory.
      progress: What `read_progress` returned.

    Raises:
      OSError: The record cannot be read.
    """
    if progress.values.lacks_recent:
        # The part of a line that it may begin with is no row.
        start = max(progress.steps.position - _END_BYTES, 0)
        lines = scan_lines(Path(run_dir) / METRICS_JSONL, end=start)
        rows = (line.row for line in lines if line.row is not None)
        progress.values.take_recent(rows)


def is_diverged(values: RunValues) -> bool:
    """Return whether the last training loss is not finite."""
    loss = values.train_loss
    return loss is not None and not math.isfinite(loss)
