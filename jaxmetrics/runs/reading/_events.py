"""Events of a run that charts mark: alarms, restarts, evaluations, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmetrics.record import alarm_count, number


def marked_event(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an event that charts mark; None for an event of another kind.

    Args:
      row: Line of the ledger.

    Returns:
      `kind` (`"alarm"`, `"restart"`, `"evaluation"` or `"checkpoint"`), `text`, `time`,
      `attempt`, `step`, `key` and `value`; of an alarm also the `count` of equal ones.
    """
    name, attempt = str(row.get("event")), row.get("attempt")
    event: dict[str, Any] = {"time": row.get("time"), "attempt": attempt}
    event |= {"step": row.get("step"), "key": row.get("key")}
    event["value"] = number(row.get("value"))
    if count := alarm_count(row):
        text = str(row.get("message") or row.get("kind") or name)
        text += f" ({count:,} times)" if count > 1 else ""
        return {"kind": "alarm", "text": text, "count": count, **event}
    if name == "start" and isinstance(attempt, int) and attempt > 1:
        step = row.get("restored_step")
        text = f"attempt {attempt}"
        text += f", from step {step:,}" if isinstance(step, int) else ""
        return {"kind": "restart", "text": text, **event, "step": step}
    if name == "restore":
        return {"kind": "restart", "text": f"restored, attempt {attempt}", **event}
    if name in ("evaluation", "checkpoint"):
        seconds = row.get("seconds")
        text = f"{name}, {seconds:.3g} s" if isinstance(seconds, int | float) else name
        return {"kind": name, "text": text, **event}
    return None


def step_places(axes: Mapping[str, np.ndarray], step: int) -> dict[str, float]:
    """Return the position of a step on each axis, between records if need be.

    Args:
      axes: Position of each record by axis, from `axis_positions`.
      step: The step.
    """
    steps = axes["step"]
    if not len(steps):
        return {"step": step}
    at: dict[str, float] = {"step": step}
    for name, positions in axes.items():
        if name == "step":
            continue
        known = np.isfinite(positions)
        if known.any():
            at[name] = float(np.interp(step, steps[known], positions[known]))
    return at
