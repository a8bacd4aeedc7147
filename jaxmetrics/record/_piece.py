"""Format of a piece: one copy of a run's files, as it lies in a mirror.

A piece is never changed. Its name tells who wrote it and when:

    000002-1763210000000-5e3a07c1-00000003
    order of the attempt, its start in ms, its token, number of the piece

Names are ordered as attempts are, and within an attempt as its copies are. The content
is one line, a CRC-32 and a JSON header, followed by the new bytes of each file in the
order of the header:

    7d6a9c01 {"schema":1,"parent":"000001-...","complete":true,"files":[...]}

A piece holds only what its files have beyond the piece that it builds on, its parent.
The header lists every file, also one without new bytes. Of a file that was cut back or
replaced, `start` is smaller than the end that it had in the parent.
"""

from __future__ import annotations

import re
import secrets
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxmetrics.record._json import dumps, loads

MAX_PIECE_BYTES = 2**26
MAX_HEADER_BYTES = 2**22
MAX_PIECES = 1024
_MAX_FILE_BYTES = 2**45
_NAME = re.compile(r"((\d{6})-(\d{13})-([0-9a-f]{8}))-(\d{8})")
_SCHEMA = 1


class Attempt(NamedTuple):
    """Identity of an attempt; a later attempt is greater.

    Attributes:
      order: Number above that of every attempt known when this one began.
      started: Start in milliseconds since the epoch.
      token: Random hexadecimal digits.
    """

    order: int
    started: int
    token: str

    @classmethod
    def new(cls, order: int, started: float) -> Attempt:
        """Return the identity of an attempt that begins.

        Args:
          order: Number of the attempt; larger than that of any known one.
          started: Seconds since the epoch.
        """
        milliseconds = min(max(int(started * 1000), 0), 10**13 - 1)
        return cls(min(order, 999_999), milliseconds, secrets.token_hex(4))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that `run.json` keeps of an attempt."""
        return {
            "order": self.order,
            "started": self.started / 1000,
            "token": self.token,
        }

    def __str__(self) -> str:
        """Return the start of the names of its pieces."""
        return f"{self.order:06d}-{self.started:013d}-{self.token}"


def attempt_of_piece(name: str) -> Attempt | None:
    """Return the attempt that wrote a piece; None if it is not the name of one."""
    match = _NAME.fullmatch(name)
    return match and Attempt(int(match[2]), int(match[3]), match[4])


def number_of_piece(name: str) -> int:
    """Return the number of a piece among those of its attempt."""
    return int(name.rpartition("-")[2])


def last_attempt(run: Mapping[str, Any]) -> Attempt | None:
    """Return the identity of the last attempt in `run.json`; None if it has none."""
    match (run.get("attempts") or [None])[-1]:
        case {"order": int(order), "started": int() | float() as started}:
            return _checked(order, started, run["attempts"][-1].get("token"))
    return None


def _checked(order: int, started: float, token: object) -> Attempt | None:
    if not isinstance(token, str) or not 0 <= started < 10**10:
        return None
    name = f"{Attempt(order, round(started * 1000), token)}-00000000"
    return attempt_of_piece(name)


class Mark(NamedTuple):
    """A position in a file, and the CRC-32 of all bytes before it."""

    position: int
    crc: int


class PieceFile(NamedTuple):
    """Part of a file that a piece holds.

    Attributes:
      name: Path of the file in the run directory.
      start: Position of the first byte.
      end: Size of the file as of this piece.
      crc: CRC-32 of bytes [start, end).
      marks: Earlier ends of the file, ascending; the last is its size.
      modified: Time of its last change, in seconds since the epoch.
    """

    name: str
    start: int
    end: int
    crc: int
    marks: tuple[Mark, ...]
    modified: float = 0.0


class Piece(NamedTuple):
    """Header of a piece.

    Attributes:
      name: Name of the piece.
      parent: Name of the piece that it builds on; None if it holds all bytes.
      depth: Number of pieces before it, down to one without a parent; less than 1024.
      complete: Whether it ends a copy. A copy larger than 64 MiB consists of several
        pieces, of which only the last is complete.
      files: Files in the order of their bytes.
      body: Position of the first byte of the files in the piece.
    """

    name: str
    parent: str | None
    depth: int
    complete: bool
    files: tuple[PieceFile, ...]
    body: int = 0


def encode_header(piece: Piece) -> bytes:
    """Return the first line of a piece."""
    fields = {"schema": _SCHEMA, "name": piece.name, "parent": piece.parent}
    fields |= {"depth": piece.depth, "complete": piece.complete}
    fields["files"] = [
        file._asdict() | {"marks": [list(mark) for mark in file.marks]}
        for file in piece.files
    ]
    text = dumps(fields).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode_header(name: str, data: bytes) -> Piece:
    """Return the header of a piece.

    Args:
      name: Name of the piece.
      data: Its first bytes, with the whole first line.

    Raises:
      ValueError: It is damaged.
    """
    line, newline, _ = data.partition(b"\n")
    crc, _, text = line.partition(b" ")
    if not newline or crc != b"%08x" % zlib.crc32(text):
        raise ValueError("its first line is damaged")
    match loads(text.decode()):
        case {
            "schema": 1,
            "name": str(own_name),
            "parent": str() | None as parent,
            "depth": int(depth),
            "complete": bool(complete),
            "files": [*entries],
        }:
            files = tuple(map(_file, entries))
            piece = Piece(name, parent, depth, complete, files, len(line) + 1)
        case _:
            raise ValueError("it has another format; a newer version wrote it")
    if own_name != name:
        raise ValueError(f"it is a copy of {own_name}")
    if parent is not None and not (attempt_of_piece(parent) and parent < name):
        raise ValueError("its parent is not an earlier piece")
    if not 0 <= depth < MAX_PIECES:
        raise ValueError("it follows too many others")
    if sum(file.end - file.start for file in files) > MAX_PIECE_BYTES:
        raise ValueError("it is too large")
    if len({file.name for file in files}) < len(files):
        raise ValueError("it lists a file twice")
    return piece


def _file(entry: object) -> PieceFile:
    match entry:
        case {
            "name": str(name),
            "start": int(start),
            "end": int(end),
            "crc": int(crc),
            "marks": [*marks],
            "modified": int() | float() as modified,
        } if 0 <= start <= end <= _MAX_FILE_BYTES and 0 <= modified < 10**10:
            parts = tuple(map(_mark, marks))
            return PieceFile(name, start, end, crc, parts, modified)
    raise ValueError("its list of files is damaged")


def _mark(entry: object) -> Mark:
    match entry:
        case [int(position), int(crc)]:
            return Mark(position, crc)
    raise ValueError("its list of files is damaged")
