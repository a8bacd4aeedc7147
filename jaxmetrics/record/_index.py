"""Index of the steps in `metrics.jsonl`, so that reopening does not read all of it.

The index of `metrics.jsonl` is in `summary.json`, which is written at each flush. Its
segments are consecutive parts of the file: of each it has the end, the lowest and the
highest step, the last step by split, and the training seconds. Whoever needs the rows
up to a step reads only the segments that hold rows on both sides of it.
"""

from __future__ import annotations

import itertools
import logging
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxmetrics.record._io import open_read, read_range, read_whole, replace_text
from jaxmetrics.record._json import dumps, loads
from jaxmetrics.record._reader import scan_lines
from jaxmetrics.record._run_files import METRICS_JSONL, SUMMARY_JSON
from jaxmetrics.record._step import can_be_followed

_LOG = logging.getLogger("jaxmetrics")
_MAX_SEGMENTS = 256
_SEGMENT_BYTES = 2**16
_TAIL_BYTES = 2**12
_MAX_SECONDS = 2**63 - 1
_MAX_STEP = 2**63 - 1


@dataclass
class _Segment:
    """Consecutive lines of the file.

    Attributes:
      end: Position after the last of them, in bytes.
      low: Lowest step of a row; above all steps without rows.
      high: Highest step of a row; -1 without rows.
      last: Highest step of the records of scalars, by split.
      seconds: Highest training seconds of a row.
    """

    end: int
    low: int = _MAX_STEP
    high: int = -1
    last: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, row: Mapping[str, object], end: int) -> None:
        """Add the row that ends at a position."""
        self.end = end
        step, split, seconds = row.get("step"), row.get("split"), row.get("time")
        if not isinstance(step, int):
            return
        self.low, self.high = min(step, self.low), max(step, self.high)
        is_scalars = "kind" not in row  # media need no order of steps
        if isinstance(split, str) and is_scalars and can_be_followed(step):
            self.last[split] = max(step, self.last.get(split, 0))
        if isinstance(seconds, int | float) and self.seconds < seconds <= _MAX_SECONDS:
            self.seconds = float(seconds)

    def join(self, later: _Segment) -> None:
        """Extend the segment by the one that follows."""
        self.end = later.end
        self.low, self.high = min(self.low, later.low), max(self.high, later.high)
        for split, step in later.last.items():
            self.last[split] = max(step, self.last.get(split, 0))
        self.seconds = max(self.seconds, later.seconds)


class RecordIndex:
    """The steps of `metrics.jsonl`, and how far they go.

    Args:
      path: The file; it may be missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._segments: list[_Segment] = []
        self._size = _SEGMENT_BYTES

    @classmethod
    def of(cls, run_dir: Path) -> RecordIndex:
        """Return the index of a run, from its summary and the rows after it.

        Without a summary that fits, the whole file is read. Damaged lines have no step.

        Raises:
          OSError: The file cannot be read.
        """
        index, _ = cls.begin(run_dir)
        index.scan()
        return index

    @classmethod
    def begin(cls, run_dir: Path) -> tuple[RecordIndex, dict[str, Any]]:
        """Return the index of a summary, to which `scan` adds the rows after it.

        Returns:
          The index, and the summary; both are empty if it does not fit the record.

        Raises:
          OSError: The file cannot be read.
        """
        index, summary = cls(run_dir / METRICS_JSONL), read_summary(run_dir)
        if not (summary and _fits(summary, index._path)):
            return index, {}
        index._load(summary)
        return index, summary

    @property
    def position(self) -> int:
        """Position after the last line that is known."""
        return self._segments[-1].end if self._segments else 0

    def empty(self) -> RecordIndex:
        """Return the index of the same file without rows."""
        return RecordIndex(self._path)

    def bytes_after(self) -> int:
        """Return the size of what follows the last line that is known."""
        try:
            return os.stat(self._path).st_size - self.position
        except FileNotFoundError:
            return 0

    def add(self, row: Mapping[str, object], end: int) -> None:
        """Add the row that was appended and ends at a position."""
        segments = self._segments
        start = segments[-2].end if len(segments) > 1 else 0
        if not segments or segments[-1].end - start >= self._size:
            if len(segments) >= _MAX_SEGMENTS:
                self._size *= 2
                for segment, later in zip(segments[::2], segments[1::2]):
                    segment.join(later)
                self._segments = segments = segments[::2]
            segments.append(_Segment(end))
        segments[-1].add(row, end)

    def last(self, step: int | None = None) -> tuple[dict[str, int], float]:
        """Return the last step by split and the training seconds of rows up to a step.

        Args:
          step: The step; None takes all rows.

        Raises:
          OSError: The file cannot be read.
        """
        whole = _Segment(0)
        start = 0
        for segment in self._segments:
            if step is None or segment.high <= step:
                whole.join(segment)
            elif segment.low <= step:
                for row, end in _rows(self._path, start, segment.end):
                    if isinstance(at := row.get("step"), int) and at <= step:
                        whole.add(row, end)
            start = segment.end
        return whole.last, whole.seconds

    def line_steps(self, step: int) -> Iterator[tuple[int, int | None]]:
        """Yield positions after lines and the steps before them, to cut after a step.

        A segment that is entirely on one side of the step is one line. A damaged line
        of another segment counts as later than any step, with a warning.

        Raises:
          OSError: The file cannot be read.
        """
        start = 0
        for segment in self._segments:
            if segment.high <= step:
                yield segment.end, segment.high if segment.high >= 0 else None
            elif segment.low > step and start:  # the first one begins with a header
                yield segment.end, segment.low
            else:
                for row, end in _rows(self._path, start, segment.end):
                    at = row.get("step")
                    if not row:
                        _warn_of_damage(self._path, end)
                    yield end, at if isinstance(at, int) else None if row else _MAX_STEP
            start = segment.end

    def note_cut(self, position: int | None = None, step: int = _MAX_STEP) -> None:
        """Forget what was cut off the file; `scan` reads what was put in its place.

        Args:
          position: Position at which the file was cut; None if later rows of earlier
            steps were kept.
          step: Highest step that was kept.
        """
        kept = itertools.takewhile(
            lambda s: s.high <= step and (position is None or s.end <= position),
            self._segments,
        )
        self._segments = list(kept)

    def state(self) -> dict[str, Any]:
        """Return the index in plain values, to be checked against the file later."""
        segments = [
            [s.end, s.low if s.high >= 0 else None, s.high, s.last, s.seconds]
            for s in self._segments
        ]
        last, seconds = self.last()
        return {
            "step": last.get("train"),
            "last_steps": last,
            "elapsed": seconds,
            "position": self.position,
            "crc": crc_before(self._path, self.position),
            "segments": segments,
        }

    def _load(self, summary: Mapping[str, Any]) -> None:
        self._segments = [
            _Segment(end, _MAX_STEP if low is None else low, high, dict(last), seconds)
            for end, low, high, last, seconds in summary["segments"]
        ]
        while self.position > _MAX_SEGMENTS * self._size:
            self._size *= 2  # as when they were made

    def scan(
        self, follow: Callable[[Mapping[str, object]], None] | None = None
    ) -> None:
        """Add the rows after the last one that is known.

        Args:
          follow: Called with each of these rows.

        Raises:
          OSError: The file cannot be read.
        """
        try:
            file = os.stat(self._path)
        except FileNotFoundError:
            return
        if stat.S_ISREG(file.st_mode) and file.st_size <= self.position:
            return  # most records have nothing after their summary
        for row, end in _rows(self._path, self.position, None):
            self.add(row, end)
            if follow is not None:
                follow(row)


def read_summary(run_dir: Path) -> dict[str, Any]:
    """Return `summary.json`; empty if it is missing or damaged.

    It is derived from the record, and written anew.
    """
    try:
        summary = loads(read_whole(os.path.join(run_dir, SUMMARY_JSON)))
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}


def write_summary(run_dir: Path, summary: Mapping[str, Any]) -> None:
    """Replace `summary.json`; a loss of power may leave an older or an empty file.

    Raises:
      OSError: The folder cannot be written; the file is as before.
    """
    replace_text(run_dir / SUMMARY_JSON, f"{dumps(summary)}\n")


def _fits(summary: Mapping[str, Any], path: Path) -> bool:
    """Return whether a summary is of the present contents of a file."""
    position, segments = summary.get("position"), summary.get("segments")
    if not isinstance(position, int) or not isinstance(segments, list):
        return False
    end = 0
    for segment in segments:
        try:
            after, low, high, last, seconds = segment
            is_valid = (
                isinstance(after, int)
                and end < after <= position
                and isinstance(high, int)
                and (low is None or isinstance(low, int))
                and all(map(can_be_followed, last.values()))
                and isinstance(seconds, int | float)
            )
        except (TypeError, ValueError, AttributeError):
            return False
        if not is_valid:
            return False
        end = after
    if not 0 < position == end:
        return False
    try:
        crc = crc_before(path, position)
    except FileNotFoundError:
        return False
    return crc is not None and summary.get("crc") == crc


def crc_before(path: Path, position: int) -> int | None:
    """Return the CRC-32 of the 4 KiB before a position; None if it ends no line.

    Raises:
      OSError: The file cannot be read.
    """
    start = max(0, position - _TAIL_BYTES)
    fd = open_read(path, follow_links=True)
    try:
        if position > os.fstat(fd).st_size:
            return None
        data = b"".join(read_range(fd, start, position))
    finally:
        os.close(fd)
    ends_line = len(data) == position - start and (data.endswith(b"\n") or not position)
    return zlib.crc32(data) if ends_line else None


def _warn_of_damage(path: Path, end: int) -> None:
    _LOG.warning(
        "%s has a damaged line before byte %d, which is not kept. Look for it in the "
        "file that the cut saves.",
        path,
        end,
    )


def _rows(
    path: Path, start: int, stop: int | None
) -> Iterator[tuple[Mapping[str, object], int]]:
    """Yield the rows between two positions, and the position after each.

    A damaged line has no fields.
    """
    for line in scan_lines(path, end=start):
        if stop is not None and line.end > stop:
            return
        yield line.row or {}, line.end
