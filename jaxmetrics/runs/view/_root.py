"""Find the run directories below a root, and keep every path within it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from jaxmetrics.record import (
    EPOCHS_JSON,
    EVENTS_JSONL,
    METRICS_JSONL,
    PIECES_FOLDER,
    RUN_JSON,
    SUMMARY_JSON,
    TELEMETRY_FOLDER,
    TELEMETRY_JSONL,
    open_storage,
)
from jaxmetrics.runs.reading import (
    FileState,
    LocalCopy,
    file_state,
    folder_names,
    is_in_mirror,
    is_replaced,
    is_run,
)

RECORD_FILES = (METRICS_JSONL, RUN_JSON, SUMMARY_JSON, EVENTS_JSONL)
"""Files of a run that a logger wrote."""

OTHER_FILES = (
    *(EPOCHS_JSON, TELEMETRY_JSONL, f"{TELEMETRY_FOLDER}/{TELEMETRY_JSONL}"),
    PIECES_FOLDER,
)
"""Files of other runs: of epochs, of telemetry, and in a mirror."""

_READ = (*RECORD_FILES, *OTHER_FILES, TELEMETRY_FOLDER)


class OutsideRootError(ValueError):
    """A path leaves the root."""


class Root:
    """Folder of projects, a project, or a run directory.

    The id of a run is `<project>/<run>`, the names of its last two folders.

    Args:
      path: The folder.

    Attributes:
      path: The folder, links followed.
      name: Its path or address, as it is shown.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Resolve the folder once."""
        self.path = Path(path).expanduser().resolve()
        self.name = self._text = str(self.path)
        self._below = self._text.rstrip(os.sep) + os.sep
        self._lock = threading.Lock()  # of the copies
        self._mirrored: dict[Path, tuple[FileState, LocalCopy]] = {}

    def runs(self) -> Iterator[tuple[str, Path]]:
        """Yield the id and the path of each run directory, by names.

        Folders behind a symbolic link that leaves the root are left out.
        """
        for id, path in self.candidates():
            if is_run(path):
                yield id, path

    def candidates(self) -> Iterator[tuple[str, Path]]:
        """Yield what `runs` yields, and folders in which a run may begin."""
        if self.path.is_dir() and is_run(self.path):
            yield self._id(self.path), self.path
            return
        for folder in folders(self.path):
            if folder.is_symlink() and not self.holds(folder):
                continue
            if is_run(folder):
                yield self._id(folder), folder
                continue
            for inner in folders(folder):
                if not inner.is_symlink() or self.holds(inner):
                    yield self._id(inner), inner

    def source(self, path: Path) -> Path | LocalCopy:
        """Return what is read to list the run in a folder.

        A run in a mirror is copied to a temporary folder, and again when it changed.

        Raises:
          FileNotFoundError: No copy of a run in a mirror is whole.
          OSError: The mirror cannot be read, or the disk is full.
        """
        if not is_in_mirror(path):
            return path
        with self._lock:
            state = file_state(path / PIECES_FOLDER)
            seen, copy = self._mirrored.get(path, (None, None))
            if copy is None:
                copy = LocalCopy(open_storage(path))
            elif seen != state:
                copy.refresh()
            if seen != state:
                copy.add_media()
                self._mirrored[path] = state, copy
            return copy

    def problems(self) -> list[dict[str, str]]:
        """Return what could not be read of the root, each `path` with its `text`."""
        return []

    def find(self, project: str, name: str) -> Path | None:
        """Return the run directory of a project and a name; None without one.

        Raises:
          OutsideRootError: The run or one of its files is a link that leaves the root.
        """
        if not (is_name(project) and is_name(name)):
            return None
        places = [self.path / project / name]
        if self.path.name == project:
            places.append(self.path / name)
        if (self.path.parent.name, self.path.name) == (project, name):
            places.append(self.path)
        for place in places:
            if not place.is_dir():
                continue
            self.check(place)
            if is_run(place):
                return self.folder(place)
        return None

    def folder(self, path: Path) -> Path:
        """Return the folder that has the files of a run: that of the run, or a copy.

        Raises:
          OSError: A run in a mirror cannot be read.
        """
        source = self.source(path)
        return source if isinstance(source, Path) else source.folder

    def check(self, run: Path) -> None:
        """Refuse a run that would be read from elsewhere.

        Raises:
          OutsideRootError: The run or one of its files is a link that leaves the root.
        """
        links = (path for n in _READ if os.path.islink(path := f"{run}/{n}"))
        for path in (run, *links):
            if not self.holds(path):
                raise OutsideRootError(
                    f"{run.parent.name}/{run.name} is not shown: "
                    f"{os.path.basename(path)} is a symbolic link that leaves "
                    f"{self.path}."
                )

    def holds(self, path: str | os.PathLike[str]) -> bool:
        """Return whether a path is within the root, links followed."""
        try:
            real = os.path.realpath(path, strict=True)
        except FileNotFoundError:
            real = os.path.realpath(path)
        except OSError:  # a link to itself
            return False
        if real == self._text or real.startswith(self._below):
            return True
        copies = (str(copy.folder) for _, copy in self._mirrored.copy().values())
        return any(real.startswith(os.path.realpath(c) + os.sep) for c in copies)

    def _id(self, path: Path) -> str:
        return f"{path.parent.name}/{path.name}"


def folders(path: Path) -> list[Path]:
    """Return the folders in a folder, by name, without hidden and replaced ones."""
    try:
        names = folder_names(path)
    except OSError:
        return []
    return [path / n for n in names if not is_replaced(n) and n[0] != "."]


def is_name(name: str) -> bool:
    """Return whether a text is the name of one file or folder."""
    return name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}
