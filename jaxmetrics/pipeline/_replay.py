"""Read back records for a writer that has lost some of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jaxmetrics.record import METRICS_JSONL, Block, Record, scan_blocks


class Replay:
    """Records in `metrics.jsonl` since a mark.

    Args:
      run_dir: Directory of the run; None has no records.
    """

    def __init__(self, run_dir: Path | None) -> None:
        self._file = None if run_dir is None else run_dir / METRICS_JSONL
        self._start = 0
        self.mark()

    def mark(self) -> None:
        """Begin with the records that are appended from now on."""
        if self._file is not None and self._file.exists():
            self._start = self._file.stat().st_size

    def records(self) -> Iterator[Record]:
        """Yield the records of scalars and arrays, in the order of their calls.

        Raises:
          OSError: The file cannot be read.
        """
        if self._file is None or not self._file.exists():
            return
        for part in scan_blocks(self._file, end=self._start):
            for row in part.rows if isinstance(part, Block) else ():
                if "kind" not in row:
                    yield Record.from_line(row)
