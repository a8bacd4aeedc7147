"""A page of tables and charts: one HTML file that needs nothing else."""

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

from jaxmetrics import figures
from jaxmetrics.figures import downsample
from jaxmetrics.record import atomic_write, dumps
from jaxmetrics.runs.reading import LABELS

Cell = str | float | None

_MOST_POINTS, _FEWEST_POINTS, _ALL_POINTS = 4000, 120, 300_000
_MARK = b'<meta name="generator" content="jaxmetrics">'
_SLOT = re.compile(r"\{\{(\w+)\}\}")


class Table(NamedTuple):
    """A table of a page.

    Attributes:
      title: Its heading.
      names: Of its columns.
      rows: The cells; None is a dash.
      note: What is to be said above it.
      share: The column of ratios that are drawn as bars too.
    """

    title: str
    names: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    share: int | None = None


class Line(NamedTuple):
    """A series of a chart.

    Attributes:
      name: What the legend says.
      colour: Which of the colours it has.
      x: Its places by axis, `[n]` each; nan has no place.
      y: float64 `[n]`, drawn as a gap where it is not finite.
      around: The edges of the area around it, `[n]` each, if it has one.
      faint: Whether others matter more.
    """

    name: str
    colour: int
    x: Mapping[str, np.ndarray]
    y: np.ndarray
    around: tuple[np.ndarray, np.ndarray] | None = None
    faint: bool = False


class Chart(NamedTuple):
    """Series that are drawn together: a title, the y axis' label, the lines."""

    title: str
    label: str
    lines: Sequence[Line]


@dataclass
class Page:
    """What a page shows, from top to bottom.

    Attributes:
      kind: What it is: `"Training run"`.
      title: What it is called.
      facts: The summary, as (name, value).
      notes: What is to be said before all else.
      first: Tables above the charts.
      charts: In their order.
      axis: The one they have at first, if they have it.
      last: Tables below the charts.
    """

    kind: str
    title: str
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    first: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    axis: str = "step"
    last: Sequence[Table] = ()


def save(page: Page, path: Path, overwrite: bool = False) -> Path:
    """Write a page, at once; only a page of ours is replaced.

    Args:
      page: What it shows.
      path: The file.
      overwrite: Replace whatever is there.

    Raises:
      FileExistsError: The file is somebody else's.
    """
    if not overwrite and path.exists() and not _is_ours(path):
        raise FileExistsError(
            f"{path} is there, and is not a page of jaxmetrics. Move it away, choose "
            f"another path, or give overwrite=True to replace it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, render(page).encode())
    return path


def render(page: Page) -> str:
    """The page as HTML that loads nothing and runs no script but ours.

    Its texts are data: they reach the page as text, never as HTML, and its policy lets
    a browser run our two scripts, by their sums, and nothing else.
    """
    licence = _file("LICENSE.uPlot").strip()
    scripts = {
        "charts": f"/*\n{licence}\n*/\n{_file('uPlot.iife.min.js')}",
        "glue": _file("words.js") + _file("page.js"),
    }
    styles = _file("uPlot.min.css") + _file("page.css")
    run = " ".join(map(_sum_of, scripts.values()))
    slots = scripts | {
        "policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"script-src {run}; style-src {_sum_of(styles)}",
        "title": html.escape(f"{page.title} · {page.kind}"),
        "style": styles,
        "data": _data(page),
    }
    return _SLOT.sub(lambda slot: slots[slot[1]], _file("template.html"))


def _data(page: Page) -> str:
    """The page as JSON without a character that HTML knows.

    Columns of numbers are written once, and named by their place.
    """
    columns = _Columns()
    share = _ALL_POINTS // max(sum(len(chart.lines) for chart in page.charts), 1)
    points = min(max(share, _FEWEST_POINTS), _MOST_POINTS)
    told = {
        "kind": page.kind,
        "title": page.title,
        "facts": page.facts,
        "notes": page.notes,
        "first": [table._asdict() for table in page.first],
        "charts": [_chart(chart, points, columns) for chart in page.charts],
        "axis": page.axis,
        "last": [table._asdict() for table in page.last],
        "colours": figures.COLOURS,
        "axes": LABELS,
    }
    text = f'{{"columns":[{",".join(columns.texts)}],"page":{dumps(told)}}}'
    for sign in "<>&":  # within JSON they only occur in strings
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _chart(chart: Chart, points: int, columns: _Columns) -> dict[str, object]:
    lines = [_line(line, points, columns) for line in chart.lines]
    return {"title": chart.title, "label": chart.label, "lines": lines}


def _line(line: Line, points: int, columns: _Columns) -> dict[str, object]:
    """A line's columns: the points that its picture needs, and means to smooth."""
    count, y = len(line.y), np.where(figures.drawable(line.y), line.y, np.nan)
    told: dict[str, object] = {
        "name": line.name,
        "colour": line.colour,
        "faint": line.faint,
        "count": count,
        "missing": int(np.isnan(y).sum()),
    }
    kept = downsample(np.arange(count), y, points)[0]
    told["x"] = {a: columns.add(x[kept], 12) for a, x in line.x.items()}
    told["y"] = columns.add(y[kept])
    if line.around is not None:
        told["around"] = [columns.add(edge[kept]) for edge in line.around]
    if len(kept) < count:
        size = -(-count // (points // 3))
        means = {axis: columns.add(_means(x, size), 12) for axis, x in line.x.items()}
        told["means"] = {"x": means, "y": columns.add(_means(y, size)), "of": size}
    return told


def _means(values: np.ndarray, size: int) -> np.ndarray:
    """The mean of the finite values of each window of `size`, nan without any."""
    starts = np.arange(0, len(values), size)
    finite = np.isfinite(values)
    sums = np.add.reduceat(np.where(finite, values, 0.0), starts)
    with np.errstate(invalid="ignore"):  # a window without a finite value
        return sums / np.add.reduceat(finite.astype(np.float64), starts)


class _Columns:
    """Columns of numbers as JSON, each of them once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._places: dict[str, int] = {}

    def add(self, values: Iterable[float] | np.ndarray, digits: int = 7) -> int:
        """The place of a column, to so many digits; what is not finite is null."""
        values = np.asarray(values, np.float64).tolist()
        numbers = (f"{v:.{digits}g}" if math.isfinite(v) else "null" for v in values)
        text = f"[{','.join(numbers)}]"
        place = self._places.setdefault(text, len(self.texts))
        if place == len(self.texts):
            self.texts.append(text)
        return place


def _file(name: str) -> str:
    return (files("jaxmetrics.runs.pages") / "assets" / name).read_text(
        encoding="utf-8"
    )


def _sum_of(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return _MARK in file.read(1024)
