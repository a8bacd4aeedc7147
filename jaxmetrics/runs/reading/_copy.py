"""Runs that are not in a folder of their own files: in a mirror, or in a bucket.

They are read from a temporary copy, which is removed with the last object that uses it.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
import warnings
import weakref
from pathlib import Path, PurePosixPath

from jaxmetrics.record import (
    PIECES_FOLDER,
    RUN_JSON,
    TELEMETRY_FOLDER,
    RunCopies,
    Storage,
    is_copied,
    is_remote,
    open_storage,
)
from jaxmetrics.runs.reading._errors import RunNotFoundError

_CHUNK_BYTES = 2**26


class LocalCopy(os.PathLike[str]):
    """Temporary copy of a run in a mirror, or of a run directory in a bucket.

    Args:
      storage: Folder of the run.
      folder: New folder for the copy, which its caller removes. Default a temporary
        one, removed with this object.

    Attributes:
      address: Address of the run.
      folder: The copy, a run directory.

    Raises:
      FileNotFoundError: There is no run, or no copy of it that is whole.
      OSError: The bucket cannot be reached.
    """

    def __init__(self, storage: Storage, folder: Path | None = None) -> None:
        """Copy the files of the run, without its media."""
        self.address: str = storage.address
        self._storage = storage
        if folder is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="jaxmetrics-"))
            weakref.finalize(self, shutil.rmtree, self._temporary, ignore_errors=True)
            project, name = ("run", *PurePosixPath(storage.address).parts)[-2:]
            folder = self._temporary / project / name
        else:
            self._temporary = folder.parent / f".{folder.name}"
            self._temporary.mkdir(parents=True, exist_ok=True)
        self.folder: Path = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._names: list[str] | None = None
        names = storage.names()
        self._copies = RunCopies(storage) if PIECES_FOLDER in names else None
        if self._copies is None:
            self._copy_files(storage, names)
        else:
            self.refresh()

    def __fspath__(self) -> str:
        """Return the path of the copy."""
        return str(self.folder)

    def refresh(self) -> None:
        """Bring the copy up to the last copy in the mirror.

        Raises:
          FileNotFoundError: No copy is whole.
          OSError: The mirror cannot be reached, or the disk is full.
        """
        if self._copies is None:
            self._copy_files(self._storage, self._storage.names())
            return
        pieces = self._copies.pieces
        names = pieces.names()
        if names == self._names:
            return
        new = self._temporary / "new"
        try:
            piece = pieces.restore(names, new)
            if piece is None:
                reasons = list(pieces.damaged.values())
                raise RunNotFoundError(
                    f"{self.address} has no copy of a run that is whole"
                    f"{f' ({reasons[-1]})' if reasons else ''}.",
                    "Give another run.",
                )
            if self._names is None and pieces.damaged:
                _warn_of_damage(self.address, piece.name, pieces.damaged)
            for path in [path for path in new.rglob("*") if path.is_file()]:
                target = self.folder / path.relative_to(new)
                target.parent.mkdir(exist_ok=True)
                os.replace(path, target)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        self._names = names

    def add_media(self) -> None:
        """Copy the media too.

        Raises:
          OSError: The bucket cannot be reached, or the disk is full.
        """
        RunCopies(self._storage).restore_media(self.folder)

    def _copy_files(self, storage: Storage, names: list[str]) -> None:
        """Copy the files of a run directory that are read."""
        inner = storage.child(TELEMETRY_FOLDER)
        files = [(storage, name, name) for name in names]
        if TELEMETRY_FOLDER in names:
            files += [(inner, n, f"{TELEMETRY_FOLDER}/{n}") for n in inner.names()]
        for place, name, path in files:
            if not is_copied(path):
                continue
            target = self.folder / path
            target.parent.mkdir(exist_ok=True)
            new = self._temporary / "new"
            with new.open("wb") as file:
                while data := place.read(name, file.tell(), file.tell() + _CHUNK_BYTES):
                    file.write(data)
            if target.exists() and filecmp.cmp(new, target, shallow=False):
                continue  # who follows the copy reads it anew only if it has changed
            os.replace(new, target)


def local_copy(path: str | os.PathLike[str]) -> LocalCopy | None:
    """Return a local copy of a run; None if it can be read where it is.

    Args:
      path: Path or address of a run, or of its copy in a mirror; or a `LocalCopy`,
        which is returned as it is.

    Raises:
      FileNotFoundError: There is no run, or no copy of it that is whole.
      OSError: A bucket cannot be reached.
    """
    if isinstance(path, LocalCopy):
        return path
    if not is_remote(path) and not is_in_mirror(Path(path)):
        return None
    storage = open_storage(path)
    if is_remote(path) and not is_stored_run(storage.names()):
        raise RunNotFoundError(
            f"There is no run at {storage.address}.",
            "Give the address of a run directory, or of a run in a mirror: "
            "gs://bucket/<mirror>/<project>/<run_name>.",
        )
    return LocalCopy(storage)


def at_home(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return a path with `~` replaced by the home directory; a `LocalCopy` as it is."""
    return path if isinstance(path, LocalCopy) else os.path.expanduser(path)


def is_in_mirror(folder: Path) -> bool:
    """Return whether a local folder is the copy of a run in a mirror."""
    return (folder / PIECES_FOLDER).is_dir() and not (folder / RUN_JSON).exists()


def is_stored_run(names: list[str]) -> bool:
    """Return whether a folder in a bucket with these names is a run."""
    return PIECES_FOLDER in names or any(
        name.endswith((".json", ".jsonl")) and is_copied(name) for name in names
    )


def _warn_of_damage(address: str, piece: str, damaged: dict[str, str]) -> None:
    later = [damaged[name] for name in sorted(damaged) if name > piece]
    if later:
        warnings.warn(
            f"The last copy of {address} is not whole ({later[-1]}); the run is read "
            f"as of an earlier one, {piece}.",
            stacklevel=2,
        )
