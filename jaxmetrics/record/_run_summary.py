"""Keep `summary.json`: how far a run has come, and where its steps lie."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxmetrics.record._index import RecordIndex, read_summary, write_summary
from jaxmetrics.record._record import RECORD_FIELDS

_SECONDS = 10.0
_MAX_KEYS = 10_000  # whose last values are kept; of more, those that came last


class RunSummary:
    """The summary of a run while its record is written.

    It holds the last value of each key, the last step and the training seconds, the
    index of the record, the rows that are missing, and whether the run is running or
    closed. It can be derived from the record, so that an error of the disk is ignored:
    a summary that does not fit is not used.

    Args:
      run_dir: The run directory.
      monotonic: Seconds, for the time between two writes.

    Attributes:
      index: Steps of the record.
    """

    def __init__(
        self, run_dir: Path, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._run_dir = run_dir
        self._monotonic = monotonic
        self._written = monotonic()
        self.index: RecordIndex = RecordIndex.of(run_dir)
        values = read_summary(run_dir).get("values")
        self._row: dict[str, object] = dict(values) if isinstance(values, dict) else {}
        self._missing: Mapping[str, Any] = {}

    def add(self, row: Mapping[str, object], end: int) -> None:
        """Add a row that was appended; at least every 10 seconds write the file."""
        self.index.add(row, end)
        if "kind" not in row:
            self._row.update(row)
            if (excess := len(self._row) - _MAX_KEYS) > 0:
                for name in list(itertools.islice(self._row, excess)):
                    del self._row[name]
        if self._monotonic() - self._written >= _SECONDS:
            self.write(self._missing)

    def note_cut(self, position: int | None = None, **step: int) -> None:
        """Forget the rows after a position or a step, as `RecordIndex.note_cut`."""
        self.index.note_cut(position, **step)
        self._row = {}

    def write(self, missing: Mapping[str, Any], state: str = "running") -> None:
        """Write the file.

        Args:
          missing: Number and steps of the rows that the record lacks.
          state: `"running"` or `"closed"`.
        """
        self._missing, self._written = missing, self._monotonic()
        values = {
            name: value
            for name, value in self._row.items()
            if name not in RECORD_FIELDS and not isinstance(value, list)
        }
        with contextlib.suppress(OSError, ValueError):
            known = {"schema": 2, "state": state, "missing": missing, "values": values}
            write_summary(self._run_dir, known | self.index.state())
