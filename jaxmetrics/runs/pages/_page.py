"""A page of tables and charts: one HTML file that loads nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxmetrics.figures import PALETTE, downsample, is_drawable
from jaxmetrics.record import atomic_write, dumps, encodable, read_start
from jaxmetrics.runs.reading import AXIS_LABELS, ExistingFileError

Cell = str | float | None
"""A cell of a table; None is shown as a dash."""

_MAX_PAGE_POINTS = 300_000  # of all lines of a page
_MAX_LINE_POINTS, _MIN_LINE_POINTS = 4000, 120
_MARKER = b'<meta name="generator" content="jaxmetrics">'
_SLOT = re.compile(r"\{\{(\w+)\}\}")


class Table(NamedTuple):
    """A table of a page.

    Attributes:
      title: Heading of the table.
      names: Names of the columns.
      rows: Cells of each row.
      note: Text above the table.
      ratio_column: Index of the column of ratios, which are shown as bars too.
    """

    title: str
    names: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    ratio_column: int | None = None


class Line(NamedTuple):
    """A series of a chart.

    Attributes:
      name: Name in the legend.
      color: Index of the color.
      x: Positions by axis, `[n]` each; points at nan are not drawn on that axis.
      y: Values, float64 `[n]`; those that are not finite are gaps.
      band: Lower and upper edge of an area around the line, `[n]` each.
      faint: Draw the line faint, behind its mean.
    """

    name: str
    color: int
    x: Mapping[str, np.ndarray]
    y: np.ndarray
    band: tuple[np.ndarray, np.ndarray] | None = None
    faint: bool = False


class Chart(NamedTuple):
    """Series that are drawn together.

    Attributes:
      title: Title of the chart.
      label: Label of the y axis.
      lines: The series.
    """

    title: str
    label: str
    lines: Sequence[Line]


@dataclass
class Page:
    """Content of a page, from top to bottom.

    Attributes:
      kind: Kind of page, such as `"Training run"`.
      title: Title.
      facts: Summary, as (name, text).
      notes: Sentences about missing or damaged data.
      tables_above: Tables above the charts.
      charts: Charts in their order.
      axis: Initial x axis of the charts that have it.
      tables_below: Tables below the charts.
    """

    kind: str
    title: str
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    tables_above: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    axis: str = "step"
    tables_below: Sequence[Table] = ()


def save_page(page: Page, path: Path, overwrite: bool = False) -> Path:
    """Write a page as HTML, atomically, and return its path.

    Args:
      page: The page.
      path: File to write. An existing page of jaxmetrics is replaced.
      overwrite: Replace any other existing file too.

    Raises:
      FileExistsError: The file exists and was not written by jaxmetrics.
    """
    if not overwrite and path.exists() and not _is_own_page(path):
        raise ExistingFileError(
            path, f"{path} exists and is not a page written by jaxmetrics."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, encodable(render(page)).encode())
    return path


def render(page: Page) -> str:
    """Return the page as HTML that loads nothing and runs only the scripts in it.

    All texts of the page are in a block of JSON, from which the scripts take them as
    text, never as HTML. The content security policy allows the two scripts, by their
    hashes, and nothing else.
    """
    licence = _asset("LICENSE.uPlot").strip()
    scripts = {
        "uplot_script": f"/*\n{licence}\n*/\n{_asset('uPlot.iife.min.js')}",
        "page_script": _asset("format.js") + _asset("page.js"),
    }
    style = _asset("uPlot.min.css") + _asset("page.css")
    script_hashes = " ".join(map(_csp_hash, scripts.values()))
    slots = scripts | {
        "policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"script-src {script_hashes}; style-src {_csp_hash(style)}",
        "title": html.escape(f"{page.title} · {page.kind}"),
        "style": style,
        "data": _data(page),
    }
    return _SLOT.sub(lambda slot: slots[slot[1]], _asset("template.html"))


def _data(page: Page) -> str:
    """Return the page as JSON without characters of HTML.

    Columns of numbers are stored once, and referred to by their index.
    """
    columns = _Columns()
    lines = sum(len(chart.lines) for chart in page.charts)
    points = _MAX_PAGE_POINTS // max(lines, 1)
    points = min(max(points, _MIN_LINE_POINTS), _MAX_LINE_POINTS)
    content = {
        "kind": page.kind,
        "title": page.title,
        "facts": page.facts,
        "notes": page.notes,
        "tables_above": [table._asdict() for table in page.tables_above],
        "charts": [_chart(chart, points, columns) for chart in page.charts],
        "axis": page.axis,
        "tables_below": [table._asdict() for table in page.tables_below],
        "colors": PALETTE.series,
        "axes": AXIS_LABELS,
    }
    text = f'{{"columns":[{",".join(columns.texts)}],"page":{dumps(content)}}}'
    for character in "<>&":  # in JSON they occur in strings only
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _chart(chart: Chart, points: int, columns: _Columns) -> dict[str, object]:
    lines = [_line(line, points, columns) for line in chart.lines]
    return {"title": chart.title, "label": chart.label, "lines": lines}


def _line(line: Line, points: int, columns: _Columns) -> dict[str, object]:
    """Return a line with at most `points` points.

    A line that was reduced to the extremes of windows has the means of windows too,
    since smoothing extremes would be meaningless.
    """
    count, y = len(line.y), np.where(is_drawable(line.y), line.y, np.nan)
    content: dict[str, object] = {
        "name": line.name,
        "color": line.color,
        "faint": line.faint,
        "count": count,
        "missing": int(np.isnan(y).sum()),
    }
    kept = downsample(np.arange(count), y, points)[0]
    content["x"] = {axis: columns.add(x[kept], 12) for axis, x in line.x.items()}
    content["y"] = columns.add(y[kept])
    if line.band is not None:
        content["band"] = [columns.add(edge[kept]) for edge in line.band]
    if len(kept) < count:
        size = -(-count // (points // 3))
        x_means = {axis: columns.add(_means(x, size), 12) for axis, x in line.x.items()}
        y_means = columns.add(_means(y, size))
        content["means"] = {"x": x_means, "y": y_means, "of": size}
    return content


def _means(values: np.ndarray, size: int) -> np.ndarray:
    """Return the mean of the finite values of each window, nan if there are none."""
    starts = np.arange(0, len(values), size)
    finite = np.isfinite(values)
    sums = np.add.reduceat(np.where(finite, values, 0.0), starts)
    with np.errstate(invalid="ignore"):  # a window without a finite value
        return sums / np.add.reduceat(finite.astype(np.float64), starts)


class _Columns:
    """Columns of numbers as JSON; equal columns are stored once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._indices: dict[str, int] = {}

    def add(self, values: Iterable[float] | np.ndarray, digits: int = 7) -> int:
        """Return the index of a column; values that are not finite become null."""
        values = np.asarray(values, np.float64).tolist()
        numbers = (f"{v:.{digits}g}" if math.isfinite(v) else "null" for v in values)
        text = f"[{','.join(numbers)}]"
        index = self._indices.setdefault(text, len(self.texts))
        if index == len(self.texts):
            self.texts.append(text)
        return index


def _asset(name: str) -> str:
    path = files("jaxmetrics.runs.pages") / "assets" / name
    return path.read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """Return the hash by which a content security policy allows a script or style."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _is_own_page(path: Path) -> bool:
    return path.is_file() and _MARKER in read_start(path, 1024, follow_links=True)
