"""File-descriptor work: open only files, lock them, write all, keep names."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

_CHUNK = 2**20
_APPEND = (
    os.O_RDWR
    | os.O_APPEND
    | os.O_CREAT
    | os.O_NOFOLLOW
    | os.O_CLOEXEC
    # A pipe in the file's place would hang the opener for ever.
    | os.O_NONBLOCK
)
_NEW = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_URL = re.compile(r"[a-z][a-z0-9+]*:/", re.IGNORECASE)


class WriterLockedError(RuntimeError):
    """The file is held by another live writer."""


def atomic_write(path: str | os.PathLike[str], data: bytes | Iterable[bytes]) -> None:
    """Replace a file at once: a reader or a kill finds the old bytes or the new ones.

    A symbolic link in the file's place is replaced, not followed.

    Args:
      path: The file.
      data: Its bytes, or pieces of them in their order.

    Raises:
      OSError: The folder cannot be written, or the disk is full; the file is as before.
    """
    path = Path(path)
    os.close(replace(path, [data] if isinstance(data, bytes) else data))
    sync_folder(path)


def replace(path: Path, pieces: Iterable[bytes], locked: bool = False) -> int:
    """Put a new file in the place of `path`; its name is not yet on the disk.

    Args:
      path: The file.
      pieces: The new one's bytes, in their order.
      locked: Whether it has its lock before it has its name.

    Returns:
      A descriptor for reading and appending.

    Raises:
      OSError: The file system refused it; the file is as before.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    fd = open_new(temporary)
    try:
        if locked:
            lock(fd, temporary)
        for piece in pieces:
            write_all(fd, piece)
        os.fsync(fd)
        os.replace(temporary, path)
    except BaseException:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return fd


def open_locked(path: Path) -> int:
    """As `open_append`, and nobody else has it open so.

    Raises:
      WriterLockedError: Somebody has.
    """
    while True:
        fd = open_append(path)
        try:
            lock(fd, path)
            if _is_at(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # its writer has put another file in its place meanwhile


def open_append(path: Path) -> int:
    """A descriptor for reading and appending a regular file, made when missing."""
    if _URL.match(str(path)):
        raise ValueError(
            f"{path} is not a local path, and object stores have no append. Write to "
            "a local folder, and copy it to the bucket at checkpoints."
        )
    try:
        fd = os.open(path, _APPEND, 0o644)
    except OSError as error:
        raise _explained(error, path) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(
            errno.EINVAL,
            "it is not a regular file, as a record must be. Remove it, or choose "
            "another folder",
            str(path),
        )
    return fd


def make_folder(path: Path, new: bool = False) -> None:
    """Make a folder, and those above it, which only their owner may write to.

    Args:
      path: The folder, which may exist unless it must be new.
      new: Whether it must.

    Raises:
      FileExistsError: It must, and is not.
      OSError: It cannot be made.
    """
    try:
        for folder in [*reversed(path.parents), path]:
            try:
                if (new and folder == path) or not folder.is_dir():
                    os.mkdir(folder, 0o755)
            except FileExistsError:
                if new and folder == path:
                    raise
    except OSError as error:
        raise _explained(error, path) from None


def read_whole(path: Path, limit: int = 2**24) -> bytes:
    """The bytes of a regular file.

    Raises:
      ValueError: They are more than `limit`.
    """
    with open(open_read(path), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it has more than {limit} bytes")
    return data


def open_read(path: str | os.PathLike[str]) -> int:
    """A descriptor for reading a regular file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(
            errno.EINVAL, "it is not a regular file. Give a file of a run", str(path)
        )
    return fd


def open_new(path: Path) -> int:
    """A descriptor for reading and appending to a file that did not exist."""
    try:
        return os.open(path, _NEW, 0o644)
    except OSError as error:
        raise _explained(error, path) from None


def lock(fd: int, path: Path) -> None:
    """Take the lock of a file, or say who has it."""
    try:
        # Not lockf: a POSIX lock is lost as soon as the process closes any other
        # descriptor of the same file.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WriterLockedError(
            f"{path} is being written by {_holder(fd)}; a record has one writer. "
            "Close or end that one, or choose another run_name."
        ) from None


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`; a short write goes on, and what refuses it raises."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def end_of_last_line(fd: int, size: int) -> int:
    """The byte after the last newline, found from the end."""
    end = size
    while end:
        start = max(0, end - _CHUNK)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def read_range(source: int, start: int, end: int) -> Iterator[bytes]:
    """Bytes of a file, in pieces."""
    while start < end and (chunk := os.pread(source, min(_CHUNK, end - start), start)):
        yield chunk
        start += len(chunk)


def copy_range(source: int, start: int, end: int, target: int) -> None:
    """Append bytes of one file to another, and put them on the disk."""
    for chunk in read_range(source, start, end):
        write_all(target, chunk)
    os.fsync(target)


def sync_folder(path: Path) -> None:
    """Put the name of a new file on the disk."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network file systems have no fsync of folders: names are durable there.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _explained(error: OSError, path: Path) -> OSError:
    advice = {
        errno.ELOOP: "it is a symbolic link, which a record does not follow. Remove it",
        errno.ENOTDIR: "a file is where a folder was expected. Choose another root",
        errno.EISDIR: "it is a folder where a file was expected. Remove it",
        errno.ENOENT: "its folder does not exist. Make the folder first",
        errno.EACCES: "writing there is not allowed. Choose another root",
        errno.EROFS: "the file system is read-only. Choose another root",
    }.get(error.errno or 0, f"{error.strerror}. Choose another root")
    return OSError(error.errno, advice, str(path))


def _holder(fd: int) -> str:
    # Linux lists locks with their owners; elsewhere nobody can say.
    inode = os.fstat(fd).st_ino
    with contextlib.suppress(OSError), open("/proc/locks") as locks:
        for line in locks:
            fields = line.split()
            if "FLOCK" in fields and fields[-3].endswith(f":{inode}"):
                own = fields[-4] == str(os.getpid())
                return "this process" if own else f"process {fields[-4]}"
    return "another writer"
