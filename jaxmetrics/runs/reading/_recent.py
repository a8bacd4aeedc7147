"""Level of a noisy series at its end: a median, which one lucky batch does not move."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_SHARE, _MIN_RECORDS = 0.05, 10


class Recent(NamedTuple):
    """Level of a series at its end.

    Attributes:
      median: Median of the finite values of the last records; nan if most of them are
        not finite.
      start: x of the first of these records.
      end: x of the last one.
      steps: Number of steps that they stand for.
    """

    median: float
    start: int
    end: int
    steps: int


def recent_level(x: np.ndarray, y: np.ndarray) -> Recent | None:
    """Return the median of the last 5 % of records, at least 10; None without any.

    Args:
      x: Steps of the records, ascending, `[n]`.
      y: Values, `[n]`.

    >>> recent_level(np.arange(1, 301), np.arange(300.0))
    Recent(median=292.0, start=286, end=300, steps=15)
    """
    if not len(y):
        return None
    count = max(round(_SHARE * len(y)), _MIN_RECORDS)
    x, y = x[-count:], y[-count:]
    finite = y[np.isfinite(y)]
    median = float(np.median(finite)) if 2 * len(finite) >= len(y) else np.nan
    spacing = int(np.median(np.diff(x))) if len(x) > 1 else 1
    start, end = int(x[0]), int(x[-1])
    return Recent(median, start, end, end - start + spacing)
