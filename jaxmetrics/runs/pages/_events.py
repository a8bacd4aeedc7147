"""Events of a run: the marks on its charts, and the table of alarms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmetrics.record import alarm_count, dumps, number
from jaxmetrics.runs.pages._page import Cell, Mark, Table
from jaxmetrics.runs.reading import marked_event, step_places

_UTC = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)")
_MAX_ROWS = 500
_MAX_UNREADY = 20  # alarms in a note
_MAX_MARKS = 1000  # of alarms and restarts, and of the others

Positions = Mapping[str, np.ndarray]


def event_marks(
    events: Sequence[Mapping[str, Any]], positions: Positions
) -> list[Mark]:
    """Return the marks of alarms, restarts, evaluations and checkpoints.

    Of many the latest are kept, and alarms and restarts before others.

    Args:
      events: Lines of the ledger.
      positions: Position of each record by axis.
    """
    urgent, others = [], []
    for event in filter(None, map(marked_event, events)):
        step, kind = event["step"], event["kind"]
        if isinstance(step, int):
            text = f"{kind} at step {step:,}: {event['text']}"
            mark = Mark(kind, text, step_places(positions, step))
            (urgent if kind in ("alarm", "restart") else others).append(mark)
    return urgent[-_MAX_MARKS:] + others[-_MAX_MARKS:]


def alarm_table(events: Sequence[Mapping[str, Any]], positions: Positions) -> Table:
    """Return the table of alarms, whose rows lead to their places on the charts.

    Args:
      events: Lines of the ledger.
      positions: Position of each record by axis.
    """
    alarms = alarms_of(events)
    names = ("step", "kind", "key", "value", "message", "time", "attempt")
    shown = alarms[:_MAX_ROWS]
    rows = [[event_cell(event, name) for name in names] for event in shown]
    steps = [event.get("step") for event in shown]
    jumps = [step_places(positions, s) if isinstance(s, int) else None for s in steps]
    counts = [alarm_count(event) for event in alarms]
    note = selection_note(_MAX_ROWS, len(alarms)) if rows else "None was raised."
    if max(counts, default=1) > 1:
        names = (*names, "times")
        rows = [[*row, count] for row, count in zip(rows, counts)]
        note = f"{sum(counts):,} alarms; equal and frequent ones share a row. {note}"
    note = " ".join(filter(None, (note.rstrip(), unready_note(events))))
    return Table("Alarms", names, rows, note, jumps=jumps)


def alarms_of(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the events that are alarms."""
    return [event for event in events if alarm_count(event)]


def unready_note(events: Sequence[Mapping[str, Any]]) -> str:
    """Return the alarms that the last attempt could not raise, for want of values."""
    notes: list[str] = []
    for event in events:
        if event.get("event") == "start":
            notes.clear()
        elif event.get("event") == "unready":
            notes.append(str(event.get("message") or event.get("kind")))
    count = len(notes) - _MAX_UNREADY
    more = [f"and {count:,} more"] if count > 0 else []
    listed = "; ".join([*notes[:_MAX_UNREADY], *more])
    return f"Could not be raised, for want of values: {listed}." if listed else ""


def cell(value: object) -> Cell:
    """Return a value as a cell of a table."""
    value = number(value)
    if value is None or isinstance(value, str | int | float):
        return str(value).lower() if isinstance(value, bool) else value
    return dumps(value)


def event_cell(event: Mapping[str, Any], name: str) -> Cell:
    """Return a field of an event or an attempt as a cell; times without fractions."""
    value = event.get(name)
    if name == "time" and isinstance(value, str) and (time := _UTC.fullmatch(value)):
        return f"{time[1]} {time[2]} UTC"
    return cell(value)


def selection_note(shown: int, count: int) -> str:
    """Return a note if not all rows of a table are shown."""
    return f"The first {shown:,} of {count:,}." if count > shown else ""


def important_note(shown: int, count: int) -> str:
    """Return a note if not all keys are shown."""
    return f"The {shown:,} most important of {count:,}." if count > shown else ""
