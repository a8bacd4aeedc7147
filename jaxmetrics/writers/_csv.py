"""A table for spreadsheets: one line a record, one column a key."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxmetrics.record import (
    METRICS_CSV,
    AppendFile,
    CorruptLineError,
    Record,
    check_name,
    csv_cell,
    csv_cells,
    csv_line,
    text_cell,
)
from jaxmetrics.writers._writer import Writer

_FIRST = "step"
_CHUNK = 2**20


class CSV(Writer):
    """Appends each record to a file with a header.

    A record with a new key waits, with those after it, until they are a quarter of the
    file or until `flush`; then the file is replaced by one that has the new columns.
    Values that are not finite are `nan`, `inf` and `-inf`, missing ones are empty, and
    text that a spreadsheet would run as a formula begins with an apostrophe. A line
    without a newline at its end was cut off by a kill and is not a row.

    Args:
      file: The file's name.
      options: Those of `Writer`.
    """

    def __init__(self, file: str = METRICS_CSV, **options: Any) -> None:
        super().__init__(**options)
        self.file = check_name(file, "file")
        self._lines: AppendFile | None = None
        self._columns: dict[str, None] = {}
        self._written = 0  # columns of the file; the others wait for its next form
        self._rows = 0
        self._waiting: list[tuple[str, int]] = []  # lines, and how many cells they have

    @property
    def name(self) -> str:
        """The file's name."""
        return self.file

    def open(self, run_dir: Path, resume_step: int | None) -> None:
        """Open the file and go back to `resume_step`.

        Raises:
          WriterLockedError: Another writer has the file open.
          ValueError: The file is another one, without the columns of a record.
        """
        path = run_dir / self.file
        self._lines = lines = AppendFile(path)
        try:
            self._waiting = []
            self._columns = dict.fromkeys(_header(path))
            self._written = len(self._columns)
            self._rows = sum(1 for _ in _ends(path)) - 1 if self._columns else 0
            if resume_step is not None:
                self.load_state({"step": resume_step})
        except BaseException:
            self._lines = None
            lines.close()
            raise

    def write(self, record: Record) -> None:
        """Append one line: all of it, or nothing and an error."""
        lines = self._open_file()
        cells = {text_cell(name): csv_cell(v) for name, v in record.line().items()}
        before = self._columns
        if not cells.keys() <= before.keys():
            self._columns = before | dict.fromkeys(cells)
        line = csv_line(cells.get(name, "") for name in self._columns)
        if not self._written:
            lines.write_line(csv_line(self._columns))
            self._written = len(self._columns)
        if self._written == len(self._columns):
            lines.write_line(line)
            self._rows += 1
            return
        self._waiting.append((line, len(self._columns)))
        if 4 * len(self._waiting) >= self._rows:
            try:
                self._rewrite()
            except BaseException:
                del self._waiting[-1:]
                self._columns = before
                raise

    def flush(self) -> None:
        """Return once every row is in the file, and the file on the disk."""
        self._rewrite()
        self._open_file().flush()

    def close(self) -> None:
        """Flush, and let the file go; a second call does nothing."""
        if self._lines is None:
            return
        try:
            self.flush()
        finally:
            lines, self._lines = self._lines, None
            lines.close()

    def state(self) -> dict[str, Any]:
        """How many rows the file has; its bytes change with its columns."""
        return {"rows": self._rows}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Cut the file back, and keep what followed in `<file>.after-<step>`.

        Raises:
          CorruptLineError: A row does not begin with its step.
          ValueError: The number of rows to keep is negative.
        """
        self.flush()  # nothing waits, and nothing is left of a line that failed
        lines, step = self._open_file(), state["step"]
        if "rows" in state:
            if state["rows"] < 0:
                raise ValueError(
                    f"{lines.path} cannot keep {state['rows']} rows. Restore what was "
                    f"saved."
                )
            kept, late = min(state["rows"], self._rows), []
            position = next(itertools.islice(_ends(lines.path), kept, None), 0)
            if kept < state["rows"]:
                warnings.warn(
                    f"{lines.path} has {kept} rows, and was to be cut back to "
                    f"{state['rows']}; the others are missing. The run goes on after "
                    "what is left.",
                    stacklevel=2,
                )
        else:
            kept, position, late = _split_at_step(lines.path, step)
        lines.cut(position, str(step), late)
        self._rows = kept + len(late)

    def _rewrite(self) -> None:
        """Give the file the columns and the rows that wait, if there are any."""
        if not self._waiting:
            return
        lines = self._open_file()
        lines.replace(self._pieces(lines.path, lines.position))
        self._written = len(self._columns)
        self._rows += len(self._waiting)
        self._waiting = []

    def _pieces(self, path: Path, position: int) -> Iterator[bytes]:
        added = b"," * (len(self._columns) - self._written)
        with open(path, "rb") as file:
            header = file.readline()
            yield csv_line(self._columns).encode() + b"\n"
            left = position - len(header)
            while left and (piece := file.read(min(_CHUNK, left))):
                left -= len(piece)
                yield piece.replace(b"\n", added + b"\n")
        for line, cells in self._waiting:
            yield line.encode() + b"," * (len(self._columns) - cells) + b"\n"

    def _open_file(self) -> AppendFile:
        if self._lines is None:
            raise ValueError(f"{self.file} is not open. Call open() first.")
        return self._lines


def _header(path: Path) -> list[str]:
    """The columns of a file; none of an empty one."""
    with open(path, "rb") as file:
        line = file.readline()
    columns = list(csv_cells(line)) if line else []
    if line and (_FIRST not in columns[:1] or len(set(columns)) < len(columns)):
        raise ValueError(
            f"{path} begins with {line[:80]!r}; expected the columns of a record, "
            f"{_FIRST!r} first. Move it away, or choose another file."
        )
    return columns


def _ends(path: Path) -> Iterator[int]:
    """The bytes after the header and after each row."""
    end = 0
    with open(path, "rb") as file:
        for line in file:
            end += len(line)
            if line.endswith(b"\n"):
                yield end


def _split_at_step(path: Path, step: int) -> tuple[int, int, list[bytes]]:
    """The rows before the first later one, its byte, and the rows after that stay."""
    kept, late = 0, []
    with open(path, "rb") as file:
        position = end = len(file.readline())
        for number, line in enumerate(file, 2):
            if _step(line, path, number) <= step:
                if position == end:
                    kept, position = kept + 1, end + len(line)
                else:
                    late.append(line)
            end += len(line)
    return kept, position, late


def _step(line: bytes, path: Path, number: int) -> int:
    try:
        return int(csv_cells(line)[0])
    except (ValueError, IndexError):
        raise CorruptLineError(path, number, "no step in its first column") from None
