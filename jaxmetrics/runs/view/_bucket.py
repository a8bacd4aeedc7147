"""Runs in a bucket: copied to a temporary folder, and brought up to date."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path

from jaxmetrics.record import address_of, is_remote, open_storage
from jaxmetrics.runs.reading import LocalCopy, is_run, place_of, runs_below
from jaxmetrics.runs.view._root import Root, is_name

_SECONDS = 30.0  # between two looks at the bucket


class BucketRoot(Root):
    """Folder of projects, a project or a run at an address, such as `gs://bucket/runs`.

    A thread copies its runs, and every 30 seconds those that have changed. Runs that
    are gone from the bucket stay until the viewer ends.

    Args:
      address: The address.

    Raises:
      FileNotFoundError: There is nothing at the address.
      OSError: The bucket cannot be reached.
      ImportError: The package for the address is not installed.
    """

    def __init__(self, address: str | os.PathLike[str]) -> None:
        """Look at the address once; `follow` copies."""
        self._address = Path(address)
        if not open_storage(address).names():
            raise FileNotFoundError(
                f"There is nothing at {address_of(address)}. Give the folder of all "
                f"projects, a project or a run."
            )
        temporary = tempfile.mkdtemp(prefix="jaxmetrics-")
        weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)
        super().__init__(temporary)
        self.name = address_of(address)
        self._copies: dict[Path, LocalCopy] = {}
        self._problems: dict[str, str] = {}

    def follow(self) -> None:
        """Copy the runs in a thread, and those that change after that."""
        threading.Thread(target=self._follow, daemon=True).start()

    def source(self, path: Path) -> Path | LocalCopy:
        """Return the copy that is in a folder, which knows its address."""
        return self._copies.get(path, path)

    def problems(self) -> list[dict[str, str]]:
        """Return what could not be copied at the last look, by run."""
        return [{"path": id, "text": text} for id, text in self._problems.items()]

    def refresh(self) -> None:
        """Copy what is new in the bucket; what fails is a problem of its run."""
        problems: dict[str, str] = {}
        try:
            is_one = is_run(self._address)
            for found in [self._address] if is_one else runs_below(self._address):
                project, name = _names(found)
                id = f"{project}/{name}"
                try:
                    self._copy(found, project, name)
                except (OSError, ValueError) as error:
                    problems[id] = f"{address_of(found)}: {error}"
        except OSError as error:
            problems[self.name] = str(error)
        self._problems = problems

    def _copy(self, found: Path, project: str, name: str) -> None:
        if not (is_name(project) and is_name(name)):
            raise ValueError("its name is not the name of a folder; it is not shown")
        folder = self.path / project / name
        copy = self._copies.get(folder)
        if copy is None:
            copy = LocalCopy(open_storage(found), folder)
            self._copies[folder] = copy
        else:
            copy.refresh()
        copy.add_media()

    def _follow(self) -> None:
        waiting = threading.Event()
        while self.path.is_dir():
            with contextlib.suppress(FileNotFoundError):  # the viewer ends
                self.refresh()
            waiting.wait(_SECONDS)


def open_root(root: str | os.PathLike[str]) -> Root:
    """Return the root at a path or an address.

    Raises:
      FileNotFoundError: There is no folder at the path, or nothing at the address.
      OSError: The bucket cannot be reached.
      ImportError: The package for the address is not installed.
    """
    if is_remote(root):
        bucket = BucketRoot(root)
        bucket.follow()
        return bucket
    place = Root(place_of(root))
    if not place.path.is_dir():
        raise FileNotFoundError(
            f"There is no folder {root}. Give the folder of all projects, such as runs."
        )
    return place


def _names(found: Path) -> tuple[str, str]:
    """Return the names of the project and the run at an address."""
    project, name = ("run", *found.parts)[-2:]
    return project, name
