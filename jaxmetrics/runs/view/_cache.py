"""Runs in memory: continued while they grow, the least used ones forgotten."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxmetrics.runs.reading import GrowingRun, Run, axis_positions, file_state
from jaxmetrics.runs.view._root import Root

MAX_BYTES = 2**31
_FIRST_SECONDS = 1.0  # that a request reads; the rest is read in the background
_SLICE_SECONDS = 0.2


class Loaded:
    """A run in memory, with what was computed from its columns.

    Args:
      id: Id of the run.
      path: Run directory.
      max_bytes: Size of its values at which reading stops.

    Attributes:
      growing: The run.
      is_loading: True while a thread reads the rest of it.
    """

    def __init__(self, id: str, path: Path, max_bytes: float) -> None:
        """Prepare; the cache reads."""
        self.id = id
        self.growing = GrowingRun(path, max_bytes)
        self.folder = file_state(path)[0]
        self.is_loading = False
        self._of: Run | None = None
        self._axes: dict[str, np.ndarray] = {}
        self.kept: dict[str, Any] = {}  # by the caller, until the run is read anew
        self._generation = 0

    @property
    def lock(self) -> threading.RLock:
        """Lock of the columns."""
        return self.growing.lock

    def run(self) -> Run:
        """Return the run so far; call it and read columns with `lock` held."""
        if self._generation != self.growing.generation:
            self._generation, self.kept = self.growing.generation, {}
        return self.growing.run

    def axes(self, run: Run) -> dict[str, np.ndarray]:
        """Return the positions of its records by axis; call it with `lock` held."""
        if self._of is not run:
            self._of, self._axes = run, axis_positions(run)
        return self._axes


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
        """Read what was added to a run, the rest of it in the background."""
        if loaded.is_loading:
            return
        if loaded.growing.update(seconds):
            self._forget()
            return
        with self._lock:
            if loaded.is_loading:
                return
            loaded.is_loading = True
        threading.Thread(target=self._read_on, args=[loaded], daemon=True).start()

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
            while self.peek(loaded.id) is loaded:
                if loaded.growing.update(_SLICE_SECONDS):
                    break
                self._forget()
        except OSError:  # it was deleted, which the next request will find
            pass
        finally:
            loaded.is_loading = False
            self._forget()

    def _forget(self) -> None:
        """Forget the runs that were not asked for longest, down to the size."""
        with self._lock:
            total = sum(loaded.growing.nbytes for loaded in self._runs.values())
            while total > self._max_bytes and len(self._runs) > 1:
                _, oldest = self._runs.popitem(last=False)
                total -= oldest.growing.nbytes
