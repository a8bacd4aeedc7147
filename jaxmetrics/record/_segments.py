"""A copy of a growing file in pieces that are never changed once they are written.

For places that take new files but no appends: the mount of a bucket, a network disk.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jaxmetrics.record._io import atomic_write, open_read

_CHUNK = 2**20
_LARGEST = 2**26
_NAME = re.compile(r"(\d{8})-(\d+)-(\d+)-([0-9a-f]{8})")


class _Segment(NamedTuple):
    """Bytes [start, end) of the file; earlier ones have nothing more from there on."""

    number: int
    start: int
    end: int
    crc: int

    @property
    def name(self) -> str:
        return f"{self.number:08d}-{self.start}-{self.end}-{self.crc:08x}"


class Segments:
    """The pieces of one file, in a folder of their own.

    Their names have a number, the first byte, the end, and a CRC-32. The file is what
    results when each, in the order of numbers, cuts it at its first byte and is
    appended. `cat` in that order does, as long as nothing was ever cut back.

    Args:
      folder: Where the pieces are; it is made by the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._all = sorted(_found(folder))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._all)

    def update(self, path: Path, size: int) -> int:
        """Copy what the first `size` bytes of a file have beyond the pieces.

        A file that was cut back or replaced since is copied from where it differs.

        Returns:
          How many bytes were copied.

        Raises:
          OSError: A file could not be read or written; the next update tries again.
        """
        fd = open_read(path)
        try:
            first = start = self._same(fd, size)
            if start == size < self._end():
                self._write(start, b"")
            while piece := _read(fd, start, min(start + _LARGEST, size)):
                self._write(start, piece)
                start += len(piece)
        finally:
            os.close(fd)
        return start - first

    def restore(self, path: Path) -> None:
        """Make the file from the pieces, all at once; its folder is made too.

        Raises:
          ValueError: A piece is damaged or missing; the error names it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        end = 0
        for segment in _in_force(self._all):
            piece = self.folder / segment.name
            data = piece.read_bytes() if segment.start == end else b""
            if segment.start != end or zlib.crc32(data) != segment.crc:
                raise ValueError(
                    f"{piece} does not fit: it is damaged, or one before it is gone. "
                    f"Move it and those after it away to go back to what was there "
                    f"before them, or begin anew with overwrite=True."
                )
            yield data
            end = segment.end

    def _write(self, start: int, piece: bytes) -> None:
        number = self._all[-1].number + 1 if self._all else 1
        segment = _Segment(number, start, start + len(piece), zlib.crc32(piece))
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self.folder / segment.name, piece)
        self._all.append(segment)

    def _end(self) -> int:
        return self._all[-1].end if self._all else 0

    def _same(self, fd: int, size: int) -> int:
        """How many bytes, to the end of a piece, the file and the pieces share."""
        same = 0
        for segment in _in_force(self._all):
            if segment.end > size or _crc(fd, segment) != segment.crc:
                break
            same = segment.end
        return same


def _found(folder: Path) -> Iterator[_Segment]:
    names = os.listdir(folder) if folder.is_dir() else []
    for match in filter(None, map(_NAME.fullmatch, names)):
        number, start, end, crc = match.groups()
        yield _Segment(int(number), int(start), int(end), int(crc, 16))


def _in_force(segments: list[_Segment]) -> list[_Segment]:
    """Those that nothing later cuts into, which are whole pieces of the file."""
    kept: list[_Segment] = []
    for segment in segments:
        while kept and kept[-1].end > segment.start:
            kept.pop()
        kept.append(segment)
    return kept


def _crc(fd: int, segment: _Segment) -> int:
    crc = 0
    for start in range(segment.start, segment.end, _CHUNK):
        crc = zlib.crc32(_read(fd, start, min(start + _CHUNK, segment.end)), crc)
    return crc


def _read(fd: int, start: int, end: int) -> bytes:
    """Bytes [start, end) of a file, or as many of them as it has."""
    pieces = []
    while start < end and (piece := os.pread(fd, end - start, start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)
