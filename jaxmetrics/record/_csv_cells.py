"""The cells of a CSV file: numbers that read back, text that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from jaxmetrics.record._scalar import scalar
from jaxmetrics.record._text import text_cell


def csv_cell(value: object) -> str:
    """A value as text: numbers so that they read back exactly, nan, inf and -inf.

    None is empty. Text is as `text_cell` makes it.

    Raises:
      TypeError: It is neither a number, text nor None.
    """
    if value is None:
        return ""
    return text_cell(value) if isinstance(value, str) else repr(scalar(value))


def csv_line(cells: Iterable[str]) -> str:
    """One line of a file, without its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def csv_cells(line: bytes) -> Sequence[str]:
    """The cells of a line.

    Raises:
      ValueError: It is not UTF-8, or not CSV.
    """
    try:
        return next(csv.reader([line.decode().rstrip("\n")], strict=True), [])
    except csv.Error as error:
        raise ValueError(str(error)) from None
