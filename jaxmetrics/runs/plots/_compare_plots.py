"""Plots of a comparison: one key of all runs in one chart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxmetrics import figures
from jaxmetrics.figures import PALETTE
from jaxmetrics.record import one_or_many
from jaxmetrics.runs.plots._files import save_figure
from jaxmetrics.runs.reading import (
    AlignedRuns,
    axis_label,
    is_telemetry,
    is_wide,
    unique_name,
    x_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_LEGEND_ENTRIES = 20
_MAX_NAME = 120  # characters of a key in the name of a file
_MAX_MEAN_POINTS = 1000


def overlay(comparison: AlignedRuns, *keys: str) -> Figure:
    """Draw keys of all runs, each in a chart of its own, in rows of two.

    Runs of a group of several are drawn faint, with their mean and its standard error.
    """
    columns = min(max(len(keys), 1), 2)
    rows = max(-(-len(keys) // columns), 1)
    size = (10.0, 5.6) if len(keys) < 2 else (9.0 * columns, 4.8 * rows)
    figure = figures.new_figure(*size)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, key in zip(panels, keys):
        _draw_key(axes, comparison, key)
    for axes in panels[len(keys) :]:
        axes.set_axis_off()
    return figure


def _draw_key(axes: Axes, comparison: AlignedRuns, key: str) -> None:
    series = comparison.series(key)
    ends = [x[-1] for x, _ in series.values() if len(x)]
    divisor, x_label = x_unit(comparison.x, max(ends, default=0.0))
    all_y = np.concatenate([np.zeros(0), *(y for _, y in series.values())])
    all_y = all_y[figures.is_drawable(all_y)]
    if not len(all_y):
        figures.style_axes(axes, key, "", "")
        message = "none of the values is finite" if series else "not recorded"
        figures.show_message(axes, message)
        return
    if is_wide(all_y):
        axes.set_yscale("log")
    handles, names = [], []
    for index, (group, members) in enumerate(comparison.groups.items()):
        color = PALETTE.series[index % len(PALETTE.series)]
        dashes = "-" if index < len(PALETTE.series) else "--"
        is_mean = len(members) > 1
        for name in (name for name in members if name in series):
            x, y = series[name]
            style = {"linewidth": 0.7, "alpha": 0.35, "marker": ""} if is_mean else {}
            draw = figures.draw_line if is_mean else figures.draw_noisy_line
            line = draw(axes, x / divisor, y, color, linestyle=dashes, **style)
            if not is_mean:
                handles, names = [*handles, line], [*names, name]
        if is_mean:
            x, mean, error, _ = comparison.mean(key, group, max_points=_MAX_MEAN_POINTS)
            if np.isfinite(mean).any():
                x = x / divisor
                figures.draw_band(axes, x, mean - error, mean + error, color)
                line = axes.plot(x, mean, color=color, linestyle=dashes)[0]
                handles.append(line)
                count = len(set(members) - comparison.diverged)
                names.append(f"{group} (n={count})")
    figures.style_axes(axes, key, x_label, axis_label(key))
    handles, names = handles[:_MAX_LEGEND_ENTRIES], names[:_MAX_LEGEND_ENTRIES]
    has_means = len(comparison.groups) < len(comparison.runs)
    title = "mean ± standard error of n runs" if has_means else ""
    figures.add_legend(axes, handles, names, outside=True, title=title)


def save_overlays(
    comparison: AlignedRuns,
    folder: Path,
    keys: str | Iterable[str] | None,
    overwrite: bool = False,
) -> list[Path]:
    """Write `compare_<key>.png` for each key, and return the paths.

    Args:
      comparison: The runs.
      folder: Folder of the plots; it is created.
      keys: Keys to draw; None for the metrics of splits, or for all keys if there are
        no such metrics.
      overwrite: Replace existing files that are not plots of jaxmetrics.
    """
    if keys is None:
        metrics = [key for key in comparison.keys if not is_telemetry(key)]
        keys = metrics or comparison.keys
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for key in one_or_many(keys):
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", key)[:_MAX_NAME]
        used = [path.stem for path in paths]
        path = folder / f"{unique_name(f'compare_{name}', used)}.png"
        save_figure(overlay(comparison, key), path, overwrite=overwrite)
        paths.append(path)
    return paths
