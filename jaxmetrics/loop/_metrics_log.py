"""A log of training steps in one JSON Lines file, with a summary."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxmetrics.record import (
    AppendFile,
    CorruptLineError,
    DiskErrors,
    MetricsEntry,
    absolute_path,
    dumps,
    scan_lines,
    states,
)

__all__ = ["MetricsEntry", "MetricsLog", "MetricsSummary"]


@dataclass(frozen=True)
class MetricsSummary:
    """Summary of a `MetricsLog`; all zeros if the log is empty.

    Attributes:
      total_steps: Number of entries.
      total_wall_time_ms: Wall time of the last entry, in milliseconds.
      loss_min: Smallest finite loss; NaN if no loss is finite.
      loss_mean: Mean of the finite losses, in float64; NaN if no loss is finite.
      loss_max: Largest finite loss; NaN if no loss is finite.
      nonfinite_losses: Number of losses that are NaN or infinite.
    """

    total_steps: int
    total_wall_time_ms: float
    loss_min: float
    loss_mean: float
    loss_max: float
    nonfinite_losses: int = 0


class MetricsLog:
    """Entries of a JSON Lines file, read by `open` and appended by `record`.

    The file is open only while it is read or written, so there is nothing to close.
    Each line is one atomic write, which survives a kill of the process. `Run.load`
    reads the file too.

    Example:
      >>> import tempfile
      >>> log = MetricsLog.open(f"{tempfile.mkdtemp()}/steps.jsonl")
      >>> log.record(MetricsEntry(1, 12.5, 2.3, 1.1, 100.0, {"lr": 3e-4}))
      >>> log.record(MetricsEntry(2, 25.0, 2.1, 1.0, 100.0))
      >>> log.summary().loss_min, len(log)
      (2.1, 2)
    """

    def __init__(self, path: Path, entries: list[MetricsEntry], position: int) -> None:
        """Store what `open` has read; use `open` to create a log."""
        self.path = path
        self._entries = entries
        self._position = position
        self._unwritten = 0  # of the last entries
        self._cut: tuple[int, str] | None = None  # still to be made
        self._errors = DiskErrors(f"The log {path}", "its entries wait in memory")

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> MetricsLog:
        """Read a log, or create one with its parent directories.

        Blank lines are skipped. An incomplete last line, left by a kill, is moved to
        `<file>.torn`, with a warning.

        Raises:
          CorruptLineError: A line is malformed; the error has the line number.
          WriterLockedError: Another process is writing to the file.
          OSError: The file cannot be written, or is not a regular file.
        """
        path = absolute_path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with AppendFile(path) as file:
            entries = []
            for line in scan_lines(path):
                if line.row is None:
                    raise CorruptLineError(path, line.number, str(line.reason))
                try:
                    entries.append(MetricsEntry.from_row(line.row))
                except (TypeError, ValueError) as error:
                    raise CorruptLineError(path, line.number, str(error)) from None
            return cls(path, entries, file.position)

    def record(self, entry: MetricsEntry) -> None:
        """Append an entry to the log and to the file.

        If the file system refuses the write, there is one warning, and the entry is
        written to the file with the next one.

        Raises:
          TypeError: The entry is not a `MetricsEntry`.
          RuntimeError: The file was changed by another writer since it was read.
        """
        if not isinstance(entry, MetricsEntry):
            raise TypeError(
                f"MetricsLog.record() got a {type(entry).__name__}, expected a "
                f"MetricsEntry. Create one: MetricsEntry(step, wall_time_ms, ...)."
            )
        self._entries.append(entry)
        self._unwritten += 1
        try:
            self._errors.attempt(self._write)
        except RuntimeError:
            del self._entries[-1]
            self._unwritten -= 1
            raise

    def flush(self) -> bool:
        """Write entries that wait, and sync the file; return whether that succeeded."""
        return self._errors.attempt(lambda: self._write(then_sync=True))

    def _write(self, then_sync: bool = False) -> None:
        """Write the entries that wait, after a cut that waits."""
        with AppendFile(self.path) as file:
            if self._cut is not None:
                file.cut(*self._cut)
                self._cut, self._position = None, file.position
            if file.position != self._position:
                raise RuntimeError(
                    f"{self.path} ends at byte {file.position}, expected "
                    f"{self._position}: another writer has changed it. Open it again."
                )
            for entry in self._entries[len(self) - self._unwritten :]:
                file.write_line(dumps(entry.line()))
                self._position = file.position
                self._unwritten -= 1
            if then_sync:
                file.flush()

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint: number of entries, and size of the file.

        The file is synced to disk before; entries that it does not take are not in the
        state.
        """
        self.flush()
        return {"entries": len(self) - self._unwritten, "position": self._position}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`, also after a round trip through JSON or orbax.

        Entries recorded later are moved to `<file>.after-restore`.

        Raises:
          ValueError: It is not a state of a log, or not one of this file; nothing is
            changed.
        """
        saved = states.read(
            "MetricsLog", state, entries=states.count, position=states.count
        )
        self._go_back(saved["entries"], saved["position"], "restore")

    def reset(self) -> None:
        """Begin without entries; existing ones are moved to `<file>.after-restart`."""
        self._go_back(0, 0, "restart")

    def _go_back(self, entries: int, position: int, label: str) -> None:
        """Cut the file, now or with the next entry, and drop the later entries."""

        def cut() -> None:
            with AppendFile(self.path) as file:
                file.cut(position, label)
                self._position = file.position

        done = self._errors.attempt(cut)
        self._cut = None if done else (position, label)
        del self._entries[entries:]
        self._unwritten = 0

    def summary(self) -> MetricsSummary:
        """Return the summary of all entries."""
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
        """Return True if there is no entry."""
        return not self._entries

    def __iter__(self) -> Iterator[MetricsEntry]:
        """Iterate over the entries in the order of recording."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)
