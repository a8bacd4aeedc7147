"""Read the files of a run directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jaxmetrics.record import (
    EVENTS_JSONL,
    METRICS_JSONL,
    Block,
    CorruptLineError,
    MetricsEntry,
    RunJsonError,
    read_run_json,
    scan_blocks,
)
from jaxmetrics.runs.reading._table import Table, TableBuilder


class RunFiles:
    """Reader of one run directory; damage is raised, or collected in `bad`.

    Args:
      folder: Run directory.
      skip: Collect damage instead of raising it.
      name: Name of the file of metrics.

    Attributes:
      bad: Damaged lines as (file, line number, reason).
    """

    def __init__(self, folder: Path, skip: bool, name: str = METRICS_JSONL) -> None:
        """Prepare; files are read by the methods."""
        self._name = name
        self.bad: list[tuple[str, int, str]] = []
        self._folder = folder
        self._skip = skip

    def metrics(self) -> tuple[Table, dict[str, object]]:
        """Return the records, and the header line (empty if there is none)."""
        header: dict[str, object] = {}
        builder = TableBuilder()
        for block in self._blocks(self._name):
            if builder.add_all(block.rows):
                continue
            for number, row in enumerate(block.rows, block.number):
                kind = row.get("kind")
                if kind is None:
                    try:
                        problem = builder.add(as_record_row(row))
                    except (TypeError, ValueError) as error:
                        problem = str(error)
                    if problem is not None:
                        self._damage(self._name, number, problem)
                elif kind == "header" and not header:
                    header = row
        return builder.table(), header

    def events(self) -> list[dict[str, object]]:
        """Return the rows of the events file."""
        return [row for block in self._blocks(EVENTS_JSONL) for row in block.rows]

    def header(self) -> dict[str, object]:
        """Return the content of `run.json`, empty if there is none."""
        try:
            return read_run_json(self._folder) or {}
        except RunJsonError as error:
            if not self._skip:
                raise
            self.bad.append((error.path.name, error.line, error.reason))
            return {}

    def _blocks(self, name: str) -> Iterator[Block]:
        path = self._folder / name
        if not path.exists():
            return
        for block in scan_blocks(path):
            if isinstance(block, Block):
                yield block
            elif block.row is None:
                self._damage(name, block.number, str(block.reason))
            else:
                yield Block(block.number, [block.row], block.end)

    def _damage(self, name: str, number: int, reason: str) -> None:
        if not self._skip:
            raise CorruptLineError(self._folder / name, number, reason)
        self.bad.append((name, number, reason))


def as_record_row(row: dict[str, object]) -> dict[str, object]:
    """Return a row in the form of a run's records.

    A line of a `MetricsLog` has milliseconds, no split and nested `extra` values; they
    become `time`, `"train"` and further keys. Other rows are returned as they are.

    Raises:
      TypeError: A field of a line of a `MetricsLog` has the wrong type.
      ValueError: A field of such a line has a wrong value.
    """
    if "wall_time_ms" not in row or "split" in row:
        return row
    entry = MetricsEntry.from_row(row)
    fields = entry.line() | {"time": entry.wall_time_ms / 1000, "split": "train"}
    return fields | {k: v for k, v in entry.extra.items() if k not in fields}
