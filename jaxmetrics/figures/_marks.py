"""Marks of a chart: lines with gaps, lines of noisy series, bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics.figures._downsample import downsample, windows
from jaxmetrics.figures._palette import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_MARKERS = 60  # points up to which each has a marker
_MAX_PLAIN_POINTS = 400  # points up to which a line is thick, and is not averaged
_MAX_BAND_POINTS = 1000
_MAX_MEANS = 150
_MAX_MAGNITUDE = 1e200  # the margins of an axis overflow for larger values


def is_drawable(y: np.ndarray, log: bool = False) -> np.ndarray:
    """Return which values an axis can show: bool, the shape of `y`.

    Args:
      y: Values. Those that are not finite, or beyond 1e200, cannot be shown.
      log: Whether the axis is logarithmic, on which a value must exceed 1e-200.
    """
    y = np.asarray(y, float)  # 1e200 is infinite in float32
    finite = np.isfinite(y)
    drawable = finite & (np.abs(np.where(finite, y, 0)) <= _MAX_MAGNITUDE)
    return drawable & (y > 1 / _MAX_MAGNITUDE) if log else drawable


def draw_line(
    axes: Axes, x: np.ndarray, y: np.ndarray, color: str, **options: Any
) -> Any:
    """Draw a series with gaps where it is not finite, and return the line.

    Red crosses at the lower edge mark the gaps. Of a long series the extremes of
    windows are drawn, so that no spike is lost (`downsample`).

    Args:
      axes: The axes.
      x: Positions, ascending, `[n]`.
      y: Values, `[n]`.
      color: Color of the line.
      **options: Further options of `Axes.plot`.
    """
    count = len(x)
    x, y = downsample(x, np.where(is_drawable(y), y, np.nan))
    style = {"marker": "o" if count <= _MAX_MARKERS else "", "markersize": 4}
    style |= {"color": color, "linewidth": 1.8 if count <= _MAX_PLAIN_POINTS else 1.1}
    (line,) = axes.plot(x, y, **(style | options))
    if np.isnan(y).any():
        _mark_gaps(axes, x[np.isnan(y)])
    return line


def draw_noisy_line(
    axes: Axes, x: np.ndarray, y: np.ndarray, color: str, **options: Any
) -> Any:
    """Draw a series among others, and return its line.

    A series of more than 400 points is drawn as the means of windows, with the values
    faint behind them. The arguments are those of `draw_line`.
    """
    if len(x) <= _MAX_PLAIN_POINTS:
        return draw_line(axes, x, y, color, **options)
    draw_line(axes, x, y, color, linewidth=0.8, alpha=0.25)
    pooled = windows(x, np.where(is_drawable(y), y, np.nan), _MAX_MEANS)
    return draw_line(axes, pooled.x, pooled.mean, color, marker="", **options)


def draw_band(
    axes: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray, color: str
) -> Any:
    """Draw the area between two series where both are finite, and return it.

    Args:
      axes: The axes; on a logarithmic one a band that reaches 0 is cut below.
      x: Positions, ascending, `[n]`.
      low: Lower edge, `[n]`.
      high: Upper edge, `[n]`.
      color: Color of the area.
    """
    good = is_drawable(low) & is_drawable(high)
    if axes.get_yscale() == "log":
        good &= high > 0
        low = np.maximum(low, np.min(high[good], initial=np.inf) / 100)
    x, low, high = (np.asarray(array, np.float64) for array in (x, low, high))
    low, high = np.where(good, low, np.nan), np.where(good, high, np.nan)
    if len(x) > _MAX_BAND_POINTS:
        below = windows(x, low, _MAX_BAND_POINTS)
        above = windows(x, high, _MAX_BAND_POINTS)
        x, low, high, good = below.x, below.low, above.high, np.isfinite(below.low)
    # An area needs two neighbors; a single point between gaps becomes a stroke.
    single = good & ~np.append(False, good[:-1]) & ~np.append(good[1:], False)
    axes.vlines(x[single], low[single], high[single], colors=color, alpha=0.4)
    return axes.fill_between(x, low, high, color=color, alpha=0.22, linewidth=0)


def _mark_gaps(axes: Axes, gaps: np.ndarray) -> None:
    """Mark positions at the lower edge with crosses, which are named above the axes."""
    edge = axes.get_xaxis_transform()
    style = {"linestyle": "", "marker": "x", "markersize": 6, "clip_on": False}
    axes.plot(
        gaps, np.full(len(gaps), 0.015), transform=edge, color=PALETTE.red, **style
    )
    linear = axes.get_yscale() == "linear"
    name = f"× not finite{'' if linear else ' and positive'}"
    if name not in [text.get_text() for text in axes.texts]:
        axes.annotate(
            name,
            (1.0, 1.0),
            (0, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            color=PALETTE.red,
            fontsize=9,
        )
