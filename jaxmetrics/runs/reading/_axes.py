"""Where the records of a run lie: by step, tokens, training time or FLOPs."""

from __future__ import annotations

import numpy as np

from jaxmetrics.runs.reading._run import Run
from jaxmetrics.runs.reading._table import Table

AXES = ("step", "tokens", "time", "flops")
LABELS = {
    "step": "step",
    "epoch": "epoch",
    "tokens": "tokens",
    "time": "training time",
    "flops": "training FLOPs",
}


def axes(run: Run) -> dict[str, np.ndarray]:
    """The place of each record on each axis that the run has: float64 `[records]`.

    Tokens and time that a record does not have are those between its neighbours' at
    its step; nan after the last that is known.
    """
    table = run._table
    out = {"step": table.steps.astype(np.float64)}
    for name in ("tokens", "time"):
        if name in table.columns:
            out[name] = _filled(table, name)
    flops = run.header.get("flops")
    for per, counted in (("per_step", "step"), ("per_token", "tokens")):
        given = flops.get(per) if isinstance(flops, dict) else None
        if isinstance(given, int | float) and counted in out and "flops" not in out:
            out["flops"] = out[counted] * float(given)
    return out


def series(run: Run, key: str, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of one key, ascending in x; records without a place are left out.

    Of records at the same place it is the last one.

    Args:
      run: The run.
      key: One of its keys.
      place: One of `axes(run)`.
    """
    records, values = run._table.columns[key]
    x = place[records]
    known = np.isfinite(x)
    x, values = x[known], values[known]
    if np.any(np.diff(x) <= 0):
        order = np.argsort(x, kind="stable")
        x, values = x[order], values[order]
        last = np.append(x[1:] != x[:-1], True)
        x, values = x[last], values[last]
    return x, values


def _filled(table: Table, name: str) -> np.ndarray:
    place = table.dense(name)
    known = np.isfinite(place)
    if known.all() or not known.any():
        return place
    steps, totals = table.steps[known].astype(np.float64), place[known]
    if steps[0] > 0:  # a total begins at nothing
        steps, totals = np.append(0.0, steps), np.append(0.0, totals)
    missing = table.steps[~known].astype(np.float64)
    place[~known] = np.interp(missing, steps, totals, left=np.nan, right=np.nan)
    return place
