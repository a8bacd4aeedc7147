"""Read the files of a run directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxmetrics.record import (
    EVENTS_JSONL,
    METRICS_JSONL,
    TELEMETRY_FOLDER,
    TELEMETRY_JSONL,
    Block,
    CorruptLineError,
    RunJsonError,
    number,
    read_epochs,
    read_run_json,
    scan_blocks,
    scan_lines,
)
from jaxmetrics.runs.reading._copy import LocalCopy
from jaxmetrics.runs.reading._media import MediaEntry, media_entries
from jaxmetrics.runs.reading._record_rows import rows_of_epochs
from jaxmetrics.runs.reading._table import Table, TableBuilder

_NOT_MEDIA = frozenset({"header", "hparams"})


class RunFiles:
    """Reader of one run directory; damage is raised, or collected in `bad`.

    Args:
      folder: Run directory.
      skip: Collect damage instead of raising it.
      name: Name of the file of metrics.
      copy: Temporary copy that the folder is, if it is one.

    Attributes:
      bad: Damaged lines as (file, line number, reason).
    """

    def __init__(
        self,
        folder: Path,
        skip: bool,
        name: str = METRICS_JSONL,
        copy: LocalCopy | None = None,
    ) -> None:
        """Prepare; files are read by the methods."""
        self._name = name
        self.bad: list[tuple[str, int, str]] = []
        self.copy: LocalCopy | None = copy
        self._folder = folder
        self._skip = skip

    @property
    def has_metrics(self) -> bool:
        """True if the run directory has a file of metrics."""
        return (self._folder / self._name).is_file()

    def metrics(self) -> tuple[Table, dict[str, object]]:
        """Return the records, and the header line (empty if there is none)."""
        header: dict[str, object] = {}
        builder = TableBuilder()
        for block in self._blocks(self._name):
            if not header:
                headers = (r for r in block.rows if r.get("kind") == "header")
                header = next(headers, {})
            for index, problem in builder.add(block.rows):
                self._damage(self._name, block.number + index, problem)
        return builder.table(), header

    def epochs(self) -> tuple[Table, dict[str, object]]:
        """Return the epochs of an `EpochTracker` as records, and their header."""
        builder, epochs = TableBuilder(), read_epochs(self._folder, follow_links=True)
        if epochs is None:
            return builder.table(), {}
        builder.add(list(rows_of_epochs(epochs)))
        return builder.table(), {**epochs.run, "hparams": epochs.config}

    def media(self) -> list[MediaEntry]:
        """Return the media in the order of steps; of a step and key the last one."""
        if not self.has_metrics:
            return []
        if self.copy is not None:
            self.copy.add_media()
        entries: dict[tuple[int, str, str], MediaEntry] = {}
        for line in scan_lines(self._folder / self._name, containing=b'"kind"'):
            row = line.row
            if row is None or row.get("kind", "header") in _NOT_MEDIA:
                continue  # damage was reported when the records were read
            try:
                for entry in media_entries(row, self._folder):
                    entries[entry.step, entry.kind, entry.key] = entry
            except (TypeError, ValueError) as error:
                self._damage(self._name, line.number, str(error))
        return sorted(entries.values(), key=lambda entry: entry.step)

    def telemetry(self) -> list[dict[str, Any]]:
        """Return the lines of telemetry; of a step the last one, in order of steps."""
        name = telemetry_file(self._folder) or TELEMETRY_JSONL
        rows = [r for b in self._blocks(name) for r in telemetry_rows(b.rows)]
        if not all(type(row.get("step")) is int for row in rows):
            return rows  # of an earlier version
        by_step = {row["step"]: row for row in rows}
        return [by_step[step] for step in sorted(by_step)]

    def events(self) -> list[dict[str, object]]:
        """Return the rows of the events file."""
        return [row for block in self._blocks(EVENTS_JSONL) for row in block.rows]

    def header(self) -> dict[str, object]:
        """Return the content of `run.json`, empty if there is none."""
        try:
            return read_run_json(self._folder, follow_links=True) or {}
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
            else:
                self._damage(name, block.number, str(block.reason))

    def _damage(self, name: str, line: int, reason: str) -> None:
        if not self._skip:
            raise CorruptLineError(self._folder / name, line, reason)
        self.bad.append((name, line, reason))


def telemetry_file(folder: Path) -> str | None:
    """Return the name of the telemetry file of a folder, None if there is none."""
    names = (f"{TELEMETRY_FOLDER}/{TELEMETRY_JSONL}", TELEMETRY_JSONL)
    return next((name for name in names if (folder / name).is_file()), None)


def telemetry_rows(rows: Iterable[Mapping[str, object]]) -> list[dict[str, Any]]:
    """Return lines of telemetry with the texts that stand for numbers as numbers."""
    return [_numbers(row) for row in rows]


def _numbers(value: Any) -> Any:
    """Return a tree with the texts that stand for numbers as numbers."""
    if isinstance(value, dict):
        return {name: _numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return number(value)
