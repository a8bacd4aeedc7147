"""A file of TensorBoard events, written without a thread or a buffer."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from jaxmetrics.record import copy_range, open_new, sync_folder, write_all

_PREFIX = "events.out.tfevents."


class EventFile:
    """A new file of events in a folder: each is one write, whole or undone.

    Its name sorts after those that are there, as TensorBoard reads files in the order
    of their names, and no other start can have it.

    Args:
      folder: Where it is made.
      now: Seconds since the epoch.
      crc32c: The checksum of some bytes.
    """

    def __init__(
        self, folder: Path, now: float, crc32c: Callable[[bytes], int]
    ) -> None:
        self._crc32c = crc32c
        stamp = max([int(now), *(_stamp(path) + 1 for path in _files(folder))])
        host = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
        self.path = folder / f"{_PREFIX}{stamp:010d}.{host}"
        self.position = 0
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
        fd = self._whole()
        self._partial = True
        try:
            write_all(fd, framed)
        except BaseException:
            # When this fails too, the next call tries again before it does anything.
            with contextlib.suppress(OSError):
                self._truncate(fd)
            raise
        self.position += len(framed)
        self._partial = False

    def flush(self) -> None:
        """Return once everything written is on the disk."""
        os.fsync(self._whole())

    def rewind(self, name: str, position: int, label: str) -> None:
        """Take the folder back to when the file `name` ended at `position`.

        What was written later, there and in files that follow, is moved to files that
        TensorBoard does not read, `after-<label>.*`. Of this file only what follows
        `position` is, if it has that name.

        Raises:
          ValueError: `position` is negative.
        """
        if position < 0:
            raise ValueError(
                f"{name}: byte {position} is no position. Restore what was saved."
            )
        for path in _files(self.path.parent):
            if path.name == name or name < path.name < self.path.name:
                _move_tail(path, position if path.name == name else 0, label)
        if self.path.name == name:
            self.position = min(position, self.position)
            self._truncate(self._whole())

    def close(self) -> None:
        """Let the file go; a second call does nothing."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _masked(self, data: bytes) -> bytes:
        # Checksums of data that holds checksums are masked, as the format has it.
        crc = self._crc32c(data)
        rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
        return struct.pack("<I", rotated + 0xA282EAD8 & 0xFFFFFFFF)

    def _whole(self) -> int:
        """The descriptor, once no part of a failed event is left."""
        if self._fd is None:
            raise ValueError(f"{self.path} is closed. Open the writer again.")
        if self._partial:
            self._truncate(self._fd)
        return self._fd

    def _truncate(self, fd: int) -> None:
        os.ftruncate(fd, self.position)
        os.lseek(fd, self.position, os.SEEK_SET)
        self._partial = False


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*"))


def _stamp(path: Path) -> int:
    """The seconds in a file's name; 0 when there are none."""
    digits = path.name.removeprefix(_PREFIX).split(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _move_tail(path: Path, position: int, label: str) -> None:
    source = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        size = os.fstat(source).st_size
        if size <= position:
            return
        target = _new_aside(path, label)
        try:
            copy_range(source, position, size, target)
        finally:
            os.close(target)
        sync_folder(path)
        os.ftruncate(source, position)
        os.fsync(source)
    finally:
        os.close(source)


def _new_aside(path: Path, label: str) -> int:
    name = f"after-{label}.{path.name.removeprefix(_PREFIX)}"
    number, aside = 1, path.with_name(name)
    while True:
        try:
            return open_new(aside)
        except FileExistsError:
            number += 1
            aside = path.with_name(f"{name}-{number}")
