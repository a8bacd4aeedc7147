"""Runs in memory: continued while they grow, the least used ones forgotten."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jaxmetrics.runs.reading import (
    GrowingRun,
    Run,
    Sample,
    axis_positions,
    file_state,
    rows_of_other_splits,
    sample_rows,
)
from jaxmetrics.runs.view._root import Root

MAX_BYTES = 2**31
_FIRST_SECONDS = 1.0  # that a request reads; the rest is read in the background
_SLICE_SECONDS = 0.2
_SAMPLED_BYTES = 2**26  # of a record not read yet, from which rows are sampled
_PLACES = 1000  # of pieces that are sampled


@dataclass(frozen=True)
class Shown:
    """A run, or some rows of it, and the axes on which it is drawn.

    Attributes:
      run: The run.
      axes: Positions of its records by axis.
      is_sampled: True if the run has only some of the rows.
      rows: These rows.
      offsets: Position of each of these rows in the file, in bytes.
    """

    run: Run
    axes: dict[str, np.ndarray]
    is_sampled: bool = False
    rows: Sequence[dict[str, Any]] = ()
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def by_row(self, axis: str) -> np.ndarray:
        """Return the position of each row, made ascending; none if rows have none."""
        values = [row.get(axis) for row in self.rows]
        if not values or axis not in ("step", "time", "tokens"):
            return np.zeros(0)
        numbers = [v if isinstance(v, int | float) else -np.inf for v in values]
        return np.maximum.accumulate(np.array(numbers, np.float64))


class Loaded:
    """A run in memory, with what was computed from its columns.

    Args:
      id: Id of the run.
      path: Run directory.
      max_bytes: Size of its values at which reading stops.

    Attributes:
      growing: The run.
      is_loading: True while a thread reads it.
      rested: Set while no thread reads it.
      searched: Set while no thread looks for the rows of other splits than training.
      error: Error at which the last thread stopped.
    """

    def __init__(self, id: str, path: Path, max_bytes: float) -> None:
        """Prepare; the cache reads."""
        self.id = id
        self.growing = GrowingRun(path, max_bytes)
        self._name = secrets.token_hex(4)
        self.folder = file_state(path)[0]
        self.is_loading = False
        self.rested = threading.Event()
        self.searched = threading.Event()
        self.began = 0.0  # when a thread began to read, on the monotonic clock
        self.error: Exception | None = None
        self._shown: Shown | None = None
        self._overview: Shown | None = None
        self._part: tuple[tuple[int, int], Shown] | None = None
        self._others: tuple[int, Sample] | None = None  # of this generation
        self._samples: dict[tuple[int, int], Sample] = {}  # the last two
        self._sampling = threading.Lock()
        self.kept: dict[str, Any] = {}  # by the caller, until the run is read anew
        self._generation = 0

    @property
    def lock(self) -> threading.RLock:
        """Lock of the columns."""
        return self.growing.lock

    @property
    def source(self) -> str:
        """Name of what was read, which only grows while it has this name."""
        return f"{self._name}.{self.growing.generation}"

    @property
    def is_long(self) -> bool:
        """True if so much was not read yet that rows are sampled."""
        return self.rest >= _SAMPLED_BYTES

    @property
    def rest(self) -> float:
        """Number of bytes of the record that were not read yet, about."""
        size = file_state(self.growing.record)[1]
        return size * (1 - self.growing.progress)

    def shown(
        self, axis: str = "step", start: float | None = None, end: float | None = None
    ) -> Shown:
        """Return the run as it is shown now; call it and read columns with `lock` held.

        Until a long record was read, these are pieces at even distances, of the range
        that is asked for, and the rows of other splits than training.

        Args:
          axis: Axis of the range.
          start: First position; None for all.
          end: Last position; None for all.
        """
        if self._generation != self.growing.generation:
            self._generation, self.kept = self.growing.generation, {}
            self._overview = self._part = None
            self._samples = {}
        if not self.is_long:
            self._overview = self._part = self._others = None
            self._samples = {}
            run = self.growing.run
            if self._shown is None or self._shown.run is not run:
                self._shown = Shown(run, axis_positions(run))
            return self._shown
        size = file_state(self.growing.record)[1]
        if self._overview is None:
            self._overview = self._sampled(0, size)
        overview = self._overview
        at = overview.by_row(axis)
        if len(at) and (start is not None or end is not None):
            offsets, last = overview.offsets, len(at) - 1
            before = np.flatnonzero(at < (-np.inf if start is None else start))
            after = np.flatnonzero(at > (np.inf if end is None else end))
            low = int(offsets[before[-1]]) if len(before) else 0
            high = int(offsets[after[0]]) if len(after) else int(offsets[last])
            if 0 < high - low < size / 2:
                if self._part is None or self._part[0] != (low, high):
                    self._part = (low, high), self._sampled(low, high)
                return self._part[1]
        return overview

    def search(self) -> None:
        """Find the rows of other splits than training in a long record, once."""
        generation = self.growing.generation
        if not self.is_long or (self._others and self._others[0] == generation):
            return
        others = rows_of_other_splits(self.growing.record, self._let_samples_go_first)
        with self.lock:
            self._others = generation, others
            self._overview = self._part = None

    def _let_samples_go_first(self) -> None:
        with self._sampling:
            pass

    def _sampled(self, low: int, high: int) -> Shown:
        sample = self._samples.get((low, high))
        if sample is None:
            with self._sampling:
                sample = sample_rows(self.growing.record, low, high, _PLACES)
            latest = [*self._samples.items()][-1:]
            self._samples = dict([*latest, ((low, high), sample)])
        if self._others is not None and self._others[0] == self._generation:
            sample = sample.joined(self._others[1].within(low, high))
        records = [row for row in sample.rows if "kind" not in row]
        offsets = [at for at, r in zip(sample.offsets, sample.rows) if "kind" not in r]
        run = self.growing.of_rows(records)
        return Shown(run, axis_positions(run), True, records, np.array(offsets))


class RunCache:
    """The runs that were asked for last, up to a size in bytes.

    Args:
      root: Folder of the runs.
      max_bytes: Size of all values in memory, about. The run that was asked for last
        stays, up to this size.
    """

    def __init__(self, root: Root, max_bytes: float = MAX_BYTES) -> None:
        """Begin empty."""
        self._root = root
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, Loaded] = OrderedDict()

    def get(self, project: str, name: str) -> Loaded | None:
        """Return a run with what was added to it; None if there is none.

        A long record is read further in the background.

        Raises:
          OutsideRootError: The run or one of its files is outside of the root.
          OSError: A file cannot be read.
        """
        id, path = f"{project}/{name}", self._root.find(project, name)
        with self._lock:
            loaded = self._runs.get(id)
            if path is None or (loaded and loaded.folder != file_state(path)[0]):
                self._runs.pop(id, None)
                loaded = None
            if path is None:
                return None
            if loaded is None:
                loaded = self._runs[id] = Loaded(id, path, self._max_bytes / 2)
            self._runs.move_to_end(id)
        self.update(loaded)
        return loaded

    def update(self, loaded: Loaded, seconds: float = _FIRST_SECONDS) -> None:
        """Read what was added to a run, and wait a while for it or for a first look."""
        if loaded.growing.is_current():
            return
        with self._lock:
            if not loaded.is_loading:
                loaded.is_loading = True
                loaded.rested.clear()
                loaded.searched.clear()
                loaded.began = time.monotonic()
                thread = threading.Thread(
                    target=self._read_on, args=[loaded], daemon=True
                )
                thread.start()
        if not loaded.is_long:
            loaded.rested.wait(seconds)
        else:  # requests of one page wait together
            loaded.searched.wait(loaded.began + seconds - time.monotonic())
        if loaded.error is not None:
            raise loaded.error

    def __iter__(self) -> Iterator[Loaded]:
        """Iterate over the runs in memory."""
        with self._lock:
            return iter(list(self._runs.values()))

    def peek(self, id: str) -> Loaded | None:
        """Return a run if it is in memory, without reading."""
        with self._lock:
            return self._runs.get(id)

    def _read_on(self, loaded: Loaded) -> None:
        try:
            loaded.error = None
            loaded.search()
            loaded.searched.set()
            while self.peek(loaded.id) is loaded:
                if loaded.growing.update(_SLICE_SECONDS):
                    break
                self._forget()
        except (OSError, ValueError) as error:
            loaded.error = error
        finally:
            loaded.is_loading = False
            loaded.searched.set()
            loaded.rested.set()
            self._forget()

    def _forget(self) -> None:
        """Forget the runs that were not asked for longest, down to the size."""
        with self._lock:
            total = sum(loaded.growing.nbytes for loaded in self._runs.values())
            while total > self._max_bytes and len(self._runs) > 1:
                _, oldest = self._runs.popitem(last=False)
                total -= oldest.growing.nbytes
