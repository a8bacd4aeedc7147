"""Files whose lines wait in memory while the disk refuses them."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

from jaxmetrics.record._append_file import AppendFile
from jaxmetrics.record._disk_errors import DiskErrors

_MAX_LINES = 1000
_MAX_CHARACTERS = 2**26


class PatientFile:
    """An `AppendFile` for the training loop: an error of the disk is never raised.

    Lines that the disk refuses, and a cut, wait for the next call. Beyond 1000 lines or
    64 MiB the oldest are lost; `flush` then returns False until a cut below them.

    Args:
      path: The file, as for an AppendFile.
      name: Name of the file in the one message about errors.

    Raises:
      WriterLockedError: Another writer has the file open.
      OSError: The file cannot be opened.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._file = AppendFile(path)
        self._errors = DiskErrors(f"{name} {path}", "its lines wait in memory")
        self._lock = threading.RLock()
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._cut: tuple[int, str] | None = None
        self._lost_at: int | None = None

    @property
    def position(self) -> int:
        """Size of the file in bytes, without lines that wait."""
        return self._file.position if self._cut is None else self._cut[0]

    def write_lines(self, *texts: str) -> bool:
        """Append lines; return False if some wait.

        Raises:
          ValueError: A text is not one line of at most 16 MiB; it is left out.
        """
        with self._lock:
            self._waiting += texts
            self._characters += sum(map(len, texts))
            written = self._errors.attempt(self._write)
            while self._is_too_much():
                self._drop_first()
                if self._lost_at is None:
                    self._lost_at = self.position
            return written

    def flush(self) -> bool:
        """Sync all lines to disk; return whether that succeeded and none is lost."""
        with self._lock:
            synced = self._errors.attempt(self._write, self._file.flush)
            return synced and self._lost_at is None

    def cut(self, position: int, label: str) -> bool:
        """Go back to a position, as `AppendFile.cut`; return False if that waits.

        Raises:
          ValueError: `position` is not the end of a line; nothing is changed.
        """
        with self._lock:
            done = self._errors.attempt(lambda: self._file.cut(position, label))
            self._cut = None if done else (position, label)
            self._waiting.clear()
            self._characters = 0
            if self._lost_at is not None and position <= self._lost_at:
                self._lost_at = None
            return done

    def renew(self) -> bool:
        """Write the file anew if a flush has failed; return whether that succeeded."""
        with self._lock:
            renewed = self._errors.attempt(self._file.renew)
            self._lost_at = None if renewed else self._lost_at
            return renewed

    def close(self) -> None:
        """Write what waits, if possible, and close the file."""
        with self._lock:
            self._errors.attempt(self._write)
            self._errors.attempt(self._file.close)

    def _write(self) -> None:
        if self._cut is not None:
            self._file.cut(*self._cut)
            self._cut = None
        while self._waiting:
            try:
                self._file.write_line(self._waiting[0])
            except ValueError:
                self._drop_first()
                raise
            self._drop_first()

    def _is_too_much(self) -> bool:
        return len(self._waiting) > _MAX_LINES or self._characters > _MAX_CHARACTERS

    def _drop_first(self) -> None:
        self._characters -= len(self._waiting.popleft())
