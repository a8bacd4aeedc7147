"""Copy a growing file as immutable segments.

For storage that takes new files but no appends: a mounted bucket, a network disk.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jaxmetrics.record._io import atomic_write, open_read, read_range, read_whole

_CHUNK_BYTES = 2**20
_MAX_SEGMENT_BYTES = 2**26
_NAME = re.compile(r"(\d{8})-(\d+)-(\d+)-([0-9a-f]{8})")


class _Segment(NamedTuple):
    """Bytes [start, end) of the file; they replace everything from `start` on."""

    number: int
    start: int
    end: int
    crc: int

    @property
    def name(self) -> str:
        return f"{self.number:08d}-{self.start}-{self.end}-{self.crc:08x}"


class Segments:
    """Segments of one file, in a folder of their own.

    The name of a segment consists of a number, its start and end in the file, and its
    CRC-32: `00000002-100-250-5e3a07c1`. To restore the file, each segment in the order
    of numbers truncates it at `start` and is appended there. If the file was never cut
    back, this is the concatenation of the segments (`cat`).

    Args:
      folder: Folder of the segments; created by the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._all = sorted(_segments_in(folder))

    def __bool__(self) -> bool:
        """Return whether there is any segment."""
        return bool(self._all)

    def update(self, path: Path, size: int) -> int:
        """Copy what the first `size` bytes of a file have beyond the segments.

        A file that was cut back or replaced since is copied from the first segment that
        differs.

        Args:
          path: The file.
          size: Number of bytes to copy, at most the file's size.

        Returns:
          Number of bytes copied.

        Raises:
          OSError: A file could not be read or written; the next update tries again.
        """
        fd = open_read(path)
        try:
            first = start = self._common_size(fd, size)
            if start == size < self._end():
                self._write(start, b"")
            while data := _read(fd, start, min(start + _MAX_SEGMENT_BYTES, size)):
                self._write(start, data)
                start += len(data)
        finally:
            os.close(fd)
        return start - first

    def restore(self, path: Path) -> None:
        """Write the file from the segments atomically, with its folder.

        Raises:
          ValueError: A segment is damaged or missing; the error names it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, self._contents())

    def _contents(self) -> Iterator[bytes]:
        end = 0
        for segment in _remaining(self._all):
            path = self.folder / segment.name
            data = read_whole(path, segment.end - end) if segment.start == end else b""
            if segment.start != end or zlib.crc32(data) != segment.crc:
                raise ValueError(
                    f"{path} does not match its name or the segments before it: it is "
                    f"damaged, or an earlier one is missing. Move it and the later "
                    f"ones away to restore the state before them, or start again with "
                    f"overwrite=True."
                )
            yield data
            end = segment.end

    def _write(self, start: int, data: bytes) -> None:
        number = self._all[-1].number + 1 if self._all else 1
        segment = _Segment(number, start, start + len(data), zlib.crc32(data))
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self.folder / segment.name, data)
        self._all.append(segment)

    def _end(self) -> int:
        return self._all[-1].end if self._all else 0

    def _common_size(self, fd: int, size: int) -> int:
        """Return how many bytes the file and its leading segments have in common."""
        common = 0
        for segment in _remaining(self._all):
            if segment.end > size or _crc(fd, segment) != segment.crc:
                break
            common = segment.end
        return common


def _segments_in(folder: Path) -> Iterator[_Segment]:
    names = os.listdir(folder) if folder.is_dir() else []
    for match in filter(None, map(_NAME.fullmatch, names)):
        number, start, end, crc = match.groups()
        yield _Segment(int(number), int(start), int(end), int(crc, 16))


def _remaining(segments: list[_Segment]) -> list[_Segment]:
    """Return the segments that no later one truncates.

    After 0-10, 10-20 and then 10-15 the file consists of 0-10 and 10-15.
    """
    remaining: list[_Segment] = []
    for segment in segments:
        while remaining and remaining[-1].end > segment.start:
            remaining.pop()
        remaining.append(segment)
    return remaining


def _crc(fd: int, segment: _Segment) -> int:
    crc = 0
    for start in range(segment.start, segment.end, _CHUNK_BYTES):
        crc = zlib.crc32(_read(fd, start, min(start + _CHUNK_BYTES, segment.end)), crc)
    return crc


def _read(fd: int, start: int, end: int) -> bytes:
    """Return bytes [start, end) of a file, fewer if it is shorter."""
    return b"".join(read_range(fd, start, end))
