"""Pictures of a comparison: the runs' series of a key over each other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxmetrics import figures
from jaxmetrics.runs.pages import is_telemetry, label
from jaxmetrics.runs.reading import LABELS, unused

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxmetrics.runs import Comparison

_MOST_NAMES, _MOST_PLACES = 20, 1000
_TIMES = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
_WIDE = 30.0  # the ratio from which a logarithmic scale says more


def overlay(comparison: Comparison, key: str) -> Figure:
    """A key of all runs in one picture, with the means over seeds."""
    made = figures.figure()
    axes = made.subplots()
    found = comparison.series(key)
    size, x_label = _x_axis(comparison, [x[-1] for x, _ in found.values() if len(x)])
    every = np.concatenate([np.zeros(0), *(y for _, y in found.values())])
    every = every[figures.drawable(every)]
    if not len(every):
        figures.dress(axes, key, "", "")
        figures.say(axes, "none of the values is finite" if found else "not recorded")
        return made
    if every.min() > 0 and every.max() > _WIDE * every.min():
        axes.set_yscale("log")
    handles, names = [], []
    for place, (group, members) in enumerate(comparison.groups.items()):
        colour = figures.COLOURS[place % len(figures.COLOURS)]
        dashes = "-" if place < len(figures.COLOURS) else "--"
        several = len(members) > 1
        for name in (name for name in members if name in found):
            x, y = found[name]
            look = {"linewidth": 0.7, "alpha": 0.35, "marker": ""} if several else {}
            draw = figures.line if several else figures.noisy_line
            drawn = draw(axes, x / size, y, colour, linestyle=dashes, **look)
            if not several:
                handles, names = [*handles, drawn], [*names, name]
        if several:
            x, mean, error = comparison.mean(key, group, most=_MOST_PLACES)
            if np.isfinite(mean).any():
                x = x / size
                figures.fill(axes, x, mean - error, mean + error, colour)
                drawn = axes.plot(x, mean, color=colour, linestyle=dashes)[0]
                handles.append(drawn)
                names.append(f"{group} (mean ± s.e. of {len(members)})")
    figures.dress(axes, key, x_label, label(key))
    figures.legend(axes, handles[:_MOST_NAMES], names[:_MOST_NAMES], beside=True)
    return made


def save_all(
    comparison: Comparison,
    folder: Path,
    keys: Iterable[str] | None,
    overwrite: bool = False,
) -> list[Path]:
    """Write the picture of each key."""
    if keys is None:
        own = [key for key in comparison.keys if not is_telemetry(key)]
        keys = own or comparison.keys
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for key in keys:
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", key)
        used = [path.stem for path in paths]
        path = folder / f"{unused(f'compare_{name}', used)}.png"
        figures.save(overlay(comparison, key), path, overwrite=overwrite)
        paths.append(path)
    return paths


def _x_axis(comparison: Comparison, ends: list[float]) -> tuple[float, str]:
    """The unit of the x axis, and what it says."""
    text = LABELS[comparison.x]
    if comparison.x != "time":
        return 1.0, text
    furthest = max(ends, default=0.0)
    size, unit = next((u for u in _TIMES if furthest >= 2 * u[0]), _TIMES[-1])
    return size, f"{text} ({unit})"
