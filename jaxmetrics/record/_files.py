"""A file of lines that survives a kill."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxmetrics.record import _io
from jaxmetrics.record._keys import check_name
from jaxmetrics.record._reader import LINE_LIMIT, CorruptLineError, scan_lines


class AppendFile:
    """A file of lines with one writer, of which a kill never costs a written line.

    Each line is one write, undone in full when it fails. A last line that a kill cut
    off is moved to `<file>.torn` at opening, with a warning. A second writer, in this
    process or in another, is refused. Symbolic links, pipes and devices are refused.

    Args:
      path: The file; it is made when it does not exist, its folder is not.

    Raises:
      WriterLockedError: Another writer has the file open.
      OSError: The file cannot be opened for writing or is not a regular file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open, lock, and set a torn last line aside."""
        self.path = Path(path)
        self._pid = os.getpid()
        self._partial = False
        self._renamed = False
        fd = _io.open_locked(self.path)
        self._fd: int | None = fd
        try:
            size = os.fstat(fd).st_size
            self._position = _io.end_of_last_line(fd, size)
            if self._position < size:
                self._set_torn_tail_aside(size)
            elif size == 0:
                _io.sync_folder(self.path)
        except BaseException:
            os.close(fd)
            raise

    @property
    def position(self) -> int:
        """The size in bytes, which is the end of the last complete line."""
        return self._position

    def write_line(self, text: str) -> None:
        """Append `text` and a newline: all of it, or nothing and an error.

        Raises:
          ValueError: The text holds a newline, or more bytes than a reader takes.
          OSError: The file system refused it; the file is as before.
        """
        data = text.encode() + b"\n"
        if b"\n" in data[:-1] or len(data) > LINE_LIMIT:
            raise ValueError(
                f"{self.path}: got a text of {len(data)} bytes; expected one line of "
                f"at most {LINE_LIMIT}. Split it, or shorten it."
            )
        self._append(data)

    def flush(self) -> None:
        """Return once everything written is on the disk."""
        os.fsync(self._whole())
        if self._renamed:
            _io.sync_folder(self.path)
            self._renamed = False

    def replace(self, pieces: Iterable[bytes]) -> None:
        """Have other bytes from now on, which end in a newline, and the same lock.

        A reader, a second opener or a kill finds the old file or the new one.

        Raises:
          OSError: The file system refused it; the file is as before.
        """
        self._whole()
        fd = _io.replace(self.path, pieces, locked=True)
        old, self._fd = self._open_fd(), fd
        self._position = os.fstat(fd).st_size
        self._renamed = True
        os.close(old)

    def cut(self, position: int, label: str, then: Sequence[bytes] = ()) -> Path | None:
        """Go back to an earlier `position`, keeping what follows it in another file.

        A file that is shorter than `position` is left as it is, with a warning that
        says how many bytes are missing.

        Args:
          position: A former `position` of this file, in bytes.
          label: The end of the other file's name, `<file>.after-<label>`; a number is
            added when there is one already.
          then: Lines of what follows that are kept here too.

        Returns:
          The other file, or None when nothing follows `position`.

        Raises:
          ValueError: `position` is not the end of a line.
        """
        fd = self._whole()
        check_name(label, "label")
        if position > self._position:
            warnings.warn(
                f"{self.path} ends {position - self._position} bytes before byte "
                f"{position}, to which it was to be cut back; what was written there "
                "is missing. The run goes on after what is left.",
                stacklevel=2,
            )
            return None
        if position < 0 or (position and os.pread(fd, 1, position - 1) != b"\n"):
            raise ValueError(
                f"{self.path}: byte {position} is not the end of a line, so the file "
                "is not the one this position was taken from. Restore that file, or "
                "start with overwrite=True."
            )
        if position == self._position:
            return None
        aside = self._copy_aside(position, label)
        if then:  # at once, so that no kill comes between them and the cut
            self.replace(itertools.chain(_io.read_range(fd, 0, position), then))
        else:
            self._truncate(position)
        self.flush()
        return aside

    def cut_after_step(self, step: int, label: str) -> Path | None:
        """Keep the rows whose step is at most `step`, wherever they lie.

        Everything from the first later row on is kept in `<file>.after-<label>`, as
        `cut` does it. Lines without a step belong to the row before them.

        Raises:
          CorruptLineError: A complete line is not a JSON object.
        """
        self._whole()
        position, late = _split_at_step(self.path, step)
        return self.cut(position, label, late)

    def close(self) -> None:
        """Let the file go; a second call does nothing."""
        if self._fd is None:
            return
        try:
            # A fork shares the lock of its parent: unlocking would take it away.
            if self._pid == os.getpid():
                if self._partial:
                    self._truncate(self._position)
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            fd, self._fd = self._fd, None
            os.close(fd)

    def __enter__(self) -> AppendFile:
        """Return itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()

    def _append(self, data: bytes) -> None:
        fd = self._whole()
        self._partial = True
        try:
            _io.write_all(fd, data)
        except BaseException:
            # When this fails too, the next call tries again before it does anything.
            with contextlib.suppress(OSError):
                self._truncate(self._position)
            raise
        self._position += len(data)
        self._partial = False

    def _whole(self) -> int:
        """The descriptor, once no part of a failed line is left."""
        fd = self._open_fd()
        if self._pid != os.getpid():
            raise RuntimeError(
                f"{self.path} belongs to process {self._pid}, and this is its fork "
                f"{os.getpid()}. Log in the process that opened it."
            )
        if self._partial:
            self._truncate(self._position)
        return fd

    def _open_fd(self) -> int:
        if self._fd is None:
            raise ValueError(
                f"{self.path} is closed, but a writer still uses it. Open another "
                "AppendFile."
            )
        return self._fd

    def _truncate(self, position: int) -> None:
        os.ftruncate(self._open_fd(), position)
        self._position = position
        self._partial = False

    def _set_torn_tail_aside(self, size: int) -> None:
        aside = self.path.with_name(self.path.name + ".torn")
        target = _io.open_append(aside)
        try:
            end = os.fstat(target).st_size
            if end and os.pread(target, 1, end - 1) != b"\n":
                _io.write_all(target, b"\n")
            _io.copy_range(self._open_fd(), self._position, size, target)
        finally:
            os.close(target)
        _io.sync_folder(aside)
        self._truncate(self._position)
        warnings.warn(
            f"{self.path}: the last line, {size - self._position} bytes at byte "
            f"{self._position}, was cut off by a kill and is not a row. It was moved "
            f"to {aside.name}.",
            stacklevel=3,
        )

    def _copy_aside(self, position: int, label: str) -> Path:
        aside, target = self._new_aside(label)
        try:
            _io.copy_range(self._open_fd(), position, self._position, target)
        finally:
            os.close(target)
        _io.sync_folder(aside)
        return aside

    def _new_aside(self, label: str) -> tuple[Path, int]:
        name, attempt = f"{self.path.name}.after-{label}", 1
        aside = self.path.with_name(name)
        while True:
            try:
                return aside, _io.open_new(aside)
            except FileExistsError:
                attempt += 1
                aside = self.path.with_name(f"{name}-{attempt}")


def _split_at_step(path: Path, step: int) -> tuple[int, list[bytes]]:
    """The byte of the first later row, and the lines after it that are not later."""
    position, end, kept, late = 0, 0, True, []
    with open(path, "rb") as file:
        for line in scan_lines(path):
            if line.row is None:
                raise CorruptLineError(path, line.number, str(line.reason))
            at = line.row.get("step")
            if isinstance(at, int):
                kept = at <= step
            if kept and position == end:
                position = line.end
            elif kept:
                file.seek(end)
                late.append(file.read(line.end - end).lstrip())
            end = line.end
    return position, late
