"""Show the arrays of records where only scalars and images can be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.record import Record

MAX_NAMED = 32
"""Most numbers of an array of rank 1 that are shown as scalars, `<key>/<index>`."""

_EVERY = 10
_MIN_PIXELS, _MIN_CELL, _MIN_HEIGHT = 256, 2, 16
_COLORS = np.array(  # viridis, which also reads well in grey and for the colour-blind
    [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], float
)
_NOT_FINITE = (160, 160, 160)


class ArraysShown:
    """The scalars and heatmaps that stand for the arrays of records.

    An array of rank 1 with at most 32 numbers becomes scalars. The others become
    heatmaps, of one record in ten. An array without numbers has nothing to show.

    Attributes:
      count: Records with heatmaps so far, shown or not, for the state of a writer.
    """

    def __init__(self) -> None:
        self.count = 0

    def scalars(self, record: Record) -> dict[str, float | int]:
        """Return the numbers of short arrays by key and index."""
        return {
            f"{key}/{index}": value
            for key, array in record.arrays.items()
            if _is_short(array)
            for index, value in enumerate(array)
        }

    def heatmaps(self, record: Record) -> Mapping[str, np.ndarray]:
        """Return the heatmaps to show of a record, uint8 `[height, width, 3]`."""
        others = {
            key: array
            for key, array in record.arrays.items()
            if np.size(array) and not _is_short(array)
        }
        if not others:
            return {}
        self.count += 1
        if (self.count - 1) % _EVERY:
            return {}
        return {key: heatmap(array) for key, array in others.items()}


def heatmap(array: Any) -> np.ndarray:
    """Draw numbers as coloured cells, from the least (dark) to the greatest (bright).

    Args:
      array: Numbers, `[columns]` or `[rows, columns]`; values that are not finite are
        grey.

    Returns:
      Image, uint8 `[height, width, 3]`.
    """
    values = np.atleast_2d(np.asarray(array, np.float64))
    finite = np.isfinite(values)
    shown = np.where(finite, values, 0.0)
    low, high = (shown[finite].min(), shown[finite].max()) if finite.any() else (0, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        share = np.nan_to_num((shown - low) / (high - low if high > low else 1.0))
    place = np.clip(share, 0.0, 1.0) * (len(_COLORS) - 1)
    stops = np.arange(len(_COLORS))
    channels = [np.interp(place, stops, _COLORS[:, c]) for c in range(3)]
    image = np.stack(channels, axis=-1).round().astype(np.uint8)
    image[~finite] = _NOT_FINITE
    cell = max(_MIN_CELL, -(-_MIN_PIXELS // max(image.shape[:2])))
    height = cell if len(image) > 1 else max(cell, _MIN_HEIGHT)
    return image.repeat(height, axis=0).repeat(cell, axis=1)


def _is_short(array: list[Any]) -> bool:
    return len(array) <= MAX_NAMED and not any(isinstance(x, list) for x in array)
