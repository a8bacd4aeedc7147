"""Reading the files of a run directory."""

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
    """Reads one run directory; damage is raised, or collected in `bad`.

    Args:
      folder: The run directory.
      skip: Collect damage instead of raising it.
      name: The file of the metrics.
    """

    def __init__(self, folder: Path, skip: bool, name: str = METRICS_JSONL) -> None:
        """Read nothing yet."""
        self._name = name
        self.bad: list[tuple[str, int, str]] = []
        self._folder = folder
        self._skip = skip

    def metrics(self) -> tuple[Table, dict[str, object]]:
        """The metric rows, and the header line (empty without one)."""
        header: dict[str, object] = {}
        builder = TableBuilder()
        for block in self._blocks(self._name):
            if builder.add_all(block.rows):
                continue
            for number, row in enumerate(block.rows, block.number):
                kind = row.get("kind")
                if kind is None:
                    try:
                        wrong = builder.add(flat_row(row))
                    except (TypeError, ValueError) as error:
                        wrong = str(error)
                    if wrong is not None:
                        self._damage(self._name, number, wrong)
                elif kind == "header" and not header:
                    header = row
        return builder.table(), header

    def events(self) -> list[dict[str, object]]:
        """The rows of the events file."""
        return [row for block in self._blocks(EVENTS_JSONL) for row in block.rows]

    def header(self) -> dict[str, object]:
        """What `run.json` holds; empty without one."""
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
        for found in scan_blocks(path):
            if isinstance(found, Block):
                yield found
            elif found.row is None:
                self._damage(name, found.number, str(found.reason))
            else:
                yield Block(found.number, [found.row], found.end)

    def _damage(self, name: str, number: int, reason: str) -> None:
        if not self._skip:
            raise CorruptLineError(self._folder / name, number, reason)
        self.bad.append((name, number, reason))


def flat_row(row: dict[str, object]) -> dict[str, object]:
    """A row as it is; a line of a metrics log with its other values beside it."""
    if "wall_time_ms" not in row or "split" in row:
        return row
    entry = MetricsEntry.from_row(row)
    fields = entry.line() | {"time": entry.wall_time_ms / 1000, "split": "train"}
    return fields | {k: v for k, v in entry.extra.items() if k not in fields}
