"""Summary of a training as (name, text) pairs, for the dashboard and the report."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jaxmetrics.record import RunEvents, duration, missing_records, recent_level
from jaxmetrics.runs.reading._format import format_bytes
from jaxmetrics.runs.reading._goodput import goodput_of_events
from jaxmetrics.runs.reading._history import History
from jaxmetrics.runs.reading._merging import merged_x
from jaxmetrics.runs.reading._quantities import Evaluation, own_key

_MEMORY = ("mem/peak_bytes", "mem/in_use_bytes")


def summary_facts(history: History) -> list[tuple[str, str]]:
    """Return names and texts of what is known of a training.

    The values of an evaluation, by which models are chosen, come first. The best loss
    of single steps is that of one batch, so the median of the last steps is given.
    """
    unit, facts = history.unit, [("Run", history.name)]
    name = "loss"
    if (chosen_by := history.evaluation) is not None:
        facts += _best_and_last(own_key(chosen_by.key)[0], chosen_by)
        name = "training loss"
    loss = Evaluation("train/loss", unit, *history.get("train/loss"), "min")
    if unit == "epoch":
        facts += _best_and_last(name, loss)
    else:
        facts += _recent_and_last(loss)
    count = _length(history)
    facts.append(("Epochs" if unit == "epoch" else "Steps", f"{count:,}"))
    all_seconds = history.get("time")[1]
    if unit == "step" and history.run is not None:
        all_seconds = np.array([history.run.seconds])
    seconds = _finite_max(all_seconds)
    if seconds is not None:
        facts.append(("Training time", duration(seconds, fraction=True)))
    if (seconds := _wall_seconds(history)) > 0:
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
        events = RunEvents()
        for event in history.run.events:
            events.add(event)
        if events.ending is not None and events.ending.error is not None:
            facts.append(("Ended by", events.ending.error))
        missing = missing_records(history.run.events)
        if missing.rows:
            facts.append(("Missing records", str(missing)))
    return facts


def _best_and_last(name: str, series: Evaluation) -> Iterator[tuple[str, str]]:
    """Yield the best finite value and the last value, as far as there are any."""
    if (best := series.best()) is not None:
        yield f"Best {name}", f"{best[1]:.6g} at {series.unit} {best[0]:,}"
    if len(series.y):
        yield f"Last {name}", _last(series)


def _recent_and_last(loss: Evaluation) -> Iterator[tuple[str, str]]:
    """Yield the level of the training loss at its end and the last value."""
    if (recent := recent_level(loss.x, loss.y)) is not None:
        last = "last step" if recent.steps == 1 else f"last {recent.steps:,} steps"
        name = f"Training loss, median of the {last}"
        yield name, f"{recent.median:.6g}"
        yield "Last training loss", _last(loss)


def _last(series: Evaluation) -> str:
    return f"{series.y[-1]:.6g} at {series.unit} {int(series.x[-1]):,}"


def _wall_seconds(history: History) -> float:
    """Return the time from the first event of a run to its last; 0.0 if unknown."""
    if history.run is None:
        return 0.0
    spent = goodput_of_events(history.run.events)
    return sum(seconds for name, seconds in spent.items() if name != "goodput")


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
