"""The copy of one run in a mirror: its pieces, and its media one by one.

<mirror>/<project>/<run_name>/pieces/000001-...      files of the first process
                              pieces.p3/000001-...   files of process 3
                              media/5e3a07c1....png  named by content
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import stat
from pathlib import Path

from jaxmetrics.record._io import atomic_write, make_folder, open_read, read_range
from jaxmetrics.record._piece import Piece
from jaxmetrics.record._pieces import Pieces, Source
from jaxmetrics.record._run_files import (
    COPIED,
    MEDIA_FOLDER,
    PIECES_FOLDER,
    RUN_JSON,
    is_copied,
    process_metrics,
    process_of_file,
)
from jaxmetrics.record._storage import Storage

_MAX_MEDIA_BYTES = 2**28
_MEDIA_NAME = re.compile(r"([0-9a-f]{16})\.[a-z0-9]{1,8}")


class RunCopies:
    """The part of a run's copy that one process writes.

    Args:
      storage: Folder of the run in the mirror.
      process: Index of the process. Default 0, which copies all files but those of
        other processes.
    """

    def __init__(self, storage: Storage, process: int = 0) -> None:
        self._process = process
        folder = f"{PIECES_FOLDER}.p{process}" if process else PIECES_FOLDER
        self._required = process_metrics(process) if process else RUN_JSON
        self.pieces: Pieces = Pieces(
            storage.child(folder), self._is_own, self._required
        )
        self._media = storage.child(MEDIA_FOLDER)
        self._media_names: set[str] | None = None

    def sources(self, run_dir: Path) -> list[Source]:
        """Return the files of a run directory to copy, with their present sizes.

        Raises:
          FileNotFoundError: It is not a run directory any more: it was moved away.
          OSError: A file cannot be read.
        """
        os.stat(run_dir / self._required)
        return self._files(run_dir)

    def _files(self, run_dir: Path) -> list[Source]:
        paths = sorted(path for glob in COPIED for path in run_dir.glob(glob))
        names = [path.relative_to(run_dir).as_posix() for path in paths]
        return [
            Source(name, path, status.st_size, status.st_mtime)
            for name, path in zip(names, paths)
            if self._is_own(name) and stat.S_ISREG((status := path.lstat()).st_mode)
        ]

    def restore(self, names: list[str], run_dir: Path) -> Piece | None:
        """Restore the files of the last copy that is whole to a run directory.

        Files that are in the way are moved to `<run_name>.old-1` or the next free
        number. `run.json` comes last, so that an interrupted restore is repeated.

        Args:
          names: Names of the pieces.
          run_dir: The run directory.

        Returns:
          The copy's last piece; None if no copy is whole.

        Raises:
          OSError: The mirror cannot be reached, or the directory cannot be written.
        """
        make_folder(run_dir)
        restored = run_dir / f".restore-{secrets.token_hex(4)}"
        try:
            piece = self.pieces.restore(names, restored)
            if piece is None:
                return None
            self._set_aside(run_dir)
            files = [file.name for file in piece.files if self._is_own(file.name)]
            for name in sorted(files, key=lambda name: name == RUN_JSON):
                make_folder((run_dir / name).parent)
                os.replace(restored / name, run_dir / name)
        finally:
            shutil.rmtree(restored, ignore_errors=True)
        if self._process == 0:
            self.restore_media(run_dir)
        return piece

    def copy_media(self, run_dir: Path) -> None:
        """Copy the media that the mirror does not have.

        Raises:
          OSError: A file could not be read or written.
        """
        if self._process or not (folder := run_dir / MEDIA_FOLDER).is_dir():
            return
        if self._media_names is None:
            self._media_names = set(self._media.names())
        for name in sorted(os.listdir(folder)):
            if name not in self._media_names and _MEDIA_NAME.fullmatch(name):
                fd = open_read(folder / name)
                try:
                    data = b"".join(read_range(fd, 0, _MAX_MEDIA_BYTES))
                finally:
                    os.close(fd)
                with contextlib.suppress(FileExistsError):
                    self._media.write(name, data)
                self._media_names.add(name)

    def restore_media(self, run_dir: Path) -> None:
        """Restore media that a run directory does not have, except damaged ones.

        Raises:
          OSError: The mirror cannot be reached, or the directory cannot be written.
        """
        folder = run_dir / MEDIA_FOLDER
        for name in self._media.names():
            match = _MEDIA_NAME.fullmatch(name)
            if match is None or (folder / name).exists():
                continue
            with contextlib.suppress(ValueError):
                data = self._media.read(name, 0, _MAX_MEDIA_BYTES)
                if hashlib.sha256(data).hexdigest().startswith(match[1]):
                    make_folder(folder)
                    atomic_write(folder / name, data)

    def _is_own(self, name: str) -> bool:
        return is_copied(name) and process_of_file(name) == self._process

    def _set_aside(self, run_dir: Path) -> None:
        """Move the files of a run directory that a restore replaces."""
        in_the_way = [source.name for source in self._files(run_dir)]
        if not in_the_way:
            return
        number = 1
        while (old := run_dir.with_name(f"{run_dir.name}.old-{number}")).exists():
            number += 1
        for name in in_the_way:
            make_folder((old / name).parent)
            os.replace(run_dir / name, old / name)
