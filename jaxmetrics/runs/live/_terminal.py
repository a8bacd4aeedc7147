"""Tables of series with sparklines, as lines of text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from jaxmetrics.record import escape
from jaxmetrics.runs.live._sparkline import aligned, sparkline
from jaxmetrics.runs.live._state import Series
from jaxmetrics.runs.reading import format_bytes

_MIN_NAME_WIDTH, _MIN_SPARKLINE, _MAX_SPARKLINE, _MAX_TEXT = 12, 10, 60, 24
_VALUES = ("last", "min", "max")


def table_lines(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    series: Sequence[tuple[str, Series | None]],
    width: int,
) -> Iterator[str]:
    """Yield a heading and a line for each row: texts, last, minimum, maximum, bars.

    The sparklines cover the same steps.

    Args:
      names: Names of the texts; the first column is cut to the width.
      rows: Texts of each row, escaped.
      series: Key and series of each row; None for a row without values.
      width: Length of a line, in characters.
    """
    names = (*names, *_VALUES)
    cells = [(*row, *_values(*one)) for row, one in zip(rows, series)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    widths[1:] = [max(w, len(n)) for w, n in zip(widths[1:], names[1:])]
    room = width - sum(widths[1:]) - 2 * len(names[1:]) - 2 - _MIN_SPARKLINE
    widths[0] = min(widths[0], max(room, _MIN_NAME_WIDTH))
    bars = min(width - sum(widths) - 2 * len(names), _MAX_SPARKLINE)
    yield _line(names, widths)
    means = [(Series() if one is None else one).means() for _, one in series]
    parts = aligned(means, bars) if bars > 0 else []
    for row, values in itertools.zip_longest(cells, parts):
        line = _line((cut(row[0], widths[0]), *row[1:]), widths)
        yield line if values is None else f"{line}  {sparkline(values)}"


def cut(text: str, width: int) -> str:
    """Return a text of at most `width` characters."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def plain(value: object) -> str:
    """Return a value as text without control characters."""
    return escape(str(value))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    right = "".join(f"  {c:>{w}}" for c, w in zip(cells[1:], widths[1:]))
    return f"{cells[0]:<{widths[0]}}{right}"


def _values(key: str, series: Series | None) -> tuple[str, str, str]:
    """Return the last value, the minimum and the maximum."""
    if series is None:
        return "", "", ""
    last, statistics = series.last, series.statistics
    text = repr(escape(last)) if isinstance(last, str) else _number(key, last)
    if statistics.count == statistics.nonfinite:
        return cut(text, _MAX_TEXT), "", ""
    extremes = _number(key, statistics.min), _number(key, statistics.max)
    return cut(text, _MAX_TEXT), *extremes


def _number(key: str, value: float) -> str:
    """Return a number of 5 digits, or a size in bytes in binary units."""
    if key.endswith("_bytes") and abs(value) >= 2**20:  # False for nan
        return format_bytes(value)
    return f"{value:.5g}"
