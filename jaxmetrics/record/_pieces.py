"""Copies of a run's files as pieces in a mirror, and files made from pieces.

One copy of all files is one commit: the files of the last complete piece belong
together. Several attempts may write to one mirror at the same time, as a machine that
is being taken away and the one that replaces it. Their pieces never mix, since each
piece names the one that it builds on:

    1-a <- 2-a <- 3-a            attempt 1, which goes on after its replacement began
              \\- 1-b <- 2-b      attempt 2, made from 2-a: its files are restored
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from jaxmetrics.record._io import make_folder, open_read, read_range
from jaxmetrics.record._piece import (
    MAX_HEADER_BYTES,
    MAX_PIECE_BYTES,
    Attempt,
    Mark,
    Piece,
    PieceFile,
    attempt_of_piece,
    decode_header,
    encode_header,
    number_of_piece,
)
from jaxmetrics.record._storage import Storage

_FIRST_READ_BYTES = 2**16
_CHUNK_BYTES = 2**20
_MAX_DEPTH = 256  # of the parent of a copy
_MAX_MARKS = 8
_NEW_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Source(NamedTuple):
    """A file to copy.

    Attributes:
      name: Its name in the run directory.
      path: Its path.
      size: Number of bytes to copy.
      modified: Time of its last change, in seconds since the epoch.
    """

    name: str
    path: Path
    size: int
    modified: float = 0.0


class Pieces:
    """The pieces of one process of a run, in a folder of the mirror.

    Args:
      storage: The folder.
      accepts: Returns whether a file of this name is restored; others are ignored.
      required: Name of a file that each copy has; without it, it is none of a run.

    Attributes:
      damaged: Why each piece that was found to be damaged or without its parent cannot
        be used.
    """

    def __init__(
        self, storage: Storage, accepts: Callable[[str], bool], required: str
    ) -> None:
        self.storage = storage
        self._required = required
        self._accepts = accepts
        self.damaged: dict[str, str] = {}
        self._headers: dict[str, Piece] = {}

    def names(self) -> list[str]:
        """Return the names of all pieces, the oldest attempt first.

        Raises:
          OSError: The storage cannot be reached.
        """
        return sorted(filter(attempt_of_piece, self.storage.names()))

    def latest(self, names: Iterable[str]) -> Piece | None:
        """Return the last copy of which all pieces are there, without reading files.

        Args:
          names: Names of the pieces.

        Raises:
          OSError: The storage cannot be reached.
        """
        existing = set(names)
        for chain in self._chains(existing):
            if existing.issuperset(piece.name for piece in chain):
                return chain[0]
        return None

    def is_whole(self, piece: Piece, names: Iterable[str]) -> bool:
        """Return whether a piece and all those before it are there.

        Args:
          piece: The piece.
          names: Names of the pieces.

        Raises:
          OSError: The storage cannot be reached.
        """
        existing, following = set(names), piece
        try:
            while following.name in existing:
                if following.parent is None:
                    return True
                following = self._header(following.parent)
        except ValueError:
            pass
        return False

    def restore(self, names: Iterable[str], folder: Path) -> Piece | None:
        """Write the files of the last copy that is whole to an empty folder.

        Args:
          names: Names of the pieces.
          folder: Folder; it is left empty if no copy is whole.

        Returns:
          The copy's last piece; `damaged` has what was passed over. None if there is no
          whole copy.

        Raises:
          OSError: The storage cannot be reached, or the folder cannot be written.
        """
        for chain in self._chains(names):
            try:
                self._write_files(chain, folder)
                return chain[0]
            except _DamageError as damage:
                for piece in chain[: damage.depth + 1]:
                    self.damaged[piece.name] = str(damage)
        return None

    def _chains(self, names: Iterable[str]) -> Iterator[list[Piece]]:
        """Yield the pieces of each copy, the last ones first; the last copy first."""
        for name in sorted(names, reverse=True):
            if (chain := self._chain(name)) and chain[0].complete:
                yield chain

    def _chain(self, name: str) -> list[Piece] | None:
        """Return a piece and those it needs; None if one is damaged or missing."""
        chain: list[Piece] = []
        needed: dict[str, int] = {}
        following: str | None = name
        while following is not None:
            try:
                piece = self._header(following)
            except ValueError as error:  # those after it need it as well
                self.damaged |= {piece.name: str(error) for piece in chain}
                return None
            if chain and piece.depth != chain[-1].depth - 1:
                self.damaged[name] = f"{name}: {piece.name} is not the one before it"
                return None
            if not chain:
                needed = self._sizes(piece)
                if piece.complete and self._required not in needed:
                    self.damaged[name] = f"{name}: it has no {self._required}"
                    return None
            chain.append(piece)
            files = {file.name: file for file in piece.files}
            for file, size in needed.items():
                if size and (file not in files or files[file].end < size):
                    self.damaged[name] = f"{name}: {piece.name} has too little of it"
                    return None
                needed[file] = min(size, files[file].start) if size else 0
            following = piece.parent if any(needed.values()) else None
        if any(needed.values()):
            self.damaged[name] = f"{name}: its first bytes are missing"
            return None
        return chain

    def _sizes(self, piece: Piece) -> dict[str, int]:
        """Return the sizes of the files of a copy that are restored."""
        return {f.name: f.end for f in piece.files if self._accepts(f.name)}

    def _header(self, name: str) -> Piece:
        """Return the header of a piece.

        Raises:
          ValueError: The piece is damaged or missing.
        """
        if name in self.damaged:
            raise ValueError(self.damaged[name])
        if name not in self._headers:
            try:
                data = self.storage.read(name, 0, _FIRST_READ_BYTES)
                if b"\n" not in data and len(data) == _FIRST_READ_BYTES:
                    data = self.storage.read(name, 0, MAX_HEADER_BYTES)
                self._headers[name] = decode_header(name, data)
            except ValueError as error:
                self.damaged[name] = f"{name}: {error}"
                raise ValueError(self.damaged[name]) from None
        return self._headers[name]

    def _write_files(self, chain: list[Piece], folder: Path) -> None:
        """Write the files of a copy, their last bytes first."""
        needed = self._sizes(chain[0])
        opened: dict[str, int] = {}
        make_folder(folder)
        try:
            for name in needed:
                make_folder((folder / name).parent)
                opened[name] = os.open(folder / name, _NEW_FLAGS, 0o644)
            for depth, piece in enumerate(chain):
                position = piece.body
                for file in piece.files:
                    size = needed.get(file.name, 0)
                    if file.start < size:
                        end = position + file.end - file.start
                        data = self._read(piece, position, end, file.crc, depth)
                        _write_at(opened[file.name], data[: size - file.start], file)
                        needed[file.name] = file.start
                    position += file.end - file.start
            for file in chain[0].files:
                if file.name in opened:
                    _check_whole(opened[file.name], file)
                    os.utime(opened[file.name], (file.modified, file.modified))
                    os.fsync(opened[file.name])
        except BaseException:
            for name in opened:
                (folder / name).unlink()
            raise
        finally:
            for fd in opened.values():
                os.close(fd)

    def _read(self, piece: Piece, start: int, end: int, crc: int, depth: int) -> bytes:
        try:
            data = self.storage.read(piece.name, start, end)
        except ValueError as error:
            raise _DamageError(f"{piece.name}: {error}", depth) from None
        if len(data) < end - start or zlib.crc32(data) != crc:
            raise _DamageError(f"{piece.name}: its bytes are damaged", depth)
        return data

    def write(
        self,
        attempt: Attempt,
        number: int,
        parent: Piece | None,
        sources: Iterable[Source],
    ) -> Piece:
        """Copy what files have beyond an earlier copy.

        Args:
          attempt: The attempt that writes.
          number: Number of the first piece; larger than that of any piece that this
            attempt has tried to write.
          parent: Last piece of an earlier copy; None copies all bytes. After 256 pieces
            all bytes are copied, so that a restore takes a bounded number of reads.
          sources: The files.

        Returns:
          The last piece written; `parent` if nothing has changed since, and it is of
          the same attempt.

        Raises:
          OSError: A file could not be read, or a piece not be written.
        """
        if parent is not None and parent.depth >= _MAX_DEPTH:
            parent = None
        copy = _Copy(self.storage, attempt, number, parent, list(sources))
        piece = copy.write()
        self._headers[piece.name] = piece
        return piece


class _DamageError(ValueError):
    """Bytes of a chain are damaged.

    Attributes:
      depth: Index of the damaged piece in the chain; those before it depend on it.
    """

    def __init__(self, message: str, depth: int) -> None:
        super().__init__(message)
        self.depth = depth


class _Copy:
    """One copy of the files, as one piece or several."""

    def __init__(
        self,
        storage: Storage,
        attempt: Attempt,
        number: int,
        parent: Piece | None,
        sources: list[Source],
    ) -> None:
        self._storage = storage
        self._attempt = attempt
        self._number = number
        self._first = self._parent = parent
        self._sources = sources
        known = {file.name: file for file in parent.files} if parent else {}
        empty = PieceFile("", 0, 0, 0, ())
        self._files = {
            source.name: _carried(known.get(source.name, empty))._replace(
                name=source.name
            )
            for source in sources
        }
        self._body: list[bytes] = []
        self._room = MAX_PIECE_BYTES

    def write(self) -> Piece:
        for source in self._sources:
            fd = open_read(source.path)
            try:
                self._add(fd, source)
            finally:
                os.close(fd)
        if self._is_unchanged():
            assert self._parent is not None
            return self._parent
        return self._write_piece(complete=True)

    def _add(self, fd: int, source: Source) -> None:
        common = _common_marks(fd, source.size, self._files[source.name].marks)
        position, crc = common[-1] if common else Mark(0, 0)
        modified = min(max(source.modified, 0.0), 1e10 - 1)
        file = PieceFile(source.name, position, position, 0, common, modified)
        self._files[source.name] = file
        while data := _read(fd, position, min(source.size, position + self._room)):
            position += len(data)
            crc = zlib.crc32(data, crc)
            self._body.append(data)
            self._room -= len(data)
            marks = (*common, Mark(position, crc))[-_MAX_MARKS:]
            file = file._replace(
                end=position, crc=zlib.crc32(data, file.crc), marks=marks
            )
            self._files[source.name] = file
            if not self._room:
                self._write_piece(complete=False)
                file = self._files[source.name]

    def _is_unchanged(self) -> bool:
        first = self._first
        if first is None or attempt_of_piece(first.name) != self._attempt:
            return False
        ends = [(file.name, file.end) for file in first.files]
        return (
            first is self._parent
            and not self._body
            and ends == [(file.name, file.end) for file in self._files.values()]
        )

    def _write_piece(self, complete: bool) -> Piece:
        name = f"{self._attempt}-{self._number:08d}"
        depth = self._parent.depth + 1 if self._parent else 0
        parent = self._parent.name if self._parent else None
        piece = Piece(name, parent, depth, complete, tuple(self._files.values()))
        header = encode_header(piece)
        self._storage.write(name, b"".join([header, *self._body]))
        self._parent = piece._replace(body=len(header))
        self._number += 1
        self._files = {name: _carried(file) for name, file in self._files.items()}
        self._body, self._room = [], MAX_PIECE_BYTES
        return self._parent


def next_number(attempt: Attempt, names: Iterable[str]) -> int:
    """Return a number above those of an attempt's pieces."""
    own = [number_of_piece(n) for n in names if attempt_of_piece(n) == attempt]
    return max(own, default=0) + 1


def _carried(file: PieceFile) -> PieceFile:
    """Return the part of a file without new bytes that follows a part."""
    return file._replace(start=file.end, crc=0)


def _common_marks(fd: int, size: int, marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """Return the marks up to which a file has the bytes that were copied."""
    position = crc = 0
    for number, mark in enumerate(marks):
        if mark.position > size:
            return marks[:number]
        for start in range(position, mark.position, _CHUNK_BYTES):
            end = min(start + _CHUNK_BYTES, mark.position)
            crc = zlib.crc32(_read(fd, start, end), crc)
        if crc != mark.crc:
            return marks[:number]
        position = mark.position
    return marks


def _check_whole(fd: int, file: PieceFile) -> None:
    """Compare a restored file with the CRC-32 of all its bytes."""
    last = Mark(file.end, 0 if not file.end else -1)
    if file.marks:
        last = file.marks[-1]
    if last.position != file.end or not _common_marks(fd, file.end, (last,)):
        raise _DamageError(f"{file.name} is not what was copied", 0)


def _write_at(fd: int, data: bytes, file: PieceFile) -> None:
    position = file.start
    while data:
        written = os.pwrite(fd, data, position)
        data, position = data[written:], position + written


def _read(fd: int, start: int, end: int) -> bytes:
    """Return bytes [start, end) of a file, fewer if it is shorter."""
    return b"".join(read_range(fd, start, end))
