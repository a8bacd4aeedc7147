"""Tables of a comparison as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jaxmetrics.record import escape
from jaxmetrics.runs import Comparison, RunList
from jaxmetrics.runs.pages import compare_tables
from jaxmetrics.runs.reading import format_number


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Yield the notes and tables of a comparison as lines."""
    yield from (escape(note) for note in comparison.notes)
    for table in compare_tables(comparison):
        yield f"\n{escape(table.title)}"
        if table.note:
            yield escape(table.note)
        if table.rows:
            yield from table_lines(table.names, table.rows)


def run_lines(runs: RunList, width: int | None = None) -> Iterator[str]:
    """Yield the table of a list of runs, with as many columns as there is room for.

    Args:
      runs: The runs.
      width: Number of characters in a line; None for any number.
    """
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
