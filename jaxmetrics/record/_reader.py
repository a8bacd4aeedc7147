"""Read files of JSON lines.

A complete line is a row or damage, which is named. A last line without its newline was
cut off by a kill, or is being written, and is neither. Links to regular files are
followed: the rows are only read.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from jaxmetrics.record._io import open_read
from jaxmetrics.record._json import loads

LINE_LIMIT = 16 * 2**20
"""Maximum length of a line in bytes with its newline; a longer one is damage."""

_CHUNK_BYTES = 2**18


class CorruptLineError(ValueError):
    """A complete line of a file is not a row.

    Attributes:
      path: Path of the file.
      line: Number of the line, from 1.
      reason: Description of the damage.
    """

    def __init__(self, path: str | os.PathLike[str], line: int, reason: str) -> None:
        """Name the line and say what to do."""
        self.path: Path = Path(path)
        self.line = line
        self.reason = reason
        super().__init__(
            f"{self.path}, line {line}: {reason}; expected one JSON object a line. "
            "Repair or remove the line, or read with errors='skip'."
        )

    def __reduce__(self) -> tuple[type, tuple[Path, int, str]]:
        """Pickle the parts, not the message."""
        return type(self), (self.path, self.line, self.reason)


class Line(NamedTuple):
    """One complete line.

    Attributes:
      number: Number of the line, from 1.
      end: Position after the line in bytes.
      row: The JSON object; None if the line is damaged.
      reason: Description of the damage; None if there is a row.
    """

    number: int
    end: int
    row: dict[str, object] | None
    reason: str | None


def scan_lines(
    path: str | os.PathLike[str], containing: bytes = b"", end: int = 0
) -> Iterator[Line]:
    """Yield the complete lines of a file one by one, in bounded memory.

    Only a newline byte ends a line. Blank lines are skipped but counted, and a last
    line without its newline is skipped.

    Args:
      path: The file.
      containing: Bytes that a line must contain to be parsed and yielded, which is
        faster than to parse all lines. Default: all lines.
      end: Position of the first line; lines are numbered from there. Default 0.

    Raises:
      OSError: The file cannot be read, or is not a regular file.
    """
    with open(open_read(path, follow_links=True), "rb", buffering=_CHUNK_BYTES) as file:
        file.seek(end)
        yield from _lines(file, 0, end, containing)


class Block(NamedTuple):
    """Consecutive lines that are all rows of scalars.

    Attributes:
      number: Number of the first line, from 1.
      rows: One row for each line.
      end: Position after the last line in bytes.
    """

    number: int
    rows: list[dict[str, object]]
    end: int


def scan_blocks(
    path: str | os.PathLike[str], number: int = 0, end: int = 0
) -> Iterator[Block | Line]:
    """Yield the complete lines of a file in blocks, which is faster than one by one.

    Consecutive rows of scalars are one `Block`, at most those of one chunk of the file.
    Other lines are yielded one by one, as `scan_lines` does.

    Args:
      path: The file.
      number: Number of lines to skip at the beginning. Default 0.
      end: Position after the skipped lines. Default 0.

    Raises:
      OSError: The file cannot be read, or is not a regular file.
    """
    with open(open_read(path, follow_links=True), "rb", buffering=_CHUNK_BYTES) as file:
        file.seek(end)
        rest = b""
        while chunk := file.read(4 * _CHUNK_BYTES):
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
                yield from _mixed_lines(data[:size], number, end)
            number += data.count(b"\n", 0, size)
            end += size


def read_lines(
    path: str | os.PathLike[str], errors: Literal["raise", "skip"] = "raise"
) -> tuple[list[dict[str, object]], list[tuple[int, str]]]:
    """Return the rows of a file, and its damaged lines as (number, reason).

    Args:
      path: File of one JSON object per line.
      errors: `"raise"` at a damaged line, or `"skip"` it and return it in the second
        list. Default `"raise"`.

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


def _mixed_lines(data: bytes, number: int, end: int) -> Iterator[Block | Line]:
    """Yield complete lines, those that look like rows of scalars in blocks.

    Args:
      data: The lines.
      number: Number of lines before them.
      end: Position after the lines before them.
    """
    for flat, group in itertools.groupby(io.BytesIO(data), _looks_flat):
        lines = b"".join(group)
        rows = _flat_rows(lines) if flat else None
        if rows is not None:
            yield Block(number + 1, rows, end + len(lines))
        else:
            yield from _lines(io.BytesIO(lines), number, end)
        number += lines.count(b"\n")
        end += len(lines)


def _looks_flat(line: bytes) -> bool:
    return line.startswith(b"{") and line.count(b"{") == 1 and b"[" not in line


def _lines(
    file: BinaryIO, number: int, end: int, containing: bytes = b""
) -> Iterator[Line]:
    """Yield the remaining lines of a file, read so far up to line `number`, byte `end`.

    The rest of a line that is too long is read in chunks, to keep memory bounded.
    """
    while line := file.readline(LINE_LIMIT + 1):
        number += 1
        end += len(line)
        reason = None
        if not line.endswith(b"\n"):
            if len(line) <= LINE_LIMIT:
                return
            reason = f"longer than {LINE_LIMIT} bytes"
            while not line.endswith(b"\n"):
                line = file.readline(_CHUNK_BYTES)
                if not line:
                    return
                end += len(line)
        elif line.isspace() or containing not in line:
            continue
        row = None
        if reason is None:
            row, reason = _parse_row(line)
        yield Line(number, end, row, reason)


def _flat_rows(data: bytes) -> list[dict[str, object]] | None:
    """Return the rows of complete lines, or None unless all are objects of scalars.

    The lines are joined to one JSON array, which is parsed at once. With exactly one
    brace per line, at its beginning, damage in one line cannot be repaired by the next:
    `{"a":1` and `"b":2}` would otherwise join to one valid object.
    """
    number = data.count(b"\n")
    flat = data.count(b"{") == number and b"[" not in data
    if not (flat and data.startswith(b"{") and data.count(b"\n{") == number - 1):
        return None
    try:
        rows: Any = loads(b"[" + data[:-1].replace(b"\n", b",") + b"]")
    except ValueError:
        return None
    return rows if len(rows) == number else None


def _parse_row(line: bytes) -> tuple[dict[str, object] | None, str | None]:
    try:
        row = loads(line)
    except ValueError as error:
        return None, f"not JSON ({error})"
    if not isinstance(row, dict):
        return None, f"a JSON {type(row).__name__}"
    return row, None
