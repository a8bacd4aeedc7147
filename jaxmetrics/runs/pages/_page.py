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
from typing import Any, NamedTuple

import numpy as np

from jaxmetrics.figures import downsample, is_drawable, window_means
from jaxmetrics.record import atomic_write, dumps, encodable, read_start
from jaxmetrics.runs.reading import (
    AXIS_LABELS,
    ExistingFileError,
    LayerMap,
    unique_name,
)

Cell = str | float | None
"""A cell of a table; None is shown as a dash."""

_MAX_PAGE_POINTS = 300_000  # of all lines of a page
_MAX_LINE_POINTS, _MIN_LINE_POINTS = 4000, 120
_MARKER = b'<meta name="generator" content="jaxmetrics">'
_SCRIPTS = (  # each defines one name that those after it use
    *("format.js", "lines.js", "marks.js", "saving.js", "legend.js", "keyboard.js"),
    "touch.js",
    "charts.js",
    *("controls.js", "state.js", "tables.js", "recorded.js", "layermap.js", "page.js"),
)
_SLOT = re.compile(r"\{\{(\w+)\}\}")


class Table(NamedTuple):
    """A table of a page.

    Attributes:
      title: Heading of the table.
      names: Names of the columns.
      rows: Cells of each row.
      note: Text above the table.
      ratio_column: Index of the column of ratios, which are shown as bars too.
      jumps: Position by axis to which a click on a row zooms the charts, or None, for
        each row.
    """

    title: str
    names: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    ratio_column: int | None = None
    jumps: Sequence[Mapping[str, float] | None] = ()


class Line(NamedTuple):
    """A series of a chart.

    Attributes:
      name: Name in the legend.
      color: Index of the color; None is the color of texts.
      x: Positions by axis, `[n]` each; points at nan are not drawn on that axis.
      y: Values, float64 `[n]`; those that are not finite are gaps.
      band: Lower and upper edge of an area around the line, `[n]` each.
      faint: Draw the line faint, behind its mean.
      show: Whether the line is shown at first. Default the first 12 of a chart.
      is_mean: Whether the line is a mean of runs: its gaps are where there is nothing
        to average, and not values that are not finite.
      diverged: Whether the line is of a run that diverged, which does not rule the
        range of a `pooled` chart.
    """

    name: str
    color: int | None
    x: Mapping[str, np.ndarray]
    y: np.ndarray
    band: tuple[np.ndarray, np.ndarray] | None = None
    faint: bool = False
    show: bool | None = None
    is_mean: bool = False
    diverged: bool = False


class Mark(NamedTuple):
    """An event that is marked on all charts.

    Attributes:
      kind: `"alarm"`, `"restart"`, `"evaluation"` or `"checkpoint"`.
      text: Text that the pointer shows.
      at: Position by axis.
    """

    kind: str
    text: str
    at: Mapping[str, float]


class Chart(NamedTuple):
    """Series that are drawn together.

    Attributes:
      title: Title of the chart.
      label: Label of the y axis.
      lines: The series.
      section: Heading above the chart and its neighbors of the same section.
      log: Whether the y axis is logarithmic at first.
      pooled: Whether the lines are one quantity of several runs, of which those that
        are far from the others do not rule the range of y.
    """

    title: str
    label: str
    lines: Sequence[Line]
    section: str = ""
    log: bool = False
    pooled: bool = False


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
      maps: Title and largest values of the layers of each quantity, by step.
      axis: Initial x axis of the charts that have it.
      tables_below: Tables below the charts.
      marks: Events that are marked on the charts.
      media: Content of each key of recorded media; see `recorded_media`.
    """

    kind: str
    title: str
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    tables_above: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    maps: Sequence[tuple[str, LayerMap]] = ()
    axis: str = "step"
    tables_below: Sequence[Table] = ()
    marks: Sequence[Mark] = ()
    media: Sequence[Mapping[str, Any]] = ()


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
        "page_script": "".join(map(_asset, _SCRIPTS)),
    }
    style = _asset("uPlot.min.css") + _asset("page.css")
    script_hashes = " ".join(map(_csp_hash, scripts.values()))
    slots = scripts | {
        "policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"img-src data:; media-src data:; script-src {script_hashes}; "
        f"style-src {_csp_hash(style)}",
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
        "charts": _charts(page.charts, points, columns),
        "maps": [_map(title, layers) for title, layers in page.maps],
        "media": page.media,
        "marks": [mark._asdict() for mark in page.marks],
        "axis": page.axis,
        "tables_below": [table._asdict() for table in page.tables_below],
        "axes": AXIS_LABELS,
    }
    text = f'{{"columns":[{",".join(columns.texts)}],"page":{dumps(content)}}}'
    for character in "<>&":  # in JSON they occur in strings only
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _charts(
    charts: Sequence[Chart], points: int, columns: _Columns
) -> list[dict[str, object]]:
    ids: list[str] = []
    content = []
    for chart in charts:
        ids.append(unique_name(chart.title, ids))
        lines = [_line(line, points, columns) for line in chart.lines]
        content.append(
            {
                "id": ids[-1],
                "title": chart.title,
                "label": chart.label,
                "section": chart.section,
                "log": chart.log,
                "pooled": chart.pooled,
                "lines": _joined(lines),
            }
        )
    return content


def _map(title: str, layers: LayerMap) -> dict[str, object]:
    """Return a map of layers as JSON; what is not known is null."""
    content: dict[str, object] = {"title": title, "layers": layers.layers}
    content |= {"x": _rounded(layers.x, 9), "width": layers.width}
    content["values"] = [_rounded(row, 5) for row in layers.values]
    return content | {"largest": _rounded(layers.largest, 12)}


def _rounded(values: np.ndarray, digits: int) -> list[float | None]:
    numbers = (float(f"{v:.{digits}g}") for v in values.tolist())
    return [v if math.isfinite(v) else None for v in numbers]


def _joined(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join lines of one name and color that are on different axes."""
    joined: dict[tuple[str, object], dict[str, Any]] = {}
    for line in lines:
        first = joined.setdefault((line["name"], line["color"]), line)
        if first is not line and not first["on"].keys() & line["on"].keys():
            first["on"].update(line["on"])
    return list(joined.values())


def _line(line: Line, points: int, columns: _Columns) -> dict[str, Any]:
    """Return a line with at most `points` points on each axis.

    A line that was reduced to the extremes of windows has the means of windows too,
    since smoothing extremes would be meaningless.
    """
    y = np.where(is_drawable(line.y), line.y, np.nan)
    on = {
        axis: _line_on_axis(line, np.asarray(x, np.float64), y, points, columns)
        for axis, x in line.x.items()
    }
    content = {"name": line.name, "color": line.color, "faint": line.faint, "on": on}
    content |= {"diverged": True} if line.diverged else {}
    return content if line.show is None else content | {"show": line.show}


def _line_on_axis(
    line: Line, x: np.ndarray, y: np.ndarray, points: int, columns: _Columns
) -> dict[str, object]:
    band, known = line.band, np.isfinite(x)
    if not known.all() or np.any(np.diff(x) < 0):
        order = np.flatnonzero(known)[np.argsort(x[known], kind="stable")]
        x, y = x[order], y[order]
        band = None if band is None else (band[0][order], band[1][order])
    count = len(y)
    kept = downsample(np.arange(count), y, points)[0]
    missing = 0 if line.is_mean else int(np.isnan(y).sum())
    content: dict[str, object] = {"count": count, "missing": missing}
    content |= {"x": columns.add(x[kept], 12), "y": columns.add(y[kept])}
    if band is not None:
        content["band"] = [columns.add(edge[kept]) for edge in band]
    if len(kept) < count:
        size = -(-count // (points // 3))
        x_means = columns.add(window_means(x, size), 12)
        y_means = columns.add(window_means(y, size))
        content["means"] = {"x": x_means, "y": y_means, "of": size}
    return content


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
