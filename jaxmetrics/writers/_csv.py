"""Write records as a CSV table: one line per record, one column per key."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxmetrics.record import (
    METRICS_CSV,
    AppendFile,
    CorruptLineError,
    Record,
    check_file,
    copy_range,
    csv_cell,
    csv_cells,
    csv_line,
    open_read,
    open_unused,
    set_aside,
    text_cell,
)
from jaxmetrics.writers._writer import Writer

_LOG = logging.getLogger("jaxmetrics")
_STEP_COLUMN = "step"
_MAX_DIGITS = 19  # of a step
_MAX_COLUMNS = 1000
_REWRITES = 16  # times its own size that a file may cost in replacements,
_SMALL_BYTES = 2**26  # beyond these
_CHUNK_BYTES = 2**20
_MAX_LINE_BYTES = 2**24  # as of an AppendFile


class CSV(Writer):
    """Appends records to a CSV file with a header.

    Consecutive records of one step and split are one row, which waits in memory until a
    record of another step or split comes, or until `flush`. A row with a new key waits,
    with those after it, until they are a quarter of the file or until `flush`. Then the
    file is replaced by one that has the new columns; replacing it ever more rarely
    keeps the cost per record constant.

    A table has the columns of its first row, and more up to 1000. Further keys are left
    out, with one warning; so are new keys once the replacements have cost 16 times the
    size of a file of more than 64 MiB. `metrics.jsonl` has all keys.

    Arrays are left out. Values that are not finite are `nan`, `inf` and `-inf`, missing
    values are empty, and text that a spreadsheet would execute as a formula begins with
    an apostrophe. A last line without its newline was cut off by a kill and is not a
    row.

    Args:
      file: Name of the file. Default `metrics.csv`.
      options: Options of `Writer`.
    """

    def __init__(self, file: str = METRICS_CSV, **options: Any) -> None:
        super().__init__(**options)
        self.file: str = check_file(file, METRICS_CSV)
        self._lines: AppendFile | None = None
        self._joining: tuple[tuple[int, str], dict[str, str]] | None = None
        self._columns: dict[str, None] = {}
        self._columns_in_file = 0  # later columns wait until the file is replaced
        self._rows = 0
        self._start_rows = 0  # when the file was opened or cut back
        # Lines that wait, with their numbers of cells, steps and splits.
        self._waiting: list[tuple[str, int, tuple[int, str]]] = []
        self._replaced_bytes = 0
        self._has_warned = False

    @property
    def name(self) -> str:
        """`csv`, or the name of a file other than `metrics.csv`."""
        return "csv" if self.file == METRICS_CSV else self.file

    def open(self, run_dir: Path, resume_step: int | None) -> None:
        """Open the file and remove the rows after `resume_step`.

        A file that is damaged, or not a table of records, is renamed to
        `<file>.damaged`, with a warning: `metrics.jsonl` has its rows, too.

        Raises:
          WriterLockedError: Another writer has the file open.
        """
        path = run_dir / self.file
        self._lines = lines = AppendFile(path)
        try:
            try:
                self._continue(path, resume_step)
            except CorruptLineError as error:
                lines = self._restart(lines, f"line {error.line}: {error.reason}")
            except ValueError as error:
                lines = self._restart(lines, str(error))
        except BaseException:
            self._lines = None
            lines.close()
            raise

    def _continue(self, path: Path, resume_step: int | None) -> None:
        """Read the columns of the open file and remove the rows after `resume_step`."""
        self._waiting, self._joining = [], None
        self._columns = dict.fromkeys(_header(path))
        self._columns_in_file = len(self._columns)
        self._rows = _count_rows(path)
        self._start_rows = self._rows
        if resume_step is not None:
            self.load_state({"step": resume_step})

    def _restart(self, lines: AppendFile, reason: str) -> AppendFile:
        """Begin with an empty file in place of a damaged one."""
        set_aside(lines.path, reason)
        self._lines = AppendFile(lines.path)
        lines.close()
        self._continue(lines.path, None)
        return self._lines

    def write(self, record: Record) -> bool | None:
        """Join a record with those before it, or append the row before it.

        An error is that of the row before, which is appended by a later call; this
        record is not taken.
        """
        self._open_file()
        if record.arrays:
            if not record.values:
                return False
            record = replace(record, arrays={})
        place = record.step, record.split
        cells = {
            text_cell(name): csv_cell(value) for name, value in record.line().items()
        }
        if self._joining is not None:
            earlier_place, earlier = self._joining
            if earlier_place == place:
                cells = {**earlier, **cells, "time": earlier["time"]}
            else:
                self._append(earlier_place, earlier)
        self._joining = place, cells
        return None

    def _append(self, place: tuple[int, str], cells: Mapping[str, str]) -> None:
        """Append one row: all of it, or nothing and an error."""
        lines = self._open_file()
        before = self._columns
        if not cells.keys() <= before.keys():
            self._columns = before | dict.fromkeys(self._new_columns(cells))
        line = csv_line(cells.get(name, "") for name in self._columns)
        if not self._columns_in_file:
            lines.write_line(csv_line(self._columns))
            self._columns_in_file = len(self._columns)
        if self._columns_in_file == len(self._columns):
            lines.write_line(line)
            self._rows += 1
            return
        self._waiting.append((line, len(self._columns), place))
        if 4 * len(self._waiting) >= self._rows:
            try:
                self._rewrite()
            except BaseException:
                del self._waiting[-1:]
                self._columns = before
                raise

    def _new_columns(self, cells: Mapping[str, str]) -> list[str]:
        """Return the keys of a row that become new columns; warn of the others."""
        new = [name for name in cells if name not in self._columns]
        room = _MAX_COLUMNS - len(self._columns)
        if not self._columns:
            room = len(new)
        elif self._replaced_bytes > (
            _SMALL_BYTES + _REWRITES * self._open_file().position
        ):
            room = 0
        taken = new[: max(room, 0)]
        if len(taken) < len(new) and not self._has_warned:
            self._has_warned = True
            _LOG.warning(
                "%s has %d columns and gets no more: %r and all further keys are left "
                "out; metrics.jsonl has them. Log fewer names, without steps or ids "
                "in them.",
                self._open_file().path,
                len(self._columns) + len(taken),
                new[len(taken)],
            )
        return taken

    def flush(self) -> None:
        """Write all waiting rows, and sync the file to disk."""
        self._write_waiting()
        self._open_file().flush()

    def close(self) -> None:
        """Flush and close the file; a second call does nothing."""
        if self._lines is None:
            return
        try:
            self.flush()
        finally:
            lines, self._lines = self._lines, None
            lines.close()

    def complete(self, records: Callable[[], Iterator[Record]]) -> bool:
        """Write the rows since `open` or `load_state` anew, and replace the file.

        A kill leaves the file that was there before.
        """
        self._write_waiting()
        lines = self._open_file()
        start = _end_of_row(lines.path, self._start_rows)
        fresh, target = open_unused(lines.path.with_name(f"{self.file}.complete"))
        try:
            with open(open_read(lines.path), "rb") as file:
                copy_range(file.fileno(), 0, start, target)
            with contextlib.closing(CSV(fresh.name)) as writer:
                writer.open(fresh.parent, None)
                for record in records():
                    writer.write(record)
                writer.flush()
                with open(open_read(fresh), "rb") as file:
                    lines.replace(iter(lambda: file.read(_CHUNK_BYTES), b""))
                self._columns, self._rows = writer._columns, writer._rows
                self._columns_in_file = len(self._columns)
        finally:
            os.close(target)
            fresh.unlink()
        return True

    @property
    def pending(self) -> list[tuple[int, str]]:
        """Step and split of each row that waits in memory."""
        joining = [] if self._joining is None else [self._joining[0]]
        return [*(place for _, _, place in self._waiting), *joining]

    def state(self) -> dict[str, Any]:
        """Return the number of rows; positions in bytes change with new columns."""
        return {"rows": self._rows}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Cut the file back, and save the removed rows in `<file>.after-<step>`.

        Raises:
          CorruptLineError: A row does not begin with its step.
          ValueError: The number of rows to keep is negative.
        """
        self._write_waiting()
        lines, step = self._open_file(), state["step"]
        if "rows" not in state:
            label = str(max(step, 0))
            lines.cut_after_step(step, label, _line_steps(lines.path, step))
            self._rows = _count_rows(lines.path)
            self._start_rows = self._rows
            return
        if state["rows"] < 0:
            raise ValueError(
                f"{lines.path} got a state of {state['rows']} rows, expected 0 or "
                f"more. Restore the state that was saved."
            )
        rows = min(state["rows"], self._rows)
        if rows < state["rows"]:
            warnings.warn(
                f"{lines.path} has {rows} rows, expected at least the "
                f"{state['rows']} of the saved state; the others are missing. The run "
                f"continues after what is left.",
                stacklevel=2,
            )
        lines.cut(_end_of_row(lines.path, rows) if rows else 0, str(step))
        if not rows:  # the first row brings its header
            self._columns, self._columns_in_file = {}, 0
        self._rows = rows
        self._start_rows = rows

    def _write_waiting(self) -> None:
        if self._joining is not None:
            self._append(*self._joining)
            self._joining = None
        self._rewrite()

    def _rewrite(self) -> None:
        """Replace the file by one with the waiting columns and rows, if any."""
        if not self._waiting:
            return
        lines = self._open_file()
        lines.replace(self._contents(lines.path, lines.position))
        self._columns_in_file = len(self._columns)
        self._rows += len(self._waiting)
        self._waiting = []
        self._replaced_bytes += lines.position

    def _contents(self, path: Path, position: int) -> Iterator[bytes]:
        added = b"," * (len(self._columns) - self._columns_in_file)
        with open(open_read(path), "rb") as file:
            header = file.readline()
            yield csv_line(self._columns).encode() + b"\n"
            left = position - len(header)
            while left and (piece := file.read(min(_CHUNK_BYTES, left))):
                left -= len(piece)
                yield piece.replace(b"\n", added + b"\n")
        for line, cells, _ in self._waiting:
            yield line.encode() + b"," * (len(self._columns) - cells) + b"\n"

    def _open_file(self) -> AppendFile:
        if self._lines is None:
            raise ValueError(f"CSV file {self.file} is not open. Call open() first.")
        return self._lines


def _header(path: Path) -> list[str]:
    """Return the columns of a file; none if it is empty."""
    line = next(_lines(path), b"")
    try:
        columns = list(csv_cells(line)) if line else []
    except ValueError as error:
        raise ValueError(f"line 1 is not CSV: {error}") from None
    if line and (_STEP_COLUMN not in columns[:1] or len(set(columns)) < len(columns)):
        raise ValueError(
            f"it begins with {line[:80]!r}; expected the columns of a record, "
            f"{_STEP_COLUMN!r} first"
        )
    return columns


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file.

    Raises:
      ValueError: A line is longer than any that is written.
    """
    with open(open_read(path), "rb") as file:
        for number in itertools.count(1):
            line = file.readline(_MAX_LINE_BYTES + 1)
            if len(line) > _MAX_LINE_BYTES:
                raise ValueError(f"line {number} has more than {_MAX_LINE_BYTES} bytes")
            if not line:
                return
            yield line


def _count_rows(path: Path) -> int:
    """Return the number of complete lines after the header."""
    with open(open_read(path), "rb") as file:
        chunks = iter(lambda: file.read(_CHUNK_BYTES), b"")
        return max(sum(chunk.count(b"\n") for chunk in chunks) - 1, 0)


def _end_of_row(path: Path, number: int) -> int:
    """Return the position after the header and a number of rows; 0 without them."""
    position, left = 0, number + 1
    with open(open_read(path), "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if (lines := chunk.count(b"\n")) < left:
                position, left = position + len(chunk), left - lines
                continue
            end = 0
            for _ in range(left):
                end = chunk.index(b"\n", end) + 1
            return position + end
    return 0


def _line_steps(path: Path, cut: int) -> Iterator[tuple[int, int | None]]:
    """Yield positions after lines and the steps before them, to cut after a step.

    Consecutive lines that are all on one side of the step are one line; the header has
    no step.

    Raises:
      CorruptLineError: A row does not begin with its step.
      ValueError: A line is longer than any that is written.
    """
    number, end, rest = 0, 0, b""
    with open(open_read(path), "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            data = rest + chunk
            size = data.rfind(b"\n") + 1
            data, rest = data[:size], data[size:]
            if len(rest) > _MAX_LINE_BYTES:
                raise ValueError(f"a line has more than {_MAX_LINE_BYTES} bytes")
            if data and not number:
                end, number = data.index(b"\n") + 1, 1
                data = data[end:]
                yield end, None
            if not data:
                continue
            ends, steps = _ends_and_steps(data)
            if steps.min() < 0:
                line_number = number + 1 + int(steps.argmin())
                reason = "no step in its first column"
                raise CorruptLineError(path, line_number, reason)
            number += len(ends)
            if not steps.min() <= cut < steps.max():
                ends, steps = ends[-1:], steps[-1:]
            for line_end, step in zip(ends.tolist(), steps.tolist()):
                yield end + line_end, step
            end += len(data)


def _ends_and_steps(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions after lines, and the numbers before their first commas.

    A line that does not begin with one has -1. There is no loop over the lines, of
    which a table may have millions.
    """
    characters = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(characters == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]])
    steps, is_step = np.zeros(len(ends), np.int64), np.ones(len(ends), bool)
    rest = np.arange(len(ends))  # lines that may have further digits
    for place in range(_MAX_DIGITS + 1):
        character = characters[np.minimum(starts[rest] + place, ends[rest] - 1)]
        digit = character.astype(np.int64) - ord("0")
        is_digit = (digit >= 0) & (digit <= 9)
        is_end = (character == ord(",")) & (place > 0)
        is_step[rest[~(is_digit | is_end)]] = False
        rest, digit = rest[is_digit], digit[is_digit]
        steps[rest] = 10 * steps[rest] + digit
    is_step[rest] = False
    return ends, np.where(is_step, steps, -1)
