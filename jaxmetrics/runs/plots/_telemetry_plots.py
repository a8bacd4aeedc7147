"""Plots of the telemetry of a run; None where the run has no data for them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics import figures
from jaxmetrics.figures import PALETTE
from jaxmetrics.record import duration
from jaxmetrics.runs.plots._holdout import holdout_predictions
from jaxmetrics.runs.reading import (
    History,
    at_common_x,
    is_wide,
    quantile_keys,
    time_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jaxmetrics.runs.reading import Run

_MAX_LINES, _MAX_PANELS, _MAX_CATEGORIES = 8, 6, 14
_MIN_ROWS = 4  # of bars, for which there is room, so that one is not a slab
_ALL = "(all)"
_DATASET = re.compile(r"(?P<split>[^/_]+)_(?P<dataset>[^/]+)/loss")


def group_norms(history: History) -> Figure | None:
    """Draw the norms of gradients, updates and parameters by group."""
    quantities = {"grad": "Gradient", "update": "Update", "param": "Parameter"}
    charts = {}
    for prefix, title in quantities.items():
        keys = _keys_below(history.run, f"{prefix}/norm/")
        if keys:
            keys = _with_total(history, f"{prefix}/norm", keys)
            charts[f"{title} norms by group"] = keys
    return _stacked(history, charts, "L2 norm")


def update_ratios(history: History) -> Figure | None:
    """Draw the size of updates relative to parameters, in total and by group."""
    keys = _keys_below(history.run, "update/ratio/")
    keys = _with_total(history, "update/ratio", keys)
    if not keys:
        return None
    figure = figures.new_figure()
    label = "‖update‖ / ‖param‖"
    _lines(figure.subplots(), history, keys, "Size of the updates", label)
    return figure


def quantile_bands(history: History) -> Figure | None:
    """Draw quantiles logged under several keys, such as `length_p05`, `length_p95`."""
    distributions = quantile_keys(history.run or ())
    if not distributions:
        return None
    shown = list(distributions)[:_MAX_PANELS]
    columns = 1 if len(shown) == 1 else 2
    rows = math.ceil(len(shown) / columns)
    figure = figures.new_figure(10.0 * columns, 4.6 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, base in zip(panels, shown):
        _quantiles(axes, history, base, distributions[base])
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    if len(distributions) > len(shown):
        heading = f"{len(shown)} of {len(distributions)} distributions"
        figure.suptitle(heading, color=PALETTE.text, fontsize=15)
    return figure


def dataset_losses(history: History) -> Figure | None:
    """Draw the loss of each dataset, one chart per split."""
    by_split: dict[str, dict[str, str]] = {}
    for key in history.run or ():
        if match := _DATASET.fullmatch(key):
            by_split.setdefault(match["split"], {})[match["dataset"]] = key
    charts = {
        f"Loss by dataset, {split}": _with_total(history, f"{split}/loss", keys)
        for split, keys in by_split.items()
    }
    return _stacked(history, charts, "loss")


def metric_arrays(history: History) -> Figure | None:
    """Draw values of classes over time, and the last confusion matrices."""
    keys = list(history.run.arrays)[:_MAX_PANELS] if history.run is not None else []
    return history.run.plot(*keys) if history.run is not None and keys else None


def goodput_breakdown(seconds: Mapping[str, float]) -> Figure:
    """Draw the time of a run by category; see `draw_goodput`."""
    bars = min(len(seconds), _MAX_CATEGORIES + 1)
    figure = figures.new_figure(10.0, max(2.4 + 0.42 * bars, 4.0))
    draw_goodput(figure.subplots(), seconds)
    return figure


def draw_goodput(axes: Axes, seconds: Mapping[str, float]) -> None:
    """Draw the time of a run by category.

    Args:
      axes: The axes.
      seconds: Seconds by category; `"goodput"` is the share of productive steps, in
        [0, 1].
    """
    parts = {k: float(v) for k, v in seconds.items() if k != "goodput"}
    parts = {k: v for k, v in parts.items() if math.isfinite(v) and v > 0}
    total, title = sum(parts.values()), "Time by category"
    share = float(seconds.get("goodput", math.nan))
    if math.isfinite(share):
        title += f": goodput {share:.1%} of {duration(total, fraction=True)}"
    longest = sorted(parts, key=lambda name: -parts[name])
    bars = {name: parts[name] for name in longest[:_MAX_CATEGORIES]}
    if others := longest[_MAX_CATEGORIES:]:
        bars[f"{len(others)} others"] = sum(parts[name] for name in others)
    if not bars:
        figures.style_axes(axes, "Time by category", "", "")
        figures.show_message(axes, "no time was recorded")
        return
    longest_bar = max(bars.values())
    divisor, unit = time_unit(longest_bar)
    rows, values = np.arange(len(bars))[::-1], np.array(list(bars.values()))
    axes.barh(rows, values / divisor, color=PALETTE.blue, height=0.7)
    figures.style_axes(axes, title, f"time ({unit})", "")
    names = [figures.printable(name, 40) for name in bars]
    axes.set_yticks(rows, names, color=PALETTE.text)
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, 1.32 * longest_bar / divisor)
    axes.set_ylim(-0.6 - max(_MIN_ROWS - len(bars), 0), len(bars) - 0.4)
    for row, value in zip(rows, values):
        text = f" {duration(value, fraction=True)}, {value / total:.1%}"
        axes.text(
            value / divisor, row, text, va="center", color=PALETTE.muted, fontsize=9.5
        )


PLOTS = {
    plot.__name__: plot
    for plot in (
        group_norms,
        update_ratios,
        quantile_bands,
        dataset_losses,
        metric_arrays,
        holdout_predictions,
    )
}
"""Plots that a run may have beyond the eleven, by the names of their files."""


def _run(history: History) -> Run | dict[str, Any]:
    return history.run if history.run is not None else {}


def _keys_below(run: Iterable[str] | None, prefix: str) -> dict[str, str]:
    """Return the keys that begin with a prefix, by the rest of their names."""
    return {key[len(prefix) :]: key for key in run or () if key.startswith(prefix)}


def _with_total(history: History, key: str, keys: Mapping[str, str]) -> dict[str, str]:
    """Return the keys by name, preceded by the key of the total if it was logged."""
    return ({_ALL: key} if key in _run(history) else {}) | dict(keys)


def _stacked(
    history: History, charts: Mapping[str, Mapping[str, str]], label: str
) -> Figure | None:
    """Draw charts below each other, or return None if there are none.

    Args:
      history: The history.
      charts: Keys by name, by title of the chart.
      label: Label of the y axes.
    """
    if not charts:
        return None
    shown = list(charts.items())[:_MAX_PANELS]
    figure = figures.new_figure(10.0, max(4.2 * len(shown), 5.6))
    panels = figure.subplots(len(shown), squeeze=False).flat
    for axes, (title, keys) in zip(panels, shown):
        _lines(axes, history, keys, title, label)
    return figure


def _lines(
    axes: Axes, history: History, keys: Mapping[str, str], title: str, label: str
) -> None:
    """Draw a line for each key; of more than 8 only the largest, and the total."""
    run = _run(history)
    series = {name: run[key] for name, key in keys.items()}
    largest = {name: _max_drawable(y) for name, (_, y) in series.items()}
    order = sorted(series, key=lambda name: (name != _ALL, -largest[name]))
    kept = set(order[: _MAX_LINES + (_ALL in series)])
    if len(kept) < len(series):
        count = len(series) - (_ALL in series)
        title += f" (the largest {_MAX_LINES} of {count:,})"
    all_y = np.concatenate([series[name][1] for name in kept])
    all_y = all_y[figures.is_drawable(all_y)]
    if not len(all_y):
        figures.style_axes(axes, title, "", "")
        figures.show_message(axes, "none of the values is finite")
        return
    if is_wide(all_y):
        axes.set_yscale("log")
    handles, shown = [], [name for name in series if name in kept]
    colors = iter(PALETTE.series)
    for name in shown:
        x, y = series[name]
        color = PALETTE.text if name == _ALL else next(colors)
        style = {"linestyle": "--", "zorder": 4} if name == _ALL else {}
        handles.append(figures.draw_noisy_line(axes, x, y, color, **style))
    figures.style_axes(axes, title, "step", label)
    figures.add_legend(axes, handles, shown, outside=True)


def _quantiles(
    axes: Axes, history: History, base: str, keys: Mapping[int, str]
) -> None:
    """Draw pairs such as p05 and p95 as bands, and other quantiles as lines.

    Args:
      axes: The axes.
      history: The history.
      base: Name that the keys have in common.
      keys: Keys by percent.
    """
    run, handles, names = _run(history), [], []
    band_colors = iter((PALETTE.blue, PALETTE.teal, PALETTE.green) * 17)
    for lower in sorted(percent for percent in keys if percent < 50):
        if (upper := 100 - lower) in keys:
            x, low, high = at_common_x(run[keys[lower]], run[keys[upper]])
            handles.append(figures.draw_band(axes, x, low, high, next(band_colors)))
            names.append(f"p{lower:02} to p{upper:02}")
    paired = {p for p in keys if 100 - p in keys and p != 50}
    line_colors = iter(PALETTE.series[1:] * 15)
    for percent in sorted(keys.keys() - paired):
        color = PALETTE.text if percent == 50 else next(line_colors)
        x, y = run[keys[percent]]
        handles.append(figures.draw_line(axes, x, y, color))
        names.append("median" if percent == 50 else f"p{percent:02}")
    figures.style_axes(axes, f"Quantiles of {base}", "step", base.rpartition("/")[2])
    figures.add_legend(axes, handles, names, outside=True)


def _max_drawable(y: np.ndarray) -> float:
    return float(np.max(y[figures.is_drawable(y)], initial=-np.inf))
