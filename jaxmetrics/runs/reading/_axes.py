"""Positions of the records of a run on x axes: step, tokens, training time, FLOPs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jaxmetrics.runs.reading._run import Run
from jaxmetrics.runs.reading._table import Table

AXES = ("step", "tokens", "time", "flops")
"""Names of the x axes by which runs can be aligned."""

AXIS_LABELS: Mapping[str, str] = {
    "step": "step",
    "epoch": "epoch",
    "tokens": "tokens",
    "time": "training time",
    "flops": "training FLOPs",
}
"""Labels of x axes, those of charts of epochs included."""


def axis_positions(run: Run) -> dict[str, np.ndarray]:
    """Return the position of each record on each axis that the run has.

    Records without tokens or time, such as evaluations, are interpolated by step
    between their neighbors, starting from 0 at step 0; after the last known position
    they are nan. FLOPs are steps times `flops.per_step` of `run.json`, or tokens times
    `flops.per_token`.

    Returns:
      Positions by the name of the axis, float64 `[records]` each.
    """
    table = run._table
    positions = {"step": table.steps.astype(np.float64)}
    for name in ("tokens", "time"):
        if name in table.columns:
            positions[name] = _interpolated(table, name)
    flops = run.header.get("flops")
    for field, axis in (("per_step", "step"), ("per_token", "tokens")):
        cost = flops.get(field) if isinstance(flops, dict) else None
        if (
            isinstance(cost, int | float)
            and axis in positions
            and "flops" not in positions
        ):
            positions["flops"] = positions[axis] * float(cost)
    return positions


def series_on_axis(
    run: Run, key: str, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of one key, with x strictly ascending.

    Records without a position are left out. Of records at the same position the last
    one counts.

    Args:
      run: The run.
      key: Key of the run.
      positions: Position of each record, one of the values of `axis_positions(run)`.
    """
    records, values = run._table.values(key)
    x = positions[records]
    known = np.isfinite(x)
    x, values = x[known], values[known]
    if np.any(np.diff(x) <= 0):
        order = np.argsort(x, kind="stable")
        x, values = x[order], values[order]
        last = np.append(x[1:] != x[:-1], True)
        x, values = x[last], values[last]
    return x, values


def series_on_axes(
    run: Run, key: str, positions: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return x by axis, and y, of all values of one key.

    Axes on which no value has a position are left out.

    Args:
      run: The run.
      key: Key of the run.
      positions: Positions by axis, from `axis_positions(run)`.
    """
    records, values = run._table.values(key)
    x = {axis: of_records[records] for axis, of_records in positions.items()}
    return {axis: at for axis, at in x.items() if np.isfinite(at).any()}, values


def _interpolated(table: Table, name: str) -> np.ndarray:
    positions = table.dense(name)
    known = np.isfinite(positions)
    if known.all() or not known.any():
        return positions
    steps, totals = table.steps[known].astype(np.float64), positions[known]
    if steps[0] > 0:  # a cumulative total is 0 at step 0
        steps, totals = np.append(0.0, steps), np.append(0.0, totals)
    missing = table.steps[~known].astype(np.float64)
    positions[~known] = np.interp(missing, steps, totals, left=np.nan, right=np.nan)
    return positions
