"""Summary of a training as (name, text) pairs, for the dashboard and the report."""

from __future__ import annotations

import numpy as np

from jaxmetrics.record import duration
from jaxmetrics.runs.reading._format import format_bytes
from jaxmetrics.runs.reading._history import History

_MEMORY = ("mem/peak_bytes", "mem/in_use_bytes")


def summary_facts(history: History) -> list[tuple[str, str]]:
    """Return names and texts of what is known of a training."""
    unit, facts = history.unit, [("Run", history.name)]
    best = best_loss(history)
    if best is not None:
        facts.append(("Best loss", f"{best[1]:.6g} at {unit} {best[0]:,}"))
    x, loss = history.get("train/loss")
    if len(loss):
        facts.append(("Last loss", f"{loss[-1]:.6g} at {unit} {int(x[-1]):,}"))
    count = _length(history)
    facts.append(("Epochs" if unit == "epoch" else "Steps", f"{count:,}"))
    seconds = _finite_max(history.get("time")[1])
    if seconds is not None:
        facts.append(("Wall time", duration(seconds, fraction=True)))
    peak = _finite_max(np.concatenate([history.get(key)[1] for key in _MEMORY]))
    if peak is not None:
        facts.append(("Peak memory", format_bytes(peak)))
    devices = history.header.get("devices")
    if isinstance(devices, dict):
        facts.append(("Devices", f"{devices.get('count')} × {devices.get('kind')}"))
    attempts = history.header.get("attempts")
    attempts = len(attempts) if isinstance(attempts, list) else attempts
    if isinstance(attempts, int) and attempts > 1:
        facts.append(("Attempts", f"{attempts:,}"))
    return facts


def best_loss(history: History) -> tuple[int, float] | None:
    """Return x and value of the lowest loss; None if no loss is finite."""
    x, y = history.get("train/loss")
    comparable = np.where(np.isfinite(y), y, np.inf)
    if not np.isfinite(comparable).any():
        return None
    index = int(np.argmin(comparable))
    return int(x[index]), float(y[index])


def _length(history: History) -> int:
    """Return the number of epochs, or the last step."""
    all_x = [x for x, _ in history.series.values()]
    if not all_x:
        return 0
    if history.unit == "epoch":
        return len(np.unique(np.concatenate(all_x)))
    return int(max(x[-1] for x in all_x))


def _finite_max(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.max()) if len(values) else None
