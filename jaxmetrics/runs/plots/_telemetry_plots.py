"""Plots of what the telemetry of a run adds; None where it recorded nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics import figures
from jaxmetrics.runs.reading import History, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jaxmetrics.runs.reading import Run

_MOST_LINES, _MOST_PANELS, _MOST_CATEGORIES = 8, 6, 14
_ALL = "(all)"
_WIDE = 30.0  # the ratio from which a logarithmic scale says more
_QUANTILE = re.compile(r"(?P<base>.+?)(?:_stat)?[_/]p(?P<percent>\d{1,2})")
_DATASET = re.compile(r"(?P<split>[^/_]+)_(?P<dataset>[^/]+)/loss")


def group_norms(history: History) -> Figure | None:
    """Norms of gradients, updates and parameters, by group."""
    kinds = {"grad": "Gradient", "update": "Update", "param": "Parameter"}
    found = {}
    for kind, title in kinds.items():
        names = _below(history.run, f"{kind}/norm/")
        if names:
            chart = _with_all(history, f"{kind}/norm", names)
            found[f"{title} norms by group"] = chart
    return _stacked(history, found, "L2 norm")


def update_ratios(history: History) -> Figure | None:
    """How large the updates are beside the parameters, overall and by group."""
    names = _below(history.run, "update/ratio/")
    names = _with_all(history, "update/ratio", names)
    if not names:
        return None
    made = figures.figure()
    _lines(made.subplots(), history, names, "Size of the updates", "‖update‖ / ‖param‖")
    return made


def quantile_bands(history: History) -> Figure | None:
    """Quantiles of what was logged with several, such as `length_p05`, `length_p95`."""
    bases: dict[str, dict[int, str]] = {}
    for key in history.run or ():
        if match := _QUANTILE.fullmatch(key):
            bases.setdefault(match["base"], {})[int(match["percent"])] = key
    bases = {base: keys for base, keys in bases.items() if len(keys) > 1}
    if not bases:
        return None
    shown = list(bases)[:_MOST_PANELS]
    columns = 1 if len(shown) == 1 else 2
    rows = math.ceil(len(shown) / columns)
    made = figures.figure(10.0 * columns, 4.6 * rows)
    panels = made.subplots(rows, columns, squeeze=False).flat
    for axes, base in zip(panels, shown):
        _quantiles(axes, history, base, bases[base])
    for axes in list(panels)[len(shown) :]:
        axes.set_axis_off()
    if len(bases) > len(shown):
        _heading(made, f"{len(shown)} of {len(bases)} distributions")
    return made


def dataset_losses(history: History) -> Figure | None:
    """The loss of each dataset, a chart for each split."""
    found: dict[str, dict[str, str]] = {}
    for key in history.run or ():
        if match := _DATASET.fullmatch(key):
            found.setdefault(match["split"], {})[match["dataset"]] = key
    charts = {
        f"Loss by dataset, {split}": _with_all(history, f"{split}/loss", names)
        for split, names in found.items()
    }
    return _stacked(history, charts, "loss")


def goodput_breakdown(seconds: Mapping[str, float]) -> Figure:
    """Where the time went.

    Args:
      seconds: By category; `"goodput"` is the part of it that trained, 0 to 1.
    """
    parts = {k: float(v) for k, v in seconds.items() if k != "goodput"}
    parts = {k: v for k, v in parts.items() if math.isfinite(v) and v > 0}
    total, title = sum(parts.values()), "Where the time went"
    share = float(seconds.get("goodput", math.nan))
    if math.isfinite(share):
        title += f": goodput {share:.1%} of {duration(total)}"
    largest = sorted(parts, key=lambda name: -parts[name])
    kept = {name: parts[name] for name in largest[:_MOST_CATEGORIES]}
    if rest := largest[_MOST_CATEGORIES:]:
        kept[f"{len(rest)} others"] = sum(parts[name] for name in rest)
    made = figures.figure(10.0, max(2.4 + 0.42 * len(kept), 4.0))
    axes = made.subplots()
    if not kept:
        figures.dress(axes, "Where the time went", "", "")
        figures.say(axes, "no time was recorded")
        return made
    rows, values = np.arange(len(kept))[::-1], np.array(list(kept.values()))
    axes.barh(rows, values, color=figures.BLUE, height=0.7)
    figures.dress(axes, title, "seconds", "")
    axes.set_yticks(
        rows, [figures.shown(name, 40) for name in kept], color=figures.TEXT
    )
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, 1.22 * values.max())
    for row, value in zip(rows, values):
        text = f" {duration(value)}, {value / total:.1%}"
        axes.text(value, row, text, va="center", color=figures.QUIET, fontsize=9.5)
    return made


PLOTS = {
    plot.__name__: plot
    for plot in (group_norms, update_ratios, quantile_bands, dataset_losses)
}
"""The plots that a run may have beside the eleven, by the names of their files."""


def _run(history: History) -> Run | dict[str, Any]:
    return history.run if history.run is not None else {}


def _below(run: Iterable[str] | None, prefix: str) -> dict[str, str]:
    """The keys that begin with a prefix, by what follows it."""
    return {key[len(prefix) :]: key for key in run or () if key.startswith(prefix)}


def _with_all(history: History, key: str, names: Mapping[str, str]) -> dict[str, str]:
    """With what was measured over all of them, if it was."""
    return ({_ALL: key} if key in _run(history) else {}) | dict(names)


def _stacked(
    history: History, charts: Mapping[str, Mapping[str, str]], label: str
) -> Figure | None:
    """Charts one over the other, by title; None without any."""
    if not charts:
        return None
    shown = list(charts.items())[:_MOST_PANELS]
    made = figures.figure(10.0, max(4.2 * len(shown), 5.6))
    panels = made.subplots(len(shown), squeeze=False).flat
    for axes, (title, names) in zip(panels, shown):
        _lines(axes, history, names, title, label)
    return made


def _lines(
    axes: Axes, history: History, names: Mapping[str, str], title: str, label: str
) -> None:
    """A line for each name; of many the largest, beside the one over all."""
    run = _run(history)
    found = {name: run[key] for name, key in names.items()}
    sizes = {name: _largest(y) for name, (_, y) in found.items()}
    order = sorted(found, key=lambda name: (name != _ALL, -sizes[name]))
    kept = set(order[: _MOST_LINES + (_ALL in found)])
    parts = len(found) - (_ALL in found)
    if len(kept) < len(found):
        title += f" (the largest {_MOST_LINES} of {parts:,})"
    every = np.concatenate([found[name][1] for name in kept])
    every = every[figures.drawable(every)]
    if not len(every):
        figures.dress(axes, title, "", "")
        figures.say(axes, "none of the values is finite")
        return
    if every.min() > 0 and every.max() > _WIDE * every.min():
        axes.set_yscale("log")
    handles, shown = [], [name for name in found if name in kept]
    colours = iter(figures.COLOURS)
    for name in shown:
        x, y = found[name]
        whole = name == _ALL
        colour = figures.TEXT if whole else next(colours)
        dashes = {"linestyle": "--", "zorder": 4} if whole else {}
        handles.append(figures.noisy_line(axes, x, y, colour, **dashes))
    figures.dress(axes, title, "step", label)
    figures.legend(axes, handles, shown, beside=True)


def _quantiles(
    axes: Axes, history: History, base: str, keys: Mapping[int, str]
) -> None:
    run, handles, names = _run(history), [], []
    shades = iter((figures.BLUE, figures.TEAL, figures.GREEN) * 17)
    for lower in sorted(percent for percent in keys if percent < 50):
        if (upper := 100 - lower) in keys:
            (x, low), (x_high, high) = run[keys[lower]], run[keys[upper]]
            both, mine, its = np.intersect1d(x, x_high, return_indices=True)
            area = figures.fill(axes, both, low[mine], high[its], next(shades))
            handles.append(area)
            names.append(f"p{lower:02} to p{upper:02}")
    paired = {p for p in keys if 100 - p in keys and p != 50}
    colours = iter(figures.COLOURS[1:] * 15)
    for percent in sorted(keys.keys() - paired):
        colour = figures.TEXT if percent == 50 else next(colours)
        x, y = run[keys[percent]]
        handles.append(figures.line(axes, x, y, colour))
        names.append("median" if percent == 50 else f"p{percent:02}")
    figures.dress(axes, f"Quantiles of {base}", "step", base.rpartition("/")[2])
    figures.legend(axes, handles, names, beside=True)


def _heading(made: Figure, text: str) -> None:
    made.suptitle(text, color=figures.TEXT, fontsize=15)


def _largest(y: np.ndarray) -> float:
    return float(np.max(y[figures.drawable(y)], initial=-np.inf))
