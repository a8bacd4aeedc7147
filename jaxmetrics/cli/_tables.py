"""Tables of a comparison as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jaxmetrics.record import escape
from jaxmetrics.runs import Comparison
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


def table_lines(
    names: Sequence[str], rows: Sequence[Sequence[object]]
) -> Iterator[str]:
    """Yield a table as lines, with the first column aligned left, the others right.

    >>> print("\\n".join(table_lines(["key", "a"], [["loss", 0.25], ["acc", None]])))
    key      a
    loss  0.25
    acc      -
    """
    cells = [[escape(name) for name in names]]
    cells += [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for row in cells:
        rest = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:]))
        yield "  ".join([f"{row[0]:<{widths[0]}}", *rest]).rstrip()


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return format_number(value)
    return "-" if value is None else escape(str(value))
