"""Series merged by x; most series of a run have the same x, which is compared first."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from jaxmetrics.runs.reading._quantities import Series


def merged_x(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """Return the values of several arrays, ascending, each once.

    Args:
      arrays: Numbers other than nan; fast if they are ascending.

    >>> merged_x([np.array([1, 2]), np.array([1, 2]), np.array([0, 2])])
    array([0, 1, 2])
    """
    merged = np.zeros(0, np.int64)
    for x in arrays:
        if not np.array_equal(merged, x):
            merged = np.concatenate([merged, x])
            merged.sort(kind="stable")  # which merges ascending parts
            merged = merged[np.append(merged[:-1] != merged[1:], len(merged) > 0)]
    return merged


def at_common_x(
    first: Series, second: Series
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the x that two series have in common, and the y of both there.

    Args:
      first: x and y, with x ascending, each once.
      second: Likewise.

    >>> first = np.array([1, 2, 3]), np.array([0.1, 0.2, 0.3])
    >>> at_common_x(first, (np.array([2, 4]), np.array([7.0, 8.0])))
    (array([2]), array([0.2]), array([7.]))
    """
    (first_x, first_y), (second_x, second_y) = first, second
    if np.array_equal(first_x, second_x):
        return first_x, first_y, second_y
    x, in_first, in_second = np.intersect1d(
        first_x, second_x, assume_unique=True, return_indices=True
    )
    return x, first_y[in_first], second_y[in_second]
