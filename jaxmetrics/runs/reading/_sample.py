"""First look at a long record, long before all of it is read.

Two kinds of rows are read. Pieces of the file at even distances have the keys of most
rows; some of the pieces are long, so that keys that only some rows have are in them.
The lines of other splits than training, such as an evaluation in 250 rows, are found by
their bytes, since they would be in few pieces.
"""

from __future__ import annotations

import io
import os
import re
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmetrics.record import open_read, rows_of_lines

_CHUNK_BYTES = 2**12
_MAX_CHUNK_BYTES = 2**20
_LONG_EVERY = 25  # places: of these one is long
_LONG_BYTES = 2**17
_SCAN_BYTES = 2**20
_NEAR_BYTES = 128  # of a line, in which its split usually is
_MAX_LINES = 2**20  # that are found
_MAX_ROWS = 20_000  # of other splits that are read
_MAX_ROW_BYTES = 2**25  # of all of them
_RUN = 16  # consecutive lines that are left out or kept together
_TRAIN = re.compile(rb'"split": ?"train"')


class Sample(NamedTuple):
    """Rows of a file of lines.

    Attributes:
      rows: The rows, in the order of the file.
      offsets: Position of each row in bytes, ascending, int64.
    """

    rows: list[dict[str, Any]]
    offsets: np.ndarray

    def within(self, start: int, end: int) -> Sample:
        """Return the rows that begin in a range of the file."""
        low, high = np.searchsorted(self.offsets, [start, end])
        return Sample(self.rows[low:high], self.offsets[low:high])

    def joined(self, other: Sample) -> Sample:
        """Return the rows of both samples of one file, each once."""
        rows = dict(zip(self.offsets.tolist(), self.rows))
        rows |= zip(other.offsets.tolist(), other.rows)
        offsets = sorted(rows)
        return Sample([rows[at] for at in offsets], np.array(offsets, np.int64))


def sample_rows(path: Path, start: int, end: int, count: int) -> Sample:
    """Return rows at about `count` places of a file, at even distances.

    At each place all rows of a few kilobytes are returned, and at some places those of
    128. Damaged lines, and those of a mebibyte and more, are left out.

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
        places = np.unique(np.linspace(start, last, count).astype(np.int64)).tolist()
        for number, place in enumerate(places):
            is_long = number % _LONG_EVERY == _LONG_EVERY // 2
            lines = {
                offset: line
                for offset, line in _lines(fd, place, _LONG_BYTES if is_long else 0)
                if offset < end and offset not in rows
            }
            for offset, row in zip(lines, rows_of_lines([*lines.values()])):
                if row is not None:
                    rows[offset] = row
    finally:
        os.close(fd)
    offsets = sorted(rows)
    return Sample([rows[at] for at in offsets], np.array(offsets, np.int64))


def rows_of_other_splits(
    path: Path, between: Callable[[], object] = lambda: None
) -> Sample:
    """Return the rows of a file that are not of the split `train`.

    All bytes are looked at, and only these rows are parsed. Of more than 20,000 rows,
    or of 32 MiB, some are left out at even distances. Damaged lines, and those of a
    mebibyte and more, are left out.

    Args:
      path: File of one JSON object a line.
      between: Called after each mebibyte, where it may wait.

    Raises:
      OSError: The file cannot be read.
    """
    fd = open_read(path, follow_links=True)
    try:
        places, sizes = _other_lines(fd, between)
        kept = np.arange(len(places))
        total = float(sizes.sum())
        share = max(len(places) / _MAX_ROWS, total / _MAX_ROW_BYTES)
        if share > 1:  # runs of lines, since splits may take turns
            kept = kept[kept // _RUN % int(np.ceil(share)) == 0]
        rows, offsets = [], []
        for place, size in zip(places[kept].tolist(), sizes[kept].tolist()):
            (row,) = rows_of_lines([os.pread(fd, size, place)])
            if row is not None:
                rows.append(row)
                offsets.append(place)
    finally:
        os.close(fd)
    return Sample(rows, np.array(offsets, np.int64))


def _other_lines(
    fd: int, between: Callable[[], object]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions and sizes of the lines that are not of `train`."""
    places, sizes = array("q"), array("q")
    position, rest, mark = 0, b"", b""
    while (chunk := os.pread(fd, _SCAN_BYTES, position)) and len(places) < _MAX_LINES:
        between()
        begin = position - len(rest)
        position += len(chunk)
        data = rest + chunk
        if not mark:
            found = _TRAIN.search(data)
            mark = found[0] if found else b'"split":"train"'
        start = 0
        while (end := data.find(b"\n", start) + 1) > 0:
            near = min(start + _NEAR_BYTES, end)
            if data.find(mark, start, near) < 0 and data.find(mark, start, end) < 0:
                places.append(begin + start)
                sizes.append(end - start)
            start = end
        rest = data[start:]
        if len(rest) > _MAX_CHUNK_BYTES:  # in the middle of a line that is too long
            rest = b""
            position = _next_line(fd, position)
    return np.array(places, np.int64), np.array(sizes, np.int64)


def _next_line(fd: int, position: int) -> int:
    """Return where the next line begins."""
    while chunk := os.pread(fd, _SCAN_BYTES, position):
        if (end := chunk.find(b"\n") + 1) > 0:
            return position + end
        position += len(chunk)
    return position


def _lines(fd: int, place: int, length: int = 0) -> list[tuple[int, bytes]]:
    """Return the first complete lines that begin at a position or after it.

    Args:
      fd: The file.
      place: The position.
      length: Number of bytes to read; at least those of a line are.
    """
    size = max(length, _CHUNK_BYTES) + 1
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
