"""Largest values of the layers of a quantity in windows of an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxmetrics.runs.reading._axes import series_on_axis
from jaxmetrics.runs.reading._run import Run


class LayerMap(NamedTuple):
    """Largest value of each layer in windows of equal width.

    Attributes:
      layers: Last part of each key.
      x: Middle of each window that has a value, `[n]`.
      width: Width of a window.
      values: Largest values, `[layers, n]`; nan without a value.
      largest: Position of the largest value of each layer, `[layers]`; nan without one.
    """

    layers: list[str]
    x: np.ndarray
    width: float
    values: np.ndarray
    largest: np.ndarray


def layer_map(
    run: Run,
    keys: Sequence[str],
    positions: np.ndarray,
    columns: int,
    start: float | None = None,
    end: float | None = None,
) -> LayerMap:
    """Return the largest value of each key in windows of equal width of the axis.

    Args:
      run: The run.
      keys: Keys of the layers.
      positions: Position of each record.
      columns: Number of windows.
      start: First position; None for that of the first record.
      end: Last position; None for that of the last record.
    """
    layers = [_layer(key) for key in keys]
    series = [series_on_axis(run, key, positions) for key in keys]
    ends = [x[[0, -1]] for x, _ in series if len(x)]
    if not ends:
        nothing = np.zeros((len(keys), 0))
        return LayerMap(layers, np.zeros(0), 0.0, nothing, np.full(len(keys), np.nan))
    low, high = float(np.min(ends)), float(np.max(ends))
    low = low if start is None else max(low, start)
    high = high if end is None else min(high, end)
    width = max(high - low, 0.0) / columns or 1.0
    values = np.full((len(keys), columns), -np.inf)
    largest = np.full(len(keys), np.nan)
    for number, (row, (x, y)) in enumerate(zip(values, series)):
        inside = (x >= low) & (x <= high) & np.isfinite(y)
        index = np.minimum(((x[inside] - low) / width).astype(np.int64), columns - 1)
        if len(index):  # x is ascending, and so is the index
            starts = np.flatnonzero(np.diff(index, prepend=-1))
            row[index[starts]] = np.maximum.reduceat(y[inside], starts)
            largest[number] = x[inside][np.argmax(y[inside])]
    used = np.isfinite(values).any(axis=0)
    middles = low + (np.flatnonzero(used) + 0.5) * width
    values = np.where(np.isfinite(values), values, np.nan)[:, used]
    return LayerMap(layers, middles, width, values, largest)


def _layer(key: str) -> str:
    return "/".join(key.split("/")[2:]) or key
