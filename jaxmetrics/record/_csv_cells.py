"""Format and parse the cells of a CSV file.

Numbers read back exactly; text cannot start a spreadsheet formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from jaxmetrics.record._scalar import scalar
from jaxmetrics.record._text import text_cell


def csv_cell(value: object) -> str:
    """Return a value as the text of one cell.

    Numbers are written so that they read back exactly, with `nan`, `inf` and `-inf`;
    None is empty; text is escaped by `text_cell`.

    Raises:
      TypeError: The value is not a number, text or None.

    >>> csv_cell(0.1), csv_cell(float("nan")), csv_cell(None), csv_cell("=1+1")
    ('0.1', 'nan', '', "'=1+1")
    """
    if value is None:
        return ""
    return text_cell(value) if isinstance(value, str) else repr(scalar(value))


def csv_line(cells: Iterable[str]) -> str:
    """Return cells as one line, quoted where needed, without the newline."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def csv_cells(line: bytes) -> Sequence[str]:
    """Return the cells of a line, with or without its newline.

    Raises:
      ValueError: The line is not UTF-8, or not CSV.
    """
    try:
        return next(csv.reader([line.decode().rstrip("\n")], strict=True), [])
    except csv.Error as error:
        raise ValueError(str(error)) from None
