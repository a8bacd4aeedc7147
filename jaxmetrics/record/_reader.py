"""Reading JSONL back: complete lines are rows, a torn tail is not, damage is named."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from jaxmetrics.record._io import open_read
from jaxmetrics.record._json import loads

LINE_LIMIT = 16 * 2**20  # bytes; a longer line is damage, not a row
_CHUNK = 2**18


class CorruptLineError(ValueError):
    """A complete line of a file that is not a row.

    Attributes:
      path: The file.
      line: The line's number, from 1.
      reason: What is wrong with it.
    """

    def __init__(self, path: str | os.PathLike[str], line: int, reason: str) -> None:
        """Name the line and say what to do."""
        self.path = Path(path)
        self.line = line
        self.reason = reason
        super().__init__(
            f"{self.path}, line {line}: {reason}; expected one JSON object a line. "
            "Repair or remove the line, or read with errors='skip'."
        )

    def __reduce__(self) -> tuple[type, tuple[Path, int, str]]:
        """Rebuild from the parts, not from the message."""
        return type(self), (self.path, self.line, self.reason)


class Line(NamedTuple):
    """One complete line: its number, the byte after it, its row or what is wrong."""

    number: int
    end: int
    row: dict[str, object] | None
    reason: str | None


def scan_lines(path: str | os.PathLike[str]) -> Iterator[Line]:
    """The complete lines of a file, one by one in bounded memory.

    Lines end in a newline byte and nothing else; blank ones are passed over, and so is
    a last line without its newline, which was cut off by a kill or is being written.

    Raises:
      OSError: The file cannot be read, or is not a regular file.
    """
    with open(open_read(path), "rb", buffering=_CHUNK) as file:
        yield from _lines(file, 0, 0)


class Block(NamedTuple):
    """Lines that follow each other, all of them rows of scalars.

    Attributes:
      number: That of the first line.
      rows: One for each line.
      end: The byte after the last line.
    """

    number: int
    rows: list[dict[str, object]]
    end: int


def scan_blocks(
    path: str | os.PathLike[str], number: int = 0, end: int = 0
) -> Iterator[Block | Line]:
    """What `scan_lines` gives, many rows at a time where they are rows of scalars.

    Lines with anything else among them come one by one.

    Args:
      path: The file.
      number: How many lines to leave out.
      end: The byte after them.

    Raises:
      OSError: The file cannot be read, or is not a regular file.
    """
    with open(open_read(path), "rb", buffering=_CHUNK) as file:
        file.seek(end)
        rest = b""
        while chunk := file.read(4 * _CHUNK):
            data = rest + chunk
            size = data.rfind(b"\n") + 1
            rest = data[size:]
            if len(rest) > LINE_LIMIT:
                file.seek(end)
                yield from _lines(file, number, end)
                return
            if (rows := _flat_rows(data[:size])) is not None:
                yield Block(number + 1, rows, end + size)
            else:
                yield from _lines(io.BytesIO(data[:size]), number, end)
            number += data.count(b"\n", 0, size)
            end += size


def read_lines(
    path: str | os.PathLike[str], errors: Literal["raise", "skip"] = "raise"
) -> tuple[list[dict[str, object]], list[tuple[int, str]]]:
    """The rows of a file, and its bad lines as (number, reason).

    Args:
      path: A file of one JSON object a line. A torn last line is not a row.
      errors: `"raise"` at a bad line, or `"skip"` it and report it.

    Raises:
      CorruptLineError: A complete line is not a JSON object.
      OSError: The file cannot be read, or is not a regular file.
    """
    if errors not in ("raise", "skip"):
        raise ValueError(
            f"read_lines() got errors={errors!r}; expected 'raise' or 'skip'. "
            "Choose one of them."
        )
    rows: list[dict[str, object]] = []
    bad: list[tuple[int, str]] = []
    for line in scan_lines(path):
        if line.row is not None:
            rows.append(line.row)
        elif errors == "raise":
            raise CorruptLineError(path, line.number, str(line.reason))
        else:
            bad.append((line.number, str(line.reason)))
    return rows, bad


def position_of_step(path: str | os.PathLike[str], step: int) -> int:
    """The byte after the last row whose step is at most `step`.

    Lines without a step belong to what is before them, so a header at the beginning is
    always kept.

    Raises:
      CorruptLineError: A complete line is not a JSON object.
    """
    kept = end = 0
    for line in scan_lines(path):
        if line.row is None:
            raise CorruptLineError(path, line.number, str(line.reason))
        at = line.row.get("step")
        belongs = kept == end if not isinstance(at, int) else at <= step
        end = line.end
        if belongs:
            kept = end
    return kept


def _lines(file: BinaryIO, number: int, end: int) -> Iterator[Line]:
    """The lines from here on, after `number` lines and `end` bytes."""
    while line := file.readline(LINE_LIMIT + 1):
        number += 1
        end += len(line)
        reason = None
        if not line.endswith(b"\n"):
            if len(line) <= LINE_LIMIT:
                return
            reason = f"longer than {LINE_LIMIT} bytes"
            while not line.endswith(b"\n"):
                line = file.readline(_CHUNK)
                if not line:
                    return
                end += len(line)
        elif line.isspace():
            continue
        row = None
        if reason is None:
            row, reason = _parse(line)
        yield Line(number, end, row, reason)


def _flat_rows(data: bytes) -> list[dict[str, object]] | None:
    """The rows of whole lines, each an object of scalars; None if any is not."""
    number = data.count(b"\n")
    # One brace a line, at its beginning: no damage to one line can be made good by
    # the next when they are joined.
    flat = data.count(b"{") == number and b"[" not in data
    if not (flat and data.startswith(b"{") and data.count(b"\n{") == number - 1):
        return None
    try:
        rows: Any = loads(b"[" + data[:-1].replace(b"\n", b",") + b"]")
    except ValueError:
        return None
    return rows if len(rows) == number else None


def _parse(line: bytes) -> tuple[dict[str, object] | None, str | None]:
    try:
        row = loads(line)
    except ValueError as error:
        return None, f"not JSON ({error})"
    if not isinstance(row, dict):
        return None, f"a JSON {type(row).__name__}"
    return row, None
