"""Summary statistics of a run."""

from __future__ import annotations

import math

import numpy as np


def describe(steps: np.ndarray, values: np.ndarray) -> dict[str, float | int | None]:
    """Return statistics of one key over all its records.

    Args:
      steps: Steps, ascending, `[n]` with n > 0.
      values: Values, float64 `[n]`.

    Returns:
      `last`, `last_step`, `count` and `nonfinite` of all values; `min`, `max` and
      `mean` of the finite values, nan if there are none; `min_step` and `max_step`,
      the first steps of the extremes, or None.
    """
    finite = np.isfinite(values)
    out: dict[str, float | int | None] = {
        "last": float(values[-1]),
        "last_step": int(steps[-1]),
        "count": len(values),
        "nonfinite": int(len(values) - finite.sum()),
    }
    finite_values, finite_steps = values[finite], steps[finite]
    if len(finite_values) == 0:
        unknown = {"min": math.nan, "max": math.nan, "mean": math.nan}
        return out | unknown | {"min_step": None, "max_step": None}
    low, high = int(np.argmin(finite_values)), int(np.argmax(finite_values))
    out["min"], out["min_step"] = float(finite_values[low]), int(finite_steps[low])
    out["max"], out["max_step"] = float(finite_values[high]), int(finite_steps[high])
    out["mean"] = float(np.mean(finite_values))
    return out


def count_attempts(
    header: dict[str, object], events: list[dict[str, object]], rows: int
) -> int:
    """Return how often the run was started, by its header or its events.

    Args:
      header: Description of the run.
      events: Rows of the events file.
      rows: Number of records; a run with records was started at least once.
    """
    listed = header.get("attempts")
    counts = [len(listed) if isinstance(listed, list) else 0, 1 if rows else 0]
    numbers = (event.get("attempt") for event in events)
    return max([*counts, *(n for n in numbers if isinstance(n, int))])
