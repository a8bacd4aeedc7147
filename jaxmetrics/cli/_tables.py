"""Tables of a comparison as text for a terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence

from jaxmetrics.record import escape
from jaxmetrics.runs import Comparison, RunList
from jaxmetrics.runs.pages import compare_tables
from jaxmetrics.runs.reading import format_number


def comparison_lines(comparison: Comparison, width: int | None = None) -> Iterator[str]:
    """Yield the notes and tables of a comparison as lines.

    Args:
      comparison: The comparison.
      width: Number of characters in a line, at which notes are wrapped, and tables go
        on below, as far as that is possible; None for any number.
    """
    for note in comparison.notes:
        yield from _wrapped(escape(note), width)
    for table in compare_tables(comparison):
        yield ""
        for text in filter(None, (table.title, table.note)):
            yield from _wrapped(escape(text), width)
        if table.rows:
            yield from _block_lines(table.names, table.rows, width)


def _wrapped(text: str, width: int | None) -> list[str]:
    return [text] if width is None else textwrap.wrap(text, width)


def _block_lines(
    names: Sequence[str], rows: Sequence[Sequence[object]], width: int | None
) -> Iterator[str]:
    """Yield a table; columns without room follow below, beside the first one again."""
    columns = list(zip(names, *rows))
    widths = [max(len(_cell(cell)) for cell in column) + 2 for column in columns]
    start = 1
    while start < len(columns) or start == 1:
        stop, room = start + 1, math.inf if width is None else width + 2 - widths[0]
        while stop < len(columns) and sum(widths[start : stop + 1]) <= room:
            stop += 1
        if start > 1:
            yield ""
        block = [columns[0], *columns[start:stop]]
        head, *body = zip(*block)
        yield from table_lines([str(name) for name in head], body)
        start = stop


def run_lines(runs: RunList, width: int | None = None) -> Iterator[str]:
    """Yield the table of a list of runs, with as many columns as there is room for.

    Args:
      runs: The runs.
      width: Number of characters in a line; None for any number.
    """
    if note := runs.order_note:
        yield from _wrapped(escape(note), width)
    names, rows = runs.table()
    count = len(names)
    while count > 2 and width is not None and _width(names, rows, count) > width:
        count -= 1
    cut = [row[:count] for row in rows]
    for line in table_lines(names[:count], cut, left=2):
        yield line if width is None else line[:width]


def _width(names: Sequence[str], rows: Sequence[Sequence[object]], count: int) -> int:
    lines = table_lines(names[:count], [row[:count] for row in rows], left=2)
    return max(map(len, lines))


def table_lines(
    names: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1
) -> Iterator[str]:
    """Yield a table as lines, with the first columns aligned left, the others right.

    Args:
      names: Names of the columns.
      rows: Cells of each row.
      left: Number of columns that are aligned left. Default 1.

    >>> print("\\n".join(table_lines(["key", "a"], [["loss", 0.25], ["acc", None]])))
    key      a
    loss  0.25
    acc      -
    """
    cells = [[escape(name) for name in names]]
    cells += [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for row in cells:
        first = (f"{cell:<{width}}" for cell, width in zip(row[:left], widths))
        rest = (f"{cell:>{width}}" for cell, width in zip(row[left:], widths[left:]))
        yield "  ".join([*first, *rest]).rstrip()


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return format_number(value)
    return "-" if value is None else escape(str(value))
