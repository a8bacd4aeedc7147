"""Series of a run as a chart needs them: few points, every extreme kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxmetrics.figures import (
    is_drawable,
    window_extremes,
    window_means,
    window_size,
)
from jaxmetrics.runs.reading import Run, layer_map

MAX_KEYS = 500
MIN_POINTS, MAX_POINTS = 12, 20_000
MAX_COLUMNS = 2000


def line_data(
    x: np.ndarray,
    y: np.ndarray,
    points: int,
    start: float | None = None,
    end: float | None = None,
    *,
    source: str | None = None,
    after: str = "",
) -> dict[str, Any]:
    """Return a series as the line of a chart, with at most about `points` points.

    Of a longer series the extremes of windows are kept, and the means of windows are
    added, since smoothing extremes would be meaningless. Of a series that has grown
    since an earlier answer only the last window of that answer and what follows are
    returned, if the other windows stay as they were.

    Args:
      x: Positions, strictly ascending, `[n]`.
      y: Values, `[n]`.
      points: Number of points.
      start: First position; one point before it is included. None for all.
      end: Last position; one point after it is included. None for all.
      source: Name of what the series was read from, which only grows under this name.
        None if it may change.
      after: `end` of an earlier answer to the same question; empty for all points.

    Returns:
      `x` and `y` (nan where the value is not finite), `means` with `x`, `y` and the
      number `of` values in a mean, `count` and `missing` of the whole series. With a
      source also its `end`, and `since` if earlier points stay: the position from which
      on they are replaced by these.
    """
    low = 0 if start is None else max(int(np.searchsorted(x, start)) - 1, 0)
    high = len(x) if end is None else int(np.searchsorted(x, end, "right")) + 1
    x, y = x[low:high], y[low:high]
    y = np.where(is_drawable(y), y, np.nan)
    size = window_size(len(y), points)
    data: dict[str, Any] = {"count": len(y), "missing": int(np.isnan(y).sum())}
    first = 0
    if source is not None and len(y):
        if (first := _known(after, source, size, x)) > 0:
            data["since"] = _short_x(x[first : first + 1])[0]
        last = (len(y) - 1) // size * size
        data["end"] = f"{source}:{size}:{last}:{float(x[last])!r}"
        x, y = x[first:], y[first:]
    ends = [0, len(y) - 1] if first == 0 else [len(y) - 1]
    kept = np.union1d(window_extremes(y, size), ends) if size > 1 else slice(None)
    data |= {"x": _short_x(x[kept]), "y": _short_y(y[kept])}
    if size > 1:
        means = {"x": _short_x(window_means(x, size)), "of": size}
        data["means"] = means | {"y": _short_y(window_means(y, size))}
    return data


def heatmap(
    run: Run,
    keys: Sequence[str],
    positions: np.ndarray,
    columns: int,
    start: float | None = None,
    end: float | None = None,
) -> dict[str, Any]:
    """Return the largest value of each key in windows of equal width of the axis.

    Args:
      run: The run.
      keys: Keys of the layers.
      positions: Position of each record.
      columns: Number of windows.
      start: First position. None for all.
      end: Last position. None for all.

    Returns:
      `layers` with the last part of each key, `x` of the middle of each window that
      has a value, the `width` of a window, `values`, a row for each layer, nan without
      a value, and `largest`, the position of the largest value of each layer, nan if
      there is none.
    """
    windows = layer_map(run, keys, positions, columns, start, end)
    return windows._asdict() | {
        "x": _short_x(windows.x),
        "values": [_short_y(row) for row in windows.values],
        "largest": _short_x(windows.largest),
    }


def _known(after: str, source: str, size: int, x: np.ndarray) -> int:
    """Return the index up to which the points of an earlier answer stay; 0 if none."""
    name, _, rest = after.partition(":")
    try:
        old_size, index, position = (float(text) for text in rest.split(":"))
    except ValueError:
        return 0
    is_same = name == source and old_size == size and 0 <= index < len(x)
    return int(index) if is_same and x[int(index)] == position else 0


def _short_x(x: np.ndarray) -> np.ndarray:
    """Return positions that are short as text: integers, or rounded to 1e-6."""
    x = np.asarray(x, np.float64)
    if len(x) and np.all(x == np.floor(x)) and np.abs(x).max() < 2**53:
        return x.astype(np.int64)
    return np.round(x, 6)


def _short_y(y: np.ndarray) -> np.ndarray:
    """Return values with about 7 digits, as float32 if they are in its range."""
    y = np.ascontiguousarray(y, np.float64)
    sizes = np.abs(y[np.isfinite(y) & (y != 0)])
    if not len(sizes) or (sizes.min() > 1e-37 and sizes.max() < 1e38):
        return y.astype(np.float32)
    digits = [float(f"{v:.7g}") if math.isfinite(v) else v for v in y.tolist()]
    return np.array(digits)
