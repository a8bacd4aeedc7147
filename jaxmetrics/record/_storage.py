"""Folders of immutable objects: on a disk, or below an address such as `gs://bucket`.

A bucket has no append, no rename and no lock. What both kinds have in common is all
that is used: list names, read a range, create an object whole.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from jaxmetrics._lazy import optional
from jaxmetrics.record._io import (
    absolute_path,
    atomic_write,
    make_folder,
    open_read,
    read_range,
)

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)


class Storage(Protocol):
    """A folder, local or remote.

    Attributes:
      address: Its path or address.
    """

    address: str

    def child(self, name: str) -> Storage:
        """Return a folder below this one, which need not exist."""
        ...

    def create(self) -> None:
        """Create the folder, where folders exist.

        Raises:
          OSError: It cannot be created.
        """
        ...

    def names(self) -> list[str]:
        """Return the names of files and folders in it; none if it does not exist.

        Raises:
          OSError: The storage cannot be reached.
        """
        ...

    def read(self, name: str, start: int, end: int) -> bytes:
        """Return bytes [start, end) of a file; fewer if it is shorter.

        Raises:
          ValueError: It is missing, or not a regular file.
          OSError: The storage cannot be reached.
        """
        ...

    def write(self, name: str, data: bytes) -> None:
        """Create a file: all of it, or nothing and an error.

        Raises:
          OSError: The file exists, or the storage cannot be reached.
        """
        ...


def open_storage(folder: str | os.PathLike[str]) -> Storage:
    """Return a folder by its path, or by its address.

    Args:
      folder: Local folder, where `~` is the home directory; or an address with a
        scheme that `fsspec` knows, as `etils.epath` has them: `gs://bucket/folder`.

    Raises:
      ImportError: The package for the scheme is not installed.
      ValueError: The scheme is unknown.
    """
    if is_remote(folder):
        return RemoteStorage(address_of(folder))
    return LocalStorage(absolute_path(folder))


def is_remote(folder: str | os.PathLike[str]) -> bool:
    """Return whether a path is an address, such as `gs://bucket`.

    >>> is_remote("gs://bucket/runs"), is_remote("runs/gs"), is_remote("C:/runs")
    (True, False, False)
    """
    return _ADDRESS.match(os.fspath(folder)) is not None


def address_of(folder: str | os.PathLike[str]) -> str:
    """Return an address with two slashes, of which `pathlib` leaves one.

    >>> address_of(Path("gs://bucket/runs"))
    'gs://bucket/runs'
    """
    return _ADDRESS.sub(r"\1://\2", os.fspath(folder)).rstrip("/")


class LocalStorage:
    """A folder on a disk. Symbolic links in it are not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.address: str = str(path)

    def child(self, name: str) -> LocalStorage:
        return LocalStorage(self.path / name)

    def create(self) -> None:
        make_folder(self.path)

    def names(self) -> list[str]:
        try:
            return os.listdir(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, name: str, start: int, end: int) -> bytes:
        try:
            fd = open_read(self.path / name)
            try:
                return b"".join(read_range(fd, start, end))
            finally:
                os.close(fd)
        except OSError as error:
            raise ValueError(error.strerror or str(error)) from error

    def write(self, name: str, data: bytes) -> None:
        path = self.path / name
        if os.path.lexists(path):
            raise FileExistsError(f"{path} exists")
        make_folder(self.path)
        atomic_write(path, data)


class RemoteStorage:
    """Objects below an address. Listings are not cached: others write there too."""

    def __init__(self, address: str) -> None:
        self.address = address
        with optional(repr(address), "gcs"):
            from fsspec.core import url_to_fs
        try:
            opened: Any = url_to_fs(address, use_listings_cache=False)
        except ImportError as error:
            raise ImportError(
                f"{address!r} needs a package that is not installed ({error}). Run "
                f"`pip install jaxmetrics[gcs]`, or install the package for another "
                f"storage."
            ) from error
        except ValueError as error:
            raise ValueError(
                f"{address!r} is not an address of a known storage ({error}). Give a "
                f"folder, or an address such as gs://bucket/folder."
            ) from None
        self._files, self._path = opened

    def child(self, name: str) -> RemoteStorage:
        return RemoteStorage(f"{self.address}/{name}")

    def create(self) -> None:
        self.names()  # an address has no folders; this raises if it is out of reach

    def names(self) -> list[str]:
        try:
            with self._reaching():
                paths = self._files.ls(self._path, detail=False)
        except FileNotFoundError:
            return []
        return [path.rstrip("/").rpartition("/")[2] for path in paths]

    def read(self, name: str, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        try:
            with self._reaching():
                return bytes(self._files.cat_file(f"{self._path}/{name}", start, end))
        except FileNotFoundError:
            raise ValueError("it does not exist") from None

    def write(self, name: str, data: bytes) -> None:
        try:
            with self._reaching():
                self._files.pipe_file(f"{self._path}/{name}", data, mode="create")
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.address} is in no bucket that exists. Create the bucket first."
            ) from None

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Turn the errors of the many libraries below into OSError."""
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            raise OSError(
                f"{self.address} cannot be used ({type(error).__name__}: {error}). "
                f"Check the address, the credentials and the network."
            ) from error
