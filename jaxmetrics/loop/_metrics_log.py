"""A log of training steps in one file, with its totals at hand."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxmetrics.record import (
    AppendFile,
    CorruptLineError,
    MetricsEntry,
    dumps,
    scan_lines,
)

__all__ = ["MetricsEntry", "MetricsLog", "MetricsSummary"]


@dataclass(frozen=True)
class MetricsSummary:
    """What a `MetricsLog` comes to; all zeros when it is empty.

    Attributes:
      total_steps: How many entries there are.
      total_wall_time_ms: That of the last entry.
      loss_min: The least finite loss; nan when no loss is finite.
      loss_mean: Their mean, summed in float64.
      loss_max: The greatest one.
      nonfinite_losses: How many losses are nan or infinite.
    """

    total_steps: int
    total_wall_time_ms: float
    loss_min: float
    loss_mean: float
    loss_max: float
    nonfinite_losses: int = 0


class MetricsLog:
    """The entries of a file of lines, read by `open` and appended to by `record`.

    The file is open only while it is read or written, so nothing is to be closed. Each
    line is one write, all of it or nothing, which a kill of the process does not undo.
    `Run.load` reads the file too.

    Example:
      >>> import tempfile
      >>> log = MetricsLog.open(f"{tempfile.mkdtemp()}/steps.jsonl")
      >>> log.record(MetricsEntry(1, 12.5, 2.3, 1.1, 100.0, {"lr": 3e-4}))
      >>> log.record(MetricsEntry(2, 25.0, 2.1, 1.0, 100.0))
      >>> log.summary().loss_min, len(log)
      (2.1, 2)
    """

    def __init__(self, path: Path, entries: list[MetricsEntry], position: int) -> None:
        """Hold what `open` has read."""
        self.path = path
        self._entries = entries
        self._position = position

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> MetricsLog:
        """Read a log, or begin one; its folders are made.

        Blank lines are passed over. A last line that a kill cut off is moved to
        `<file>.torn`, with a warning.

        Raises:
          CorruptLineError: A line is malformed; the error has its number.
          WriterLockedError: Another process is writing to the file just now.
          OSError: The file cannot be written, or is not a regular file.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with AppendFile(path) as file:
            entries = []
            for line in scan_lines(path):
                if line.row is None:
                    raise CorruptLineError(path, line.number, str(line.reason))
                try:
                    entries.append(MetricsEntry.of(line.row))
                except (TypeError, ValueError) as error:
                    raise CorruptLineError(path, line.number, str(error)) from None
            return cls(path, entries, file.position)

    def record(self, entry: MetricsEntry) -> None:
        """Append an entry to the file, and then to the log.

        Raises:
          RuntimeError: Somebody else has written to the file since it was read.
          OSError: The file system refused it; file and log are as before.
        """
        if not isinstance(entry, MetricsEntry):
            raise TypeError(
                f"MetricsLog.record() got a {type(entry).__name__}, expected a "
                f"MetricsEntry. Make one: MetricsEntry(step, wall_time_ms, ...)."
            )
        with AppendFile(self.path) as file:
            if file.position != self._position:
                raise RuntimeError(
                    f"{self.path} ends at byte {file.position}, expected "
                    f"{self._position}: another writer has changed it. Open it again."
                )
            file.write_line(dumps(entry.line()))
            self._position = file.position
            self._entries.append(entry)

    def summary(self) -> MetricsSummary:
        """The totals over all entries."""
        if not self._entries:
            return MetricsSummary(0, 0.0, 0.0, 0.0, 0.0)
        losses = [e.loss for e in self._entries if math.isfinite(e.loss)]
        nonfinite = len(self) - len(losses)
        low = min(losses, default=math.nan)
        mean = sum(losses) / len(losses) if losses else math.nan
        high = max(losses, default=math.nan)
        elapsed = self._entries[-1].wall_time_ms
        return MetricsSummary(len(self), elapsed, low, mean, high, nonfinite)

    def is_empty(self) -> bool:
        """Whether there is no entry."""
        return not self._entries

    def __iter__(self) -> Iterator[MetricsEntry]:
        """The entries, in the order they were recorded."""
        return iter(self._entries)

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._entries)
