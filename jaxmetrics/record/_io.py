"""File descriptors: open regular files only, lock, write all, make names durable."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

WHOLE_LIMIT = 2**24
"""Maximum size in bytes of a file that is read as a whole."""

_CHUNK_BYTES = 2**20
_APPEND_FLAGS = (
    os.O_RDWR
    | os.O_APPEND
    | os.O_CREAT
    | os.O_NOFOLLOW
    | os.O_CLOEXEC
    # Opening a pipe would block for ever without it.
    | os.O_NONBLOCK
)
# Opening a pipe to read would block for ever without O_NONBLOCK, too.
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_NEW_FLAGS = (
    os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
)
_URL = re.compile(r"[a-z][a-z0-9+]*:/", re.IGNORECASE)


class WriterLockedError(RuntimeError):
    """The file is open for writing in another live writer."""


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that names the same file after the process changes its folder.

    Args:
      path: Any path; `~` is the home directory.
    """
    return Path(os.path.expanduser(path)).absolute()


def atomic_write(path: str | os.PathLike[str], data: bytes | Iterable[bytes]) -> None:
    """Replace a file atomically: a reader or a kill sees the old or the new bytes.

    A symbolic link at the path is replaced, not followed.

    Args:
      path: The file.
      data: New contents, whole or in pieces.

    Raises:
      OSError: The folder cannot be written, or the disk is full; the file is as before.
    """
    path = Path(path)
    os.close(replace_file(path, [data] if isinstance(data, bytes) else data))
    sync_folder(path)


def replace_text(path: Path, text: str) -> None:
    """Replace a file that can be derived from others, without syncing it to disk.

    A reader or a kill sees the old or the new text; a loss of power may leave neither.

    Raises:
      OSError: The folder cannot be written, or the disk is full; the file is as before.
    """
    os.close(replace_file(path, [text.encode()], synced=False))


def replace_file(
    path: Path, pieces: Iterable[bytes], locked: bool = False, synced: bool = True
) -> int:
    """Write a new file and rename it to `path`, without syncing the folder.

    Args:
      path: The file to replace.
      pieces: New contents in pieces.
      locked: If true, lock the new file before it is renamed. Default False.
      synced: Sync the contents before the file is renamed. Default True.

    Returns:
      A descriptor of the new file for reading and appending.

    Raises:
      OSError: The file system refused it; the file, which it names, is as before.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        return _write_and_rename(temporary, path, pieces, locked, synced)
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise


def _write_and_rename(
    temporary: Path, path: Path, pieces: Iterable[bytes], locked: bool, synced: bool
) -> int:
    fd = open_new(temporary)
    try:
        if locked:
            lock(fd, temporary)
        for piece in pieces:
            write_all(fd, piece)
        if synced:
            os.fsync(fd)
        os.replace(temporary, path)
    except BaseException:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return fd


def open_locked(path: Path) -> int:
    """Open a file for appending and take its lock.

    Raises:
      WriterLockedError: Another writer holds the lock.
    """
    while True:
        fd = open_append(path)
        try:
            lock(fd, path)
            if is_open_at(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # another writer replaced the file before the lock was taken


def open_append(path: Path) -> int:
    """Open a regular file for reading and appending; create it if missing."""
    if _URL.match(str(path)):
        raise ValueError(
            f"{path} is not a local path, and object stores have no append. Write to "
            "a local folder, and copy it to the bucket at checkpoints."
        )
    try:
        fd = os.open(path, _APPEND_FLAGS, 0o644)
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
    """Create a folder and its parents, writable by their owner only.

    Args:
      path: The folder.
      new: If true, an existing folder is an error. Default False.

    Raises:
      FileExistsError: `new` is true and the folder exists.
      OSError: The folder cannot be created.
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


def read_whole(
    path: str | os.PathLike[str], limit: int = WHOLE_LIMIT, follow_links: bool = False
) -> bytes:
    """Return the bytes of a regular file.

    Args:
      path: The file.
      limit: Maximum size in bytes. Default 16 MiB.
      follow_links: As for `open_read`. Default False.

    Raises:
      ValueError: The file is larger than `limit`.
      OSError: The file cannot be read, or is not a regular file.
    """
    data = read_start(path, limit + 1, follow_links)
    if len(data) > limit:
        raise ValueError(f"it has more than {limit} bytes")
    return data


def read_start(
    path: str | os.PathLike[str], size: int, follow_links: bool = False
) -> bytes:
    """Return the first bytes of a regular file; fewer if it is shorter.

    Args:
      path: The file.
      size: Number of bytes.
      follow_links: As for `open_read`. Default False.

    Raises:
      OSError: The file cannot be read, or is not a regular file.
    """
    fd = open_read(path, follow_links)
    try:
        # Not `size` at once: its memory is reserved before anything is read.
        data = os.read(fd, min(size, os.fstat(fd).st_size + 1))
        while len(data) < size and (more := os.read(fd, min(size, _CHUNK_BYTES))):
            data += more[: size - len(data)]
        return data
    finally:
        os.close(fd)


def open_read(path: str | os.PathLike[str], follow_links: bool = False) -> int:
    """Open a regular file for reading.

    Args:
      path: The file.
      follow_links: Open the target of a symbolic link. For files that are only read
        back, as downloads of a hub may be folders of links; a writer does not follow
        the links of a folder that it writes to. Default False.

    Raises:
      OSError: The file cannot be read, or is not a regular file.
    """
    try:
        fd = os.open(path, _READ_FLAGS | (0 if follow_links else os.O_NOFOLLOW))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(
            errno.ELOOP,
            "it is a symbolic link, which is not followed here. Put the file itself "
            "in its place, or remove the link",
            str(path),
        ) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(
            errno.EINVAL,
            "it is not a regular file, so it is not read. Remove it, or give another "
            "file",
            str(path),
        )
    return fd


def read_end(path: str | os.PathLike[str], size: int) -> bytes:
    """Return the last bytes of a regular file, of which links are followed.

    Args:
      path: The file.
      size: Number of bytes; fewer if the file is shorter.

    Raises:
      OSError: The file cannot be read, or is not a regular file.
    """
    fd = open_read(Path(path), follow_links=True)
    try:
        end = os.fstat(fd).st_size
        return b"".join(read_range(fd, max(0, end - size), end))
    finally:
        os.close(fd)


def open_new(path: Path) -> int:
    """Create a file and open it for reading and appending.

    Raises:
      FileExistsError: The file exists.
    """
    try:
        return os.open(path, _NEW_FLAGS, 0o644)
    except OSError as error:
        raise _explained(error, path) from None


def open_unused(path: Path) -> tuple[Path, int]:
    """Create a file, with `-2` or a later number appended if its name is taken.

    Of n names that are taken about 2 log2(n) are looked at, and not all: a run may have
    been cut back many times.

    Returns:
      The path of the new file, and a descriptor for reading and appending.
    """

    def numbered(number: int) -> Path:
        return path if number == 1 else path.with_name(f"{path.name}-{number}")

    while True:
        taken, free = 0, 1
        while os.path.lexists(numbered(free)):
            taken, free = free, 2 * free
        while free - taken > 1:
            middle = (taken + free) // 2
            if os.path.lexists(numbered(middle)):
                taken = middle
            else:
                free = middle
        try:
            return numbered(free), open_new(numbered(free))
        except FileExistsError:
            continue  # another process was faster


def set_aside(path: Path, reason: str) -> Path:
    """Rename a damaged file to `<file>.damaged`, with a warning that says why.

    For files that can be written anew from others. A number is added to the name if it
    is taken.

    Returns:
      The new path.

    Raises:
      OSError: The file cannot be renamed.
    """
    moved, fd = open_unused(path.with_name(f"{path.name}.damaged"))
    os.close(fd)
    os.replace(path, moved)
    sync_folder(path)
    warnings.warn(
        f"{path} is damaged ({reason}). It was renamed to {moved.name}, and is written "
        f"anew.",
        stacklevel=3,
    )
    return moved


def lock(fd: int, path: Path) -> None:
    """Take the exclusive lock of an open file.

    Raises:
      WriterLockedError: Another writer holds it; the error names its process.
    """
    try:
        # Not lockf: a POSIX lock is lost as soon as the process closes any other
        # descriptor of the same file.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WriterLockedError(
            f"{path} is being written by {_lock_holder(fd)}; a record has one writer. "
            "Close or end that one, or choose another run_name."
        ) from None


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`, continuing after short writes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def end_of_last_line(fd: int, size: int) -> int:
    """Return the position after the last newline, searching from the end."""
    end = size
    while end:
        start = max(0, end - _CHUNK_BYTES)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def read_range(source: int, start: int, end: int) -> Iterator[bytes]:
    """Yield bytes [start, end) of a file in pieces; fewer if the file is shorter."""
    while start < end:
        chunk = os.pread(source, min(_CHUNK_BYTES, end - start), start)
        if not chunk:
            return
        yield chunk
        start += len(chunk)


def copy_range(source: int, start: int, end: int, target: int) -> None:
    """Append bytes [start, end) of one file to another, and sync it to disk."""
    for chunk in read_range(source, start, end):
        write_all(target, chunk)
    os.fsync(target)


def sync_folder(path: Path) -> None:
    """Sync the folder that holds a new file, which makes the file's name durable."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network file systems have no fsync of folders: names are durable there.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def is_open_at(fd: int, path: Path) -> bool:
    """Return whether the path still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _explained(error: OSError, path: Path) -> OSError:
    """Return the error with a message that says what to do."""
    advice = {
        errno.ELOOP: "it is a symbolic link, which a record does not follow. Remove it",
        errno.ENOTDIR: "a file is where a folder was expected. Choose another folder",
        errno.EISDIR: "it is a folder where a file was expected. Remove it",
        errno.ENOENT: "its folder does not exist. Make the folder first",
        errno.EACCES: "writing there is not allowed. Choose another folder",
        errno.EROFS: "the file system is read-only. Choose another folder",
    }.get(error.errno or 0, f"{error.strerror}. Choose another folder")
    return OSError(error.errno, advice, str(path))


def _lock_holder(fd: int) -> str:
    # Linux lists locks with their owners; other systems do not.
    inode = os.fstat(fd).st_ino
    with contextlib.suppress(OSError), open("/proc/locks") as locks:
        for line in locks:
            fields = line.split()
            if "FLOCK" in fields and fields[-3].endswith(f":{inode}"):
                own = fields[-4] == str(os.getpid())
                return "this process" if own else f"process {fields[-4]}"
    return "another writer"
