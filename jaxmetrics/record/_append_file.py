"""Append-only files of lines that survive a kill."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import operator
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jaxmetrics.record import _io
from jaxmetrics.record._forks import disabled_in_children
from jaxmetrics.record._keys import check_name
from jaxmetrics.record._reader import LINE_LIMIT, CorruptLineError, scan_lines


class OtherWriterError(OSError):
    """Another process writes the file, on a disk whose locks it does not see."""


class AppendFile:
    """File of lines with one writer; a kill loses no line that was written.

    Each line is one write, undone completely if it fails. A last line without its
    newline, cut off by a kill, is moved to `<file>.torn` when the file is opened, with
    a warning. A second writer, in this process or another, is refused; on a disk where
    other machines do not see the lock, each flush compares the file with what was
    written to it. Symbolic links, pipes and devices are refused.

    What was written since the last flush may be gone after a flush that failed, even if
    it can still be read: it was read from memory. From then on every flush fails, until
    the file is cut back to what an earlier flush has synced.

    Args:
      path: The file. It is created if missing; its folder is not.

    Raises:
      WriterLockedError: Another writer has the file open.
      OSError: The file cannot be opened for writing, or is not a regular file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open and lock the file, and move a torn last line away."""
        self.path: Path = Path(path)
        self._pid = os.getpid()
        self._partial = False
        self._renamed = False
        self._unsynced_from: int | None = None  # set by a flush that failed
        self._has_other_writer = False
        self._is_gone = False
        self._is_inherited = False
        fd = _io.open_locked(self.path)
        self._fd: int | None = fd
        disabled_in_children().add(self)
        try:
            size = os.fstat(fd).st_size
            self._position = _io.end_of_last_line(fd, size)
            if self._position < size:
                self._move_torn_line(size)
            elif size == 0:
                _io.sync_folder(self.path)
            self._synced = self._position
        except BaseException:
            self._fd = None
            os.close(fd)
            raise

    @property
    def position(self) -> int:
        """Size in bytes, which is the end of the last complete line."""
        return self._position

    def write_line(self, text: str) -> None:
        """Append `text` and a newline: all of it, or nothing and an error.

        Raises:
          ValueError: The text contains a newline, or the line is longer than readers
            accept (16 MiB).
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
        """Sync everything written to disk.

        Raises:
          OSError: The disk failed, now or at an earlier flush.
          OtherWriterError: Another process writes the file.
        """
        self._sync()
        if self._unsynced_from is not None:
            raise earlier_failure(self.path, self._unsynced_from)

    def replace(self, pieces: Iterable[bytes]) -> None:
        """Replace the contents atomically and keep the lock.

        A reader, a second opener or a kill sees the old file or the new one.

        Args:
          pieces: New contents in pieces, ending in a newline.

        Raises:
          OSError: The file system refused it; the file is as before.
        """
        self._check_is_only_writer(self._complete())
        fd = _io.replace_file(self.path, pieces, locked=True)
        old, self._fd = self._descriptor(), fd
        self._position = os.fstat(fd).st_size
        self._renamed = True
        os.close(old)

    def renew(self) -> None:
        """Write what can be read to a fresh file, if a flush has failed.

        Raises:
          OSError: The file system refused it; the file is as before.
        """
        if self._unsynced_from is not None:
            self.replace(_io.read_range(self._complete(), 0, self._position))
            self._unsynced_from, self._synced = None, self._position

    def cut(self, position: int, label: str, then: Sequence[bytes] = ()) -> Path | None:
        """Truncate the file to an earlier `position` and save the rest in another file.

        A file that is shorter than `position` is left unchanged, with a warning that
        says how many bytes are missing.

        Args:
          position: A former `position` of this file, in bytes.
          label: End of the other file's name, `<file>.after-<label>`; a number is added
            if that file exists.
          then: Lines of the rest that stay in this file too.

        Returns:
          Path of the other file, or None if nothing follows `position`.

        Raises:
          ValueError: `position` is not the end of a line.
        """
        fd = self._complete()
        check_name(label, "label")
        position = operator.index(position)  # an array would be changed in place
        if position > self._position:
            warnings.warn(
                f"{self.path} is {position - self._position} bytes too short to be cut "
                f"back to byte {position}; what was written there is missing. The run "
                f"continues after what is left.",
                stacklevel=2,
            )
            return None
        if position < 0 or (position and os.pread(fd, 1, position - 1) != b"\n"):
            raise ValueError(
                f"{self.path}: byte {position} is not the end of a line, so the file "
                "is not the one this position was taken from. Restore that file, or "
                "start with overwrite=True."
            )
        self._check_is_only_writer(fd)
        saved = None
        if position < self._position:
            saved = self._save_rest(position, label)
            if then:  # in one step, so that a kill cannot fall between cut and append
                self.replace(itertools.chain(_io.read_range(fd, 0, position), then))
            else:
                self._truncate(position)
        if self._unsynced_from is not None and self._position <= self._unsynced_from:
            self._unsynced_from = None
        if saved is not None:
            self._sync()
        return saved

    def cut_after_step(
        self,
        step: int,
        label: str,
        line_steps: Iterable[tuple[int, int | None]] | None = None,
    ) -> Path | None:
        """Remove the rows of steps above `step`, wherever they are in the file.

        Rows are not sorted by step: an evaluation of an early step may follow later
        training steps, and stays. Everything from the first later row on is saved in
        `<file>.after-<label>`, as `cut` does it. A line without a step belongs to the
        row before it.

        Args:
          step: Highest step to keep.
          label: End of the other file's name.
          line_steps: Position after each line, and the step of its row or None. By
            default the lines are read as JSON objects.

        Raises:
          CorruptLineError: A complete line is not a JSON object.
        """
        self._complete()
        if line_steps is None:
            line_steps = _json_line_steps(self.path)
        position, kept = _split_at_step(self.path, line_steps, step)
        return self.cut(position, label, kept)

    def close(self) -> None:
        """Close the file and release its lock; a second call does nothing."""
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

    def disable(self) -> None:
        """Close the descriptor in a forked child.

        The lock of the file lasts until no process has it open. Without this, a child
        that outlives its killed parent would keep the file locked.
        """
        fd, self._fd, self._is_inherited = self._fd, None, True
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> AppendFile:
        """Return the file."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file."""
        self.close()

    def _sync(self) -> None:
        fd = self._complete()
        self._check_is_only_writer(fd)
        try:
            os.fsync(fd)
            if self._renamed:
                _io.sync_folder(self.path)
                self._renamed = False
        except OSError:
            if self._unsynced_from is None:
                self._unsynced_from = self._synced
            raise
        if self._unsynced_from is None:
            self._synced = self._position

    def _check_is_only_writer(self, fd: int) -> None:
        """Compare the file at the path with what this object has written to it.

        Raises:
          OtherWriterError: They differ; nothing is written any more.
          OSError: There is no file at the path; nothing is written until it is back.
        """
        size, is_there = os.fstat(fd).st_size, _io.is_open_at(fd, self.path)
        if size == self._position and is_there and not self._has_other_writer:
            self._is_gone = False
            return
        if not os.path.lexists(self.path):
            self._is_gone = True
            raise OSError(
                errno.ESTALE,
                "it, or a folder above it, was moved or removed while this process "
                "writes it. Nothing is written until it is back at this path: move it "
                "back, or begin another attempt where it is now",
                str(self.path),
            )
        self._has_other_writer = True
        found = f"has {size} bytes" if is_there else "was replaced"
        raise OtherWriterError(
            errno.ESTALE,
            f"it {found} where this process left {self._position}: another process "
            f"writes it too, perhaps on a machine that does not see the lock. This one "
            f"writes no more; end one of the two",
            str(self.path),
        )

    def _append(self, data: bytes) -> None:
        fd = self._complete()
        if self._has_other_writer or self._is_gone:
            self._check_is_only_writer(fd)
        self._partial = True
        try:
            _io.write_all(fd, data)
        except BaseException:
            # If this fails too, the next call repeats it before anything else.
            with contextlib.suppress(OSError):
                self._truncate(self._position)
            raise
        self._position += len(data)
        self._partial = False

    def _complete(self) -> int:
        """Return the descriptor after removing what a failed write has left."""
        if self._is_inherited or self._pid != os.getpid():
            raise RuntimeError(
                f"{self.path} belongs to process {self._pid}, and this is its fork "
                f"{os.getpid()}. Log in the process that opened it."
            )
        fd = self._descriptor()
        if self._partial:
            self._truncate(self._position)
        return fd

    def _descriptor(self) -> int:
        if self._fd is None:
            raise ValueError(
                f"{self.path} is closed, but a writer still uses it. Open another "
                "AppendFile."
            )
        return self._fd

    def _truncate(self, position: int) -> None:
        os.ftruncate(self._descriptor(), position)
        self._position = position
        self._partial = False

    def _move_torn_line(self, size: int) -> None:
        torn = self.path.with_name(self.path.name + ".torn")
        target = _io.open_append(torn)
        try:
            end = os.fstat(target).st_size
            if end and os.pread(target, 1, end - 1) != b"\n":
                _io.write_all(target, b"\n")
            _io.copy_range(self._descriptor(), self._position, size, target)
        finally:
            os.close(target)
        _io.sync_folder(torn)
        self._truncate(self._position)
        warnings.warn(
            f"{self.path}: the last line, {size - self._position} bytes at byte "
            f"{self._position}, was cut off by a kill and is not a row. It was moved "
            f"to {torn.name}.",
            stacklevel=3,
        )

    def _save_rest(self, position: int, label: str) -> Path:
        name = f"{self.path.name}.after-{label}"
        saved, target = _io.open_unused(self.path.with_name(name))
        try:
            _io.copy_range(self._descriptor(), position, self._position, target)
        finally:
            os.close(target)
        _io.sync_folder(saved)
        return saved


def earlier_failure(path: Path, position: int) -> OSError:
    """Return the error of each flush after one that failed."""
    return OSError(
        errno.EIO,
        f"the disk failed at an earlier flush, and may have lost what was written "
        f"after byte {position}. Restore a checkpoint from before it",
        str(path),
    )


def _json_line_steps(path: Path) -> Iterator[tuple[int, int | None]]:
    for line in scan_lines(path):
        if line.row is None:
            raise CorruptLineError(path, line.number, str(line.reason))
        step = line.row.get("step")
        yield line.end, step if isinstance(step, int) else None


def _split_at_step(
    path: Path, line_steps: Iterable[tuple[int, int | None]], step: int
) -> tuple[int, list[bytes]]:
    """Return the position of the first later row, and the lines after it to keep.

    For the steps 1, 2, 3, 1, 4 and `step=2` these are the position after the second
    line, and the fourth line.
    """
    position, end, keep, kept = 0, 0, True, []
    with open(_io.open_read(path), "rb") as file:
        for line_end, line_step in line_steps:
            if line_step is not None:
                keep = line_step <= step
            if keep and position == end:
                position = line_end
            elif keep:
                file.seek(end)
                # Blank lines before the row are not lines of their own.
                kept.append(file.read(line_end - end).lstrip())
            end = line_end
    return position, kept
