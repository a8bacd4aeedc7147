"""Read files of JSON lines.

A complete line is a row or damage, which is named. A last line without its newline was
cut off by a kill, or is being written, and is neither. Links to regular files are
followed: the rows are only read.
"""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import orjson

from jaxmetrics.record._io import open_read
from jaxmetrics.record._json import BRACKET_LIMIT, brackets, loads, orjson_lines

LINE_LIMIT = 16 * 2**20
"""Maximum length of a line in bytes with its newline; a longer one is damage."""

_CHUNK_BYTES = 2**16  # with its rows in the cache of a core
_BETWEEN = b",\n0,"


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
            "Repair or remove the line, or read the file with Run.load(path, "
            "errors='skip')."
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
    """Consecutive lines that are all rows.

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

    Consecutive rows are one `Block`, at most those of one chunk of the file. A `Line`
    is damaged. Blank lines are skipped.

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
        while chunk := file.read(_CHUNK_BYTES):
            data = rest + chunk
            size = data.rfind(b"\n") + 1
            rest = data[size:]
            if len(data) <= LINE_LIMIT:
                number += yield from _blocks(data[:size], number, end)
                end += size
                continue
            file.seek(end)  # of a line that may be too long
            if (line := next(_lines(file, number, end), None)) is None:
                return
            rest, number, end = b"", line.number, line.end
            yield line if line.row is None else Block(number, [line.row], end)


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


def _blocks(data: bytes, number: int, end: int) -> Generator[Block | Line, None, int]:
    """Yield complete lines: rows in blocks, damaged lines one by one.

    Args:
      data: The lines, none of which is too long.
      number: Number of lines before them.
      end: Position after the lines before them.

    Returns:
      Number of the lines.
    """
    if (rows := _usual_rows(data)) is not None:
        yield Block(number + 1, rows, end + len(data))
        return len(rows)
    values: list[Any] = []
    file = io.BytesIO(orjson_lines(data))
    while file.tell() < len(data):
        try:
            values.extend(map(orjson.loads, file))
        except ValueError:  # the last line that was read is none of `values`
            position = file.tell()
            line = data[data.rfind(b"\n", 0, position - 1) + 1 : position]
            values.append(_parse_row(line)[0])
    odd: list[int] = []
    if set(map(type, values)) != {dict}:
        odd = [index for index, value in enumerate(values) if type(value) is not dict]
    # Every row has a bracket, so this is the limit of those in one line.
    if brackets(data) - (len(values) - len(odd)) > BRACKET_LIMIT:
        values = [_parse_row(line)[0] for line in io.BytesIO(data)]
        odd = [index for index, value in enumerate(values) if value is None]
    if values and not odd:
        yield Block(number + 1, values, end + len(data))
        return len(values)
    lines = io.BytesIO(data).readlines()
    start = 0
    for index in [*odd, len(lines)]:
        if rows := values[start:index]:
            end += sum(map(len, lines[start:index]))
            yield Block(number + start + 1, rows, end)
        if index < len(lines):
            yield from _lines(io.BytesIO(lines[index]), number + index, end)
            end += len(lines[index])
        start = index + 1
    return len(values)


def rows_of_lines(lines: Sequence[bytes]) -> list[dict[str, object] | None]:
    """Return the row of each line; None for a line that is not a JSON object.

    Args:
      lines: Complete lines, with their line breaks.
    """
    rows = _usual_rows(b"".join(lines))
    if rows is None or len(rows) != len(lines):
        return [_parse_row(line)[0] for line in lines]
    return [*rows]


def _usual_rows(data: bytes) -> list[dict[str, object]] | None:
    """Return the rows of lines at once, None if a line is no row or is not usual.

    The lines are parsed as one array, with a 0 between them. Each of them is one value
    if the array has as many values as lines and zeros: a line break is refused in a
    text, a 0 in an object after a comma, and other arrays than this one are not usual.

    Args:
      data: Complete lines.
    """
    if b"[" in data or not data:
        return None
    lines = orjson_lines(data)[:-1].replace(b"\n", _BETWEEN)
    number = (len(lines) - len(data) + 1) // (len(_BETWEEN) - 1) + 1
    if brackets(data) - number > BRACKET_LIMIT:
        return None
    try:
        values = orjson.loads(b"".join((b"[", lines, b"]")))
    except ValueError:
        return None
    rows = values[::2]
    is_usual = len(values) == 2 * number - 1 and set(map(type, rows)) == {dict}
    return rows if is_usual else None


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


def _parse_row(line: bytes) -> tuple[dict[str, object] | None, str | None]:
    try:
        row = loads(line)
    except ValueError as error:
        return None, f"not JSON ({error})"
    if not isinstance(row, dict):
        return None, f"a JSON {type(row).__name__}"
    return row, None
