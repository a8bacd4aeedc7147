"""What a run came to, in numbers."""

from __future__ import annotations

import math

import numpy as np


def describe(steps: np.ndarray, values: np.ndarray) -> dict[str, float | int | None]:
    """Statistics of one key over its record.

    `min`, `max` and `mean` are over the finite values, nan when there is none;
    `min_step` and `max_step` are the first steps that reach them; `nonfinite` counts
    the others; `last` is whatever came last.

    Args:
      steps: Ascending, `[n]` with n > 0.
      values: float64 `[n]`.
    """
    finite = np.isfinite(values)
    out: dict[str, float | int | None] = {
        "last": float(values[-1]),
        "last_step": int(steps[-1]),
        "count": len(values),
        "nonfinite": int(len(values) - finite.sum()),
    }
    good, at = values[finite], steps[finite]
    if len(good) == 0:
        nothing = {"min": math.nan, "max": math.nan, "mean": math.nan}
        return out | nothing | {"min_step": None, "max_step": None}
    lowest, highest = int(np.argmin(good)), int(np.argmax(good))
    out["min"], out["min_step"] = float(good[lowest]), int(at[lowest])
    out["max"], out["max_step"] = float(good[highest]), int(at[highest])
    out["mean"] = float(np.mean(good))
    return out


def attempts(
    header: dict[str, object], events: list[dict[str, object]], rows: int
) -> int:
    """How often the run was started: as its header lists, or as its events say."""
    listed = header.get("attempts")
    counts = [len(listed) if isinstance(listed, list) else 0, 1 if rows else 0]
    numbers = (event.get("attempt") for event in events)
    return max([*counts, *(n for n in numbers if isinstance(n, int))])
