"""One row for each run of a root."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

from jaxmetrics.runs.reading import (
    FileState,
    LocalCopy,
    RunEntry,
    RunList,
    file_state,
    is_run,
    list_entries,
)
from jaxmetrics.runs.view._root import (
    OTHER_FILES,
    RECORD_FILES,
    OutsideRootError,
    Root,
)

_RESTING_SECONDS = 600.0  # after which a run that is not closed is not running


class Rows:
    """Rows of all runs of a root; those of runs that rest are read once.

    Args:
      root: Folder of the runs.
    """

    def __init__(self, root: Root) -> None:
        """Begin without rows."""
        self._root = root
        self._resting: dict[Path, tuple[tuple[FileState, ...], RunEntry]] = {}
        self._latest: tuple[list[Path], RunList] = [], list_entries(root.name, [])
        self._lock = threading.Lock()  # who asks while rows are read waits for them

    def fill(self) -> threading.Thread:
        """Read the rows before somebody asks for them, in a thread that is returned."""
        thread = threading.Thread(target=self._fill, daemon=True)
        thread.start()
        return thread

    def all(self, where: str | None = None, sort: str | None = None) -> dict[str, Any]:
        """Return a row for each run, and the names of their values.

        Args:
          where: Condition that the runs meet, as for `runs.list`. Default all runs.
          sort: Name of the value by which they are sorted, likewise.

        Raises:
          ValueError: `where` is not a condition.
          KeyError: A name is unknown.
        """
        with self._lock:
            listed, problems = self._listed()
        shown = listed.where(where) if where else listed
        shown = shown.sorted(sort) if sort else shown
        return {
            "root": listed.root,
            "runs": [entry.to_dict() for entry in shown],
            "hparams": list(listed.names.hparams),
            "keys": list(listed.names.keys),
            "better": listed.better,
            "problems": problems,
        }

    def _fill(self) -> None:
        with contextlib.suppress(OSError), self._lock:
            self._listed()

    def _listed(self) -> tuple[RunList, list[dict[str, str]]]:
        """Return all rows, and the problems of runs."""
        places: list[tuple[tuple[str, str], Path | LocalCopy]] = []
        folders: list[Path] = []
        kept: dict[Path, RunEntry] = {}
        states: dict[Path, tuple[FileState, ...]] = {}
        problems = self._root.problems()
        for id, path in self._root.candidates():
            state = states[path] = _states(path)
            resting = self._resting.get(path)
            if resting is not None and resting[0] == state:
                kept[path] = resting[1]
            elif not is_run(path):
                continue
            source: Path | LocalCopy = path
            if path not in kept:
                try:
                    self._root.check(path)
                except OutsideRootError as error:
                    problems.append({"path": id, "text": str(error)})
                    continue
                with contextlib.suppress(OSError):  # a problem when it is read
                    source = self._root.source(path)
            places.append((_names(id), source))
            folders.append(path)
        if len(kept) == len(folders) and folders == self._latest[0]:
            listed = self._latest[1]  # nothing has changed
        else:
            listed = list_entries(self._root.name, places, kept)
            self._latest = folders, listed
        self._resting = {
            path: (states[path], entry)
            for path, entry in zip(folders, listed)
            if any(state[0] for state in states[path]) and _rests(entry)
        }
        problems += [{"path": e.id, "text": e.problem} for e in listed if e.problem]
        return listed, problems


def row(id: str, path: Path) -> dict[str, Any]:
    """Return the row of a run."""
    return list_entries("", [(_names(id), path)])[0].to_dict()


def _states(path: Path) -> tuple[FileState, ...]:
    """Return the states of the files from which the row of a run is made."""
    states = tuple(file_state(f"{path}/{name}") for name in RECORD_FILES)
    if states[0][0] or states[1][0]:
        return states
    return (*states, *(file_state(f"{path}/{name}") for name in OTHER_FILES))


def _rests(entry: RunEntry) -> bool:
    """Return whether an entry stays as it is until a file changes."""
    if entry.state == "closed":
        return True
    if entry.state == "running":  # a kill changes no file
        return False
    if entry.updated is None:  # files without a time, whose state does not change
        return entry.problem is None
    return time.time() - entry.updated > _RESTING_SECONDS


def _names(id: str) -> tuple[str, str]:
    project, _, name = id.partition("/")
    return project, name
