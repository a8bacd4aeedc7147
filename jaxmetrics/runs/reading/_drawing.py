"""Draw the keys of one run, as `Run.plot` does."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics import figures
from jaxmetrics.figures import PALETTE
from jaxmetrics.runs.reading._axes import (
    AXES,
    AXIS_LABELS,
    axis_positions,
    series_on_axis,
)
from jaxmetrics.runs.reading._labels import axis_label, grouped_by_chart, importance
from jaxmetrics.runs.reading._run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DEFAULT_CHARTS, _MAX_CHARTS = 6, 24
_MAX_STEPS = 400  # of a map of arrays over time
_TIME_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
_LOG_RATIO = 30.0  # maximum over minimum from which the y axis is logarithmic


def draw_run(run: Run, keys: Sequence[str], x: str = "step") -> Figure:
    """Draw keys of a run; see `Run.plot`."""
    positions = axis_positions(run)
    if x not in AXES or (len(run) and x not in positions):
        raise ValueError(
            f"Run.plot() got x={x!r}; expected one of {list(positions)}, the axes that "
            f"run {run.name!r} has. Choose one of them."
        )
    chosen = _chosen_keys(run, keys)
    groups = list(grouped_by_chart(chosen).items())
    if not keys:
        groups = groups[:_DEFAULT_CHARTS]
    shown = groups[:_MAX_CHARTS]
    columns = min(max(len(shown), 1), 3)
    rows = max(-(-len(shown) // columns), 1)
    size = (10.0, 5.6) if len(shown) < 2 else (6.4 * columns, 4.4 * rows)
    figure = figures.new_figure(*size)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (title, members) in zip(panels, shown):
        title = members[0] if len(members) == 1 else title
        if members[0] in run:
            lines = {
                key: series_on_axis(run, key, positions[x])
                for key in members
                if key in run
            }
            draw_lines(axes, title, lines, x, run.unit)
        else:
            _draw_arrays(axes, run, members[0])
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    if not shown:
        figures.show_message(figure.axes[0], "no metric was recorded")
    if len(shown) < len(groups) and keys:
        text = f"{len(shown)} of {len(groups)} charts"
        figure.suptitle(text, color=PALETTE.text, fontsize=15)
    return figure


def draw_lines(
    axes: Axes,
    title: str,
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
    x: str,
    unit: str = "step",
) -> None:
    """Draw series over one axis, on a logarithmic y axis if their range is wide.

    Args:
      axes: The axes.
      title: Title of the axes.
      lines: x and y of each series by name.
      x: Name of the x axis.
      unit: What steps count.
    """
    all_y = np.concatenate([np.zeros(0), *(y for _, y in lines.values())])
    all_y = all_y[figures.is_drawable(all_y)]
    if not len(all_y):
        figures.style_axes(axes, title, "", "")
        figures.show_message(axes, "none of the values is finite")
        return
    if is_wide(all_y):
        axes.set_yscale("log")
    ends = [at[-1] for at, _ in lines.values() if len(at)]
    divisor, label = x_unit(x, max(ends, default=0.0))
    handles = []
    for index, (at, y) in enumerate(lines.values()):
        color = PALETTE.series[index % len(PALETTE.series)]
        handles.append(figures.draw_noisy_line(axes, at / divisor, y, color))
    label = unit if x == "step" else label
    figures.style_axes(axes, title, label, axis_label(next(iter(lines))))
    if len(lines) > 1:
        figures.add_legend(axes, handles, list(lines))


def is_wide(y: np.ndarray) -> bool:
    """Return whether all values that can be drawn are positive, over a wide range."""
    y = y[figures.is_drawable(y)]
    return bool(len(y) and y.min() > 0 and y.max() > _LOG_RATIO * y.min())


def x_unit(axis: str, end: float) -> tuple[float, str]:
    """Return the divisor of x and the label of the x axis; `end` is the largest x."""
    label = AXIS_LABELS[axis]
    if axis != "time":
        return 1.0, label
    divisor, unit = time_unit(end)
    return divisor, f"{label} ({unit})"


def time_unit(longest: float) -> tuple[float, str]:
    """Return the seconds and the name of a unit for durations up to `longest`."""
    return next((u for u in _TIME_UNITS if longest >= 2 * u[0]), _TIME_UNITS[-1])


def _chosen_keys(run: Run, keys: Sequence[str]) -> list[str]:
    """Return the keys to draw: those given or matched, or all by importance."""
    known = [*run.keys(), *run.arrays]
    if not keys:
        return sorted(run.keys(), key=importance)
    chosen: dict[str, None] = {}
    for key in keys:
        matches = [other for other in known if fnmatch.fnmatchcase(other, key)]
        if key not in known and not matches:
            run[key]  # an error that names similar keys
        chosen |= dict.fromkeys([key] if key in known else matches)
    return list(chosen)


def _draw_arrays(axes: Axes, run: Run, key: str) -> None:
    """Draw arrays: of rank 1 a map over time, of a higher rank the last one."""
    steps, arrays = run.arrays[key]
    last: Any = arrays[-1]
    if last.ndim > 1 or len(arrays) == 1 or len({a.shape for a in arrays}) > 1:
        chart = next(iter(figures.charts_of(key, last).values()))
        if isinstance(chart, figures.Heatmap) and "confusion" in key.lower():
            chart = figures.Heatmap(last, "predicted class", "true class")
        chart.draw(axes, f"{key}, {run.unit} {steps[-1]:,}")
        return
    selected = np.unique(np.linspace(0, len(steps) - 1, _MAX_STEPS).round().astype(int))
    values = np.stack([arrays[index] for index in selected], axis=-1)
    if not figures.is_drawable(values).any():
        figures.style_axes(axes, key, "", "")
        figures.show_message(axes, "none of the values is finite")
        return
    edges = figures.cell_edges(steps[selected]), figures.cell_edges(range(len(values)))
    figures.draw_heatmap(axes, *edges, values)
    axes.invert_yaxis()
    figures.style_axes(axes, key, run.unit, "entry")
    axes.grid(False)
