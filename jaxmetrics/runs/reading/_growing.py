"""Run in memory that continues where it stopped reading, while the run is written."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxmetrics.record import (
    EPOCHS_JSON,
    EVENTS_JSONL,
    METRICS_JSONL,
    RUN_JSON,
    Block,
    RunJsonError,
    read_run_json,
    scan_lines,
)
from jaxmetrics.runs.reading._follow import Follower
from jaxmetrics.runs.reading._load import RunFiles, telemetry_file
from jaxmetrics.runs.reading._media import MediaEntry, media_entries
from jaxmetrics.runs.reading._run import Run
from jaxmetrics.runs.reading._table import TableBuilder

_MAX_BAD = 1000  # damaged lines that are named
_MAX_EVENTS = 200_000  # the first ones
_EVENT_BYTES = 600  # of an event in memory, about
_BLOCKS = 64  # after so many the size in memory is looked at
_NOT_MEDIA = frozenset({"header", "hparams"})

FileState = tuple[int, int, int]
"""Inode, size and time of change in nanoseconds of a file; zeros without one."""


def file_state(path: str | os.PathLike[str]) -> FileState:
    """Return the state of a file, which is another one after each change."""
    try:
        stat = os.stat(path)
    except OSError:
        return 0, 0, 0
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def version_of(states: Iterable[FileState]) -> str:
    """Return a text for the states of files."""
    return "-".join(f"{number:x}" for state in states for number in state)


class MediaIndex(NamedTuple):
    """Place of the media of one key and step in the record.

    Attributes:
      kind: Kind of the media.
      key: Full key.
      step: Number of completed optimizer updates.
      split: Split that they belong to.
      size: Number of files, or of rows of a table; 1 for others.
      start: Position in bytes of lines that hold the media.
      end: Position after these lines.
    """

    kind: str
    key: str
    step: int
    split: str
    size: int
    start: int
    end: int


class GrowingRun:
    """A run directory in memory, of which only new lines are read.

    If the record was cut back by a restore or replaced, it is read anew, and
    `generation` is increased. Damaged lines are skipped and named. Of a run that has
    only the lines of `TrainingTelemetry`, these are the record. The file of an
    `EpochTracker`, which is replaced at each epoch, is read anew.

    Columns of `run` are joined when they are first read, so they are read with `lock`
    held.

    Args:
      path: Run directory.
      max_bytes: Size of the values in memory at which reading stops.

    Attributes:
      lock: Lock of the columns.
      generation: Number of times that the record was read anew.
      is_full: True if reading stopped at `max_bytes`.
      media: Place of all media by step, kind and key.
      bad: Damaged lines as (file, line number, reason), the first ones.
    """

    def __init__(self, path: Path, max_bytes: float = math.inf) -> None:
        """Prepare; `update` reads."""
        self.path = path
        self.lock = threading.RLock()
        self.generation = 0
        self._max_bytes = max_bytes
        self._updating = threading.Lock()
        self._whole: Run | None = None  # of files that are not read line by line
        self._state: tuple[FileState, ...] = ()
        self._is_whole = False
        self._begin()

    @property
    def version(self) -> str:
        """Text that differs whenever the run was read further or anew."""
        text = version_of(self._state[:2])
        return text if self._is_whole else f"{text}-{self._metrics.position:x}"

    def is_current(self) -> bool:
        """Return whether all that is in the files was read, by their state alone."""
        return self._is_whole and self._state == self._files()[1]

    @property
    def progress(self) -> float:
        """Share of the record that was read, from 0 to 1."""
        if self._whole is not None or self.is_full:
            return 1.0
        size = file_state(self._metrics.path)[1]
        return min(self._metrics.position / size, 1.0) if size else 1.0

    @property
    def nbytes(self) -> int:
        """Size in memory, about."""
        with self.lock:
            if self._whole is not None:
                return file_state(self.path / EPOCHS_JSON)[1]
            return 2 * self._builder.nbytes + _EVENT_BYTES * len(self._events)

    @property
    def run(self) -> Run:
        """The run so far; its columns are read with `lock` held."""
        with self.lock:
            if self._whole is not None:
                return self._whole
            if self._run is None:
                files = _Read(self.path, self._events)
                files.bad = self.bad
                header = self._header or self._first_line
                self._run = Run(self.path, self._builder.snapshot(), header, files)
            return self._run

    @property
    def record(self) -> Path:
        """File of the record."""
        return self._metrics.path

    def of_rows(self, rows: Sequence[dict[str, object]]) -> Run:
        """Return the run with some rows of its record only."""
        builder = TableBuilder()
        builder.add(rows)
        files = _Read(self.path, self._events)
        return Run(self.path, builder.table(), self._header or self._first_line, files)

    def update(self, seconds: float = math.inf) -> bool:
        """Read what was added, and return whether all of it was read.

        Another thread that is reading is waited for.

        Args:
          seconds: Time after which reading stops, to be continued by another call.

        Raises:
          FileNotFoundError: The run is not there any more.
          OSError: A file cannot be read.
        """
        deadline = time.monotonic() + seconds
        waiting = -1 if math.isinf(seconds) else seconds
        if not self._updating.acquire(timeout=waiting):
            return False
        try:
            return self._update(deadline)
        finally:
            self._updating.release()

    def entry(self, step: int, kind: str, key: str) -> MediaEntry | None:
        """Return the media of a key and a step; None if there are none."""
        index = self.media.get((step, kind, key))
        if index is None:
            return None
        latest: MediaEntry | None = None
        path = self._metrics.path
        for line in scan_lines(path, containing=b'"kind"', end=index.start):
            if line.end > index.end:
                break
            row = line.row
            if row is None or (row.get("step"), row.get("kind")) != (step, kind):
                continue
            with contextlib.suppress(TypeError, ValueError):
                for entry in media_entries(row, self.path):
                    latest = entry if entry.key == key else latest
        return latest

    def _files(self) -> tuple[str, tuple[FileState, ...]]:
        """Return the name of the record, and the states of all files that are read."""
        others = tuple(file_state(self.path / n) for n in (EVENTS_JSONL, RUN_JSON))
        record = file_state(self.path / METRICS_JSONL)
        if record[0] or any(state[0] for state in others):
            return METRICS_JSONL, (record, *others)
        if (epochs := file_state(self.path / EPOCHS_JSON))[0]:
            return EPOCHS_JSON, (epochs,)
        name = telemetry_file(self.path) or METRICS_JSONL
        return name, (file_state(self.path / name), *others)

    def _update(self, deadline: float) -> bool:
        name, states = self._files()
        if self._is_whole and states == self._state:
            return True
        self._is_whole = False
        if name == EPOCHS_JSON or not any(state[0] for state in states):
            return self._update_epochs(states)
        if self._whole is not None or self.path / name != self._metrics.path:
            with self.lock:
                self.generation += bool(self._state)
                self._whole = None
                self._begin(name)
        if self._metrics.restarted() or self._ledger.restarted():
            with self.lock:
                self.generation += 1
                self._begin(name)
        if states[2] != self._header_state:
            self._read_header(states[2])
        self._state = states
        self._is_whole = self._read_events(deadline) and self._read_metrics(deadline)
        return self._is_whole

    def _begin(self, record: str = METRICS_JSONL) -> None:
        self._metrics = Follower(self.path / record)
        self._ledger = Follower(self.path / EVENTS_JSONL)
        self._builder = TableBuilder()
        self._events: list[dict[str, object]] = []
        self._header: dict[str, Any] = {}
        self._header_state: object = None
        self._first_line: dict[str, Any] = {}
        self._run: Run | None = None
        self.is_full = False
        self.media: dict[tuple[int, str, str], MediaIndex] = {}
        self.bad: list[tuple[str, int, str]] = []

    def _read_events(self, deadline: float) -> bool:
        if len(self._events) >= _MAX_EVENTS:
            return True
        with contextlib.closing(self._ledger.read()) as blocks:
            for block in blocks:
                if isinstance(block, Block):
                    with self.lock:
                        self._events += block.rows
                if time.monotonic() > deadline:
                    return False
        return True

    def _read_metrics(self, deadline: float) -> bool:
        start, name = self._metrics.position, self._metrics.path.name
        if self.is_full:
            return True
        with contextlib.closing(self._metrics.read()) as blocks:
            for number, block in enumerate(blocks):
                if isinstance(block, Block):
                    self._add(block, start)
                else:
                    self._note_damage(name, block.number, str(block.reason))
                start = block.end
                if number % _BLOCKS == 0:
                    self.is_full = self._builder.nbytes > self._max_bytes
                if self.is_full:
                    return True
                if time.monotonic() > deadline:
                    return False
        return True

    def _add(self, block: Block, start: int) -> None:
        with self.lock:
            self._run = None
            for index, problem in self._builder.add(block.rows):
                self._note_damage(
                    self._metrics.path.name, block.number + index, problem
                )
            for row in block.rows:
                if "kind" in row:
                    self._add_media(row, start, block.end)

    def _add_media(self, row: Mapping[str, Any], start: int, end: int) -> None:
        kind, step, split = row["kind"], row.get("step"), row.get("split", "train")
        if kind == "header":
            self._first_line = self._first_line or dict(row)
        is_known = isinstance(kind, str) and isinstance(split, str)
        if not is_known or type(step) is not int or kind in _NOT_MEDIA:
            return
        for key, content in row.items():
            if key in ("kind", "step", "split", "time"):
                continue
            size = 1
            if isinstance(content, dict):
                several = content.get("files", content.get("rows"))
                size = len(several) if isinstance(several, list) else 1
            place = MediaIndex(kind, key, step, split, size, start, end)
            self.media[step, kind, key] = place

    def _read_header(self, state: FileState) -> None:
        header: dict[str, Any] = {}
        try:
            header = read_run_json(self.path, follow_links=True) or {}
        except RunJsonError as error:
            self._note_damage(RUN_JSON, error.line, error.reason)
        with self.lock:
            self._header, self._header_state, self._run = header, state, None

    def _note_damage(self, name: str, line: int, reason: str) -> None:
        if len(self.bad) < _MAX_BAD:
            self.bad.append((name, line, reason))

    def _update_epochs(self, states: tuple[FileState, ...]) -> bool:
        """Read the file of the epochs, which is not read line by line; fail without."""
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            whole = Run.load(self.path, "skip")
        with self.lock:
            self.generation += self._whole is not None
            self._whole, self.bad = whole, whole.bad[:_MAX_BAD]
            self._state, self._is_whole = states, True
        return True


class _Read(RunFiles):
    """The files of a run whose events were read already."""

    def __init__(self, folder: Path, events: list[dict[str, object]]) -> None:
        super().__init__(folder, skip=True)
        self._events = events

    def events(self) -> list[dict[str, object]]:
        """Return the rows of the events file."""
        return self._events
