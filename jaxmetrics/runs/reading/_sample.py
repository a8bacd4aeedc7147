"""First look at a long record: rows at even distances, long before all are read."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmetrics.record import loads, open_read

_CHUNK_BYTES = 2**13
_MAX_CHUNK_BYTES = 2**20


class Sample(NamedTuple):
    """Rows of a file of lines.

    Attributes:
      rows: The rows, in the order of the file.
      offsets: Position of each row in bytes, ascending, int64.
    """

    rows: list[dict[str, Any]]
    offsets: np.ndarray


def sample_rows(path: Path, start: int, end: int, count: int) -> Sample:
    """Return rows at about `count` places of a file, at even distances.

    Around each place all rows of a few kilobytes are returned. Damaged lines, and those
    of a mebibyte and more, are left out.

    Args:
      path: File of one JSON object a line.
      start: Position in bytes of the first place.
      end: Position after the last place.
      count: Number of places.

    Raises:
      OSError: The file cannot be read.
    """
    rows: dict[int, dict[str, Any]] = {}
    fd = open_read(path, follow_links=True)
    try:
        last = max(end - _CHUNK_BYTES, start)
        for place in np.unique(np.linspace(start, last, count).astype(np.int64)):
            for offset, line in _lines(fd, int(place)):
                if offset >= end or offset in rows:
                    continue
                try:
                    row = loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict):
                    rows[offset] = row
    finally:
        os.close(fd)
    offsets = sorted(rows)
    return Sample([rows[at] for at in offsets], np.array(offsets, np.int64))


def _lines(fd: int, place: int) -> list[tuple[int, bytes]]:
    """Return the first complete lines that begin at a position or after it."""
    size = _CHUNK_BYTES + 1
    begin = max(place - 1, 0)  # the newline before the place, if it begins a line
    while size <= _MAX_CHUNK_BYTES:
        data = os.pread(fd, size, begin)
        first = data.find(b"\n") + 1 if place else 0
        last = data.rfind(b"\n") + 1
        if first < last and (first or not place):
            lines, offset = [], begin + first
            for line in io.BytesIO(data[first:last]):
                lines.append((offset, line))
                offset += len(line)
            return lines
        if len(data) < size:
            return []
        size *= 4
    return []
