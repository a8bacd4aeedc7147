"""Write files of TensorBoard events, without a thread or a buffer."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from jaxmetrics.record import (
    copy_range,
    earlier_failure,
    open_append,
    open_new,
    open_unused,
    sync_folder,
    write_all,
)

_PREFIX = "events.out.tfevents."


class EventFile:
    """New file of events in a folder: each event is one write, undone if it fails.

    The name sorts after those of existing files, since TensorBoard reads files in the
    order of their names, and is unique to this attempt.

    Args:
      folder: Folder of the file.
      now: Seconds since the epoch.
      crc32c: Function that returns the CRC-32C checksum of bytes.
    """

    def __init__(
        self, folder: Path, now: float, crc32c: Callable[[bytes], int]
    ) -> None:
        self._crc32c = crc32c
        seconds = max(
            [int(now), *(_seconds(path) + 1 for path in _event_files(folder))]
        )
        host = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
        self.path = folder / f"{_PREFIX}{seconds:010d}.{host}"
        self.position = 0
        self._synced = 0
        self._unsynced_from: int | None = None  # set by a flush that failed
        self._partial = False
        self._fd: int | None = open_new(self.path)
        try:
            sync_folder(self.path)
        except BaseException:
            self.close()
            raise

    def write(self, event: bytes) -> None:
        """Append an event: all of it, or nothing and an error."""
        length = struct.pack("<Q", len(event))
        framed = length + self._masked(length) + event + self._masked(event)
        fd = self._complete()
        self._partial = True
        try:
            write_all(fd, framed)
        except BaseException:
            # If this fails too, the next call repeats it before anything else.
            with contextlib.suppress(OSError):
                self._truncate(fd)
            raise
        self.position += len(framed)
        self._partial = False

    def flush(self) -> None:
        """Sync everything written to disk.

        Raises:
          OSError: The disk failed, now or at an earlier flush.
        """
        fd = self._complete()
        try:
            os.fsync(fd)
        except OSError:
            if self._unsynced_from is None:
                self._unsynced_from = self._synced
            raise
        if self._unsynced_from is not None:
            raise earlier_failure(self.path, self._unsynced_from)
        self._synced = self.position

    def rewind(self, name: str, position: int, label: str) -> None:
        """Restore the folder to the time when the file `name` ended at `position`.

        Later events, in that file and in the files after it, are moved to files that
        TensorBoard does not read, `after-<label>.*`. This file, the newest of the
        folder, is changed only if it is the one named.

        Args:
          name: Name of an event file of the folder.
          position: Size of that file in bytes at the earlier time.
          label: Label of the files that later events are moved to.

        Raises:
          ValueError: `position` is negative.
        """
        if position < 0:
            raise ValueError(
                f"{name} got a state at byte {position}, expected 0 or more. Restore "
                f"the state that was saved."
            )
        for path in _event_files(self.path.parent):
            if path.name == name or name < path.name < self.path.name:
                _move_tail(path, position if path.name == name else 0, label)
        if self.path.name == name:
            self.position = min(position, self.position)
            self._truncate(self._complete())
            if self.position <= (self._unsynced_from or 0):
                self._unsynced_from = None

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _masked(self, data: bytes) -> bytes:
        # The format masks checksums, since data may itself contain checksums.
        crc = self._crc32c(data)
        rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
        return struct.pack("<I", rotated + 0xA282EAD8 & 0xFFFFFFFF)

    def _complete(self) -> int:
        """Return the descriptor after removing what a failed write has left."""
        if self._fd is None:
            raise ValueError(f"{self.path} is closed. Open the writer again.")
        if self._partial:
            self._truncate(self._fd)
        return self._fd

    def _truncate(self, fd: int) -> None:
        os.ftruncate(fd, self.position)
        os.lseek(fd, self.position, os.SEEK_SET)
        self._partial = False


def _event_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*"))


def _seconds(path: Path) -> int:
    """Return the seconds in the name of a file; 0 if there are none."""
    digits = path.name.removeprefix(_PREFIX).split(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _move_tail(path: Path, position: int, label: str) -> None:
    source = open_append(path)
    try:
        size = os.fstat(source).st_size
        if size <= position:
            return
        name = f"after-{label}.{path.name.removeprefix(_PREFIX)}"
        _, target = open_unused(path.with_name(name))
        try:
            copy_range(source, position, size, target)
        finally:
            os.close(target)
        sync_folder(path)
        os.ftruncate(source, position)
        os.fsync(source)
    finally:
        os.close(source)
