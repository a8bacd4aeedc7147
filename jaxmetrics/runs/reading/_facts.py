"""Summary of a training as (name, text) pairs, for the dashboard and the report."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jaxmetrics.record import duration, missing_records
from jaxmetrics.runs.reading._format import format_bytes
from jaxmetrics.runs.reading._history import History
from jaxmetrics.runs.reading._merging import merged_x
from jaxmetrics.runs.reading._quantities import Evaluation, own_key

_MEMORY = ("mem/peak_bytes", "mem/in_use_bytes")


def summary_facts(history: History) -> list[tuple[str, str]]:
    """Return names and texts of what is known of a training.

    The values of an evaluation, by which models are chosen, come first.
    """
    unit, facts = history.unit, [("Run", history.name)]
    name = "loss"
    if (chosen_by := history.evaluation) is not None:
        facts += _best_and_last(own_key(chosen_by.key)[0], chosen_by)
        name = "training loss"
    loss = Evaluation("train/loss", unit, *history.get("train/loss"), "min")
    facts += _best_and_last(name, loss)
    count = _length(history)
    facts.append(("Epochs" if unit == "epoch" else "Steps", f"{count:,}"))
    all_seconds = history.get("time")[1]
    if unit == "step" and history.run is not None:
        all_seconds = np.array([history.run.seconds])
    seconds = _finite_max(all_seconds)
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
    if history.run is not None:
        missing = missing_records(history.run.events)
        if missing.rows:
            facts.append(("Missing records", str(missing)))
    return facts


def _best_and_last(name: str, series: Evaluation) -> Iterator[tuple[str, str]]:
    """Yield the best finite value and the last value, as far as there are any."""
    if (best := series.best()) is not None:
        yield f"Best {name}", f"{best[1]:.6g} at {series.unit} {best[0]:,}"
    if len(series.y):
        last = f"{series.y[-1]:.6g} at {series.unit} {int(series.x[-1]):,}"
        yield f"Last {name}", last


def _length(history: History) -> int:
    """Return the number of epochs, or the last step."""
    all_x = [x for x, _ in history.series.values()]
    if not all_x:
        return 0
    if history.unit == "epoch":
        return len(merged_x(all_x))
    return int(max(x[-1] for x in all_x))


def _finite_max(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.max()) if len(values) else None
