"""Charts of values: matrices, curves, bars and histograms, each in its own axes.

`charts_of` chooses the chart of a computed value by its shape, and `draw_charts` draws
several charts in one figure. A metric that knows more than the shape of its value, such
as the axes of a confusion matrix, describes its charts itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics.figures._figure import (
    add_legend,
    new_figure,
    printable,
    show_message,
    style_axes,
)
from jaxmetrics.figures._marks import draw_line, is_drawable
from jaxmetrics.figures._palette import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_CHARTS = 12
_MAX_BARS = 60  # more values become a line
_MAX_CELLS_WITH_TEXT = 12  # rows or columns up to which cells have their value
_MAX_TICKS = 25
_COLORS = "viridis"


@dataclass(frozen=True)
class Heatmap:
    """A matrix of values as colors.

    Attributes:
      values: Matrix `[rows, columns]`; cells that are not finite are empty.
      x_label: Label of the columns.
      y_label: Label of the rows.
      x_names: Names of the columns. Default their numbers.
      y_names: Names of the rows. Default their numbers.
    """

    values: np.ndarray
    x_label: str = "column"
    y_label: str = "row"
    x_names: Sequence[str] = ()
    y_names: Sequence[str] = ()

    def draw(self, axes: Axes, title: str) -> None:
        """Draw it on axes; small matrices have the values in their cells."""
        values = np.asarray(self.values, np.float64)
        if not _any_drawable(axes, values, title):
            return
        names = self.x_names or _numbers(values.shape[1])
        rows = self.y_names or _numbers(values.shape[0])
        y_edges, x_edges = (cell_edges(np.arange(n)) for n in values.shape)
        draw_heatmap(axes, x_edges, y_edges, values)
        _style_matrix(axes, title, self.x_label, self.y_label, names, rows)
        if max(values.shape) <= _MAX_CELLS_WITH_TEXT:
            _write_cells(axes, values)


@dataclass(frozen=True)
class Curves:
    """Lines over a common x axis, such as ROC curves.

    Attributes:
      lines: x and y of each line, `[n]`, by name.
      x_label: Label of the x axis.
      y_label: Label of the y axis.
      diagonal: Whether to draw the line x = y as a reference.
    """

    lines: Mapping[str, tuple[np.ndarray, np.ndarray]]
    x_label: str
    y_label: str
    diagonal: bool = False

    def draw(self, axes: Axes, title: str) -> None:
        """Draw it on axes."""
        all_y = [np.asarray(y, np.float64) for _, y in self.lines.values()]
        if not _any_drawable(axes, np.concatenate([[], *all_y]), title):
            return
        handles = []
        for index, (x, y) in enumerate(self.lines.values()):
            color = PALETTE.series[index % len(PALETTE.series)]
            x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
            handles.append(draw_line(axes, x, y, color, marker=""))
        if self.diagonal:
            axes.plot([0, 1], [0, 1], color=PALETTE.muted, linewidth=1, linestyle=":")
        style_axes(axes, title, self.x_label, self.y_label, integer_x=False)
        if len(self.lines) > 1:
            add_legend(axes, handles, list(self.lines))


@dataclass(frozen=True)
class Bars:
    """Values by name.

    Attributes:
      values: Values by name.
      label: Label of the values.
    """

    values: Mapping[str, float]
    label: str = "value"

    def draw(self, axes: Axes, title: str) -> None:
        """Draw it on axes; of more than 60 values a line."""
        values = np.array([float(value) for value in self.values.values()])
        if not _any_drawable(axes, values, title):
            return
        if len(values) > _MAX_BARS:
            draw_line(axes, np.arange(len(values)), values, PALETTE.blue)
            style_axes(axes, title, "index", self.label)
            return
        rows, drawable = np.arange(len(values))[::-1], is_drawable(values)
        axes.barh(rows[drawable], values[drawable], color=PALETTE.blue, height=0.7)
        style_axes(axes, title, self.label, "", integer_x=False)
        names = [printable(name, 40) for name in self.values]
        axes.set_yticks(rows, names, color=PALETTE.text)
        for tick in axes.get_yticklabels():
            tick.set_parse_math(False)
        axes.grid(axis="y", visible=False)
        axes.set_ylim(-0.7, len(values) - 0.3)
        axes.margins(x=0.18)
        for row, value in zip(rows, values):
            text = f" {value:.4g} " if math.isfinite(value) else f" {value} "
            side = "right" if value < 0 else "left"
            at = value if is_drawable(np.array(value)) else 0.0
            axes.text(
                *(at, row, text),
                va="center",
                ha=side,
                color=PALETTE.muted,
                fontsize=9.5,
            )


@dataclass(frozen=True)
class HistogramBars:
    """Counts between edges.

    Attributes:
      counts: Counts `[bins]`.
      edges: Edges `[bins + 1]`, ascending.
      label: Label of the x axis.
      notes: Counts outside of the bins by name; those that are not 0 are in the title.
    """

    counts: np.ndarray
    edges: np.ndarray
    label: str = "value"
    notes: Mapping[str, float] = field(default_factory=dict)

    def draw(self, axes: Axes, title: str) -> None:
        """Draw it on axes."""
        counts = np.asarray(self.counts, np.float64)
        edges = np.asarray(self.edges, np.float64)
        others = [f"{name} {n:,.6g}" for name, n in self.notes.items() if n]
        title = f"{title} ({', '.join(others)})" if others else title
        if not _any_drawable(axes, counts, title):
            return
        widths = np.diff(edges)
        if len(widths) > 1 and edges[0] > 0 and widths.max() > 30 * widths.min():
            axes.set_xscale("log")
        axes.bar(edges[:-1], counts, widths, align="edge", color=PALETTE.blue)
        style_axes(axes, title, self.label, "count", integer_x=False)


Chart = Heatmap | Curves | Bars | HistogramBars
"""A chart, which draws itself on axes."""


def charts_of(name: str, value: Any) -> dict[str, Chart]:
    """Return the charts of a value of any shape, by title.

    A matrix is a heatmap, a histogram (`counts` and `edges`) its bars; an array of rank
    1, several numbers by name and a single number are bars. Of arrays of a higher rank
    each matrix is a heatmap. A value without numbers has no chart.

    Args:
      name: Name of the value.
      value: Number, array, or mapping of such, as metrics compute it.

    >>> list(charts_of("loss", 0.5)), list(charts_of("x", {"a": 1, "b": [[2, 3]]}))
    (['loss'], ['x', 'x/b'])
    """
    if isinstance(value, Mapping):
        return _charts_of_mapping(name, value)
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return {}
    if array.ndim == 0:
        return {name: Bars({name.rpartition("/")[2]: float(array)})}
    if array.ndim == 1:
        return {name: Bars(dict(zip(_numbers(len(array)), array.tolist())))}
    if array.ndim == 2:
        return {name: Heatmap(array)}
    parts = (charts_of(f"{name}/{index}", part) for index, part in enumerate(array))
    return {title: chart for charts in parts for title, chart in charts.items()}


def draw_charts(charts: Mapping[str, Chart], title: str = "") -> Figure:
    """Draw charts in one figure, at most 12, in rows of three.

    Args:
      charts: Charts by title.
      title: Title of the figure, for several charts.

    Raises:
      ImportError: matplotlib is not installed.
    """
    shown = dict(list(charts.items())[:_MAX_CHARTS])
    columns = min(max(len(shown), 1), 3)
    rows = max(-(-len(shown) // columns), 1)
    width, height = 6.2 * columns, 4.6 * rows
    if len(shown) < 2:
        width, height = 8.0, 5.6
        for chart in shown.values():
            if isinstance(chart, Bars):
                height = min(1.8 + 0.4 * len(chart.values), height)
    figure = new_figure(width, height)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes in panels:
        axes.set_axis_off()
    for axes, (name, chart) in zip(figure.axes, shown.items()):
        axes.set_axis_on()
        chart.draw(axes, name)
    if not shown:
        figure.axes[0].set_axis_on()
        style_axes(figure.axes[0], title, "", "")
        show_message(figure.axes[0], "there is nothing to draw")
    elif len(shown) > 1:
        if len(shown) < len(charts):
            title = f"{title}: {len(shown)} of {len(charts)} charts".removeprefix(": ")
        figure.suptitle(
            printable(title), color=PALETTE.text, fontsize=15, parse_math=False
        )
    return figure


def draw_heatmap(
    axes: Axes,
    x_edges: np.ndarray,
    y_edges: np.ndarray,
    values: np.ndarray,
    limits: tuple[float, float] | None = None,
) -> Any:
    """Draw a matrix as colors with a color bar, and return the drawn mesh.

    Args:
      axes: The axes.
      x_edges: Edges of the columns, `[columns + 1]`.
      y_edges: Edges of the rows, `[rows + 1]`.
      values: Matrix `[rows, columns]`; cells that are not finite are empty.
      limits: Values of the first and the last color. Default the extremes.
    """
    shown = np.where(is_drawable(values), values, np.nan)
    low, high = limits or (np.nanmin(shown), np.nanmax(shown))
    if low == high:  # one color for all, not the first of the scale
        low, high = low - 0.5, high + 0.5
    mesh = axes.pcolormesh(
        x_edges, y_edges, np.ma.masked_invalid(shown), cmap=_COLORS, vmin=low, vmax=high
    )
    bar = axes.figure.colorbar(mesh, ax=axes)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=PALETTE.muted, labelsize=9)
    return mesh


def cell_edges(positions: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the edges of cells around positions, `[n + 1]`.

    Args:
      positions: Positions, strictly ascending, `[n]` with n > 0.

    >>> cell_edges(np.array([1.0, 2.0, 4.0])).tolist()
    [0.5, 1.5, 3.0, 5.0]
    """
    x = np.asarray(positions, np.float64)
    if len(x) == 1:
        return np.array([x[0] - 0.5, x[0] + 0.5])
    middle = (x[1:] + x[:-1]) / 2
    return np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])


def _charts_of_mapping(name: str, value: Mapping[Any, Any]) -> dict[str, Chart]:
    if {"counts", "edges"} <= value.keys():
        counts, edges = np.asarray(value["counts"]), np.asarray(value["edges"])
        if counts.ndim == 1 and edges.shape == (len(counts) + 1,):
            names = ("below", "above", "nonfinite")
            notes = {n: float(value[n]) for n in names if n in value}
            return {name: HistogramBars(counts, edges, notes=notes)}
    numbers: dict[str, float] = {}
    charts: dict[str, Chart] = {}
    for key, part in value.items():
        if isinstance(part, Mapping) or np.ndim(part):
            charts |= charts_of(f"{name}/{key}", part)
        elif charts_of(name, part):
            numbers[str(key)] = float(part)
    return ({name: Bars(numbers)} if numbers else {}) | charts


def _any_drawable(axes: Axes, values: np.ndarray, title: str) -> bool:
    """Return whether any value can be drawn, after writing so on the axes if not."""
    if is_drawable(values).any():
        return True
    style_axes(axes, title, "", "")
    show_message(axes, "none of the values is finite" if values.size else "no values")
    return False


def _style_matrix(
    axes: Axes,
    title: str,
    x_label: str,
    y_label: str,
    x_names: Sequence[str],
    y_names: Sequence[str],
) -> None:
    style_axes(axes, title, x_label, y_label)
    axes.grid(False)
    axes.invert_yaxis()
    for axis, names in ((axes.xaxis, x_names), (axes.yaxis, y_names)):
        step = -(-len(names) // _MAX_TICKS)
        ticks = list(range(0, len(names), step))
        axis.set_ticks(ticks, [printable(names[tick], 24) for tick in ticks])
        for label in axis.get_ticklabels():
            label.set_parse_math(False)
    if max(map(len, x_names)) > 3 and len(x_names) > 6:
        axes.tick_params(axis="x", rotation=60)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _write_cells(axes: Axes, values: np.ndarray) -> None:
    """Write the value of each cell on it, dark on light colors."""
    low, high = np.nanmin(values), np.nanmax(values)
    middle = low + 0.6 * (high - low) if high > low else high
    for (row, column), value in np.ndenumerate(values):
        color = "black" if value > middle else "white"  # on the colors of the map
        text = f"{value:.3g}" if abs(value) < 1e6 else f"{value:.1e}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)


def _numbers(count: int) -> list[str]:
    return [str(index) for index in range(count)]
