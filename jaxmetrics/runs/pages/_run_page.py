"""The page of a run: its series, and all else that it has recorded."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxmetrics.record import REPORT_HTML, dumps, number, redact
from jaxmetrics.runs.pages._charts import label, run_charts
from jaxmetrics.runs.pages._page import Cell, Chart, Line, Page, Table, save
from jaxmetrics.runs.reading import History, Run, facts, flat, goodput_of, history

_MOST_SERIES, _MOST_ROWS, _MOST_NOTES = 1000, 500, 10


def generate_page(
    source: object,
    path: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write `report.html`: all series as interactive charts, and what else is known.

    The file is complete: it opens in any browser, without a network. It has the
    summary, charts of all series by step, tokens, time or FLOPs, last and best values,
    where the time went, alarms, configuration, attempts and environment. Of a long
    series the least and the greatest value of each stretch are drawn; what is not
    finite is a gap, marked and counted.

    Args:
      source: A run directory or its path, a `Run`, or an `EpochTracker`, whose files
        are read.
      path: The file; `report.html` in the folder of the source if not given.
      overwrite: Replace a file that is not a page of ours.

    Returns:
      The path of the file.

    Raises:
      FileNotFoundError: There is no run.
      FileExistsError: A file of that name is not a page of ours.
    """
    read = history(source)
    where = Path(path) if path is not None else read.folder / REPORT_HTML
    return save(page_of(read), where, overwrite)


def page_of(read: History) -> Page:
    """What the page of a training shows."""
    run, keys = read.run, read.run.keys() if read.run is not None else []
    events = run.events if run is not None else []
    header = redact(read.header)
    alarms = _alarms(events)
    known = [*facts(read)[1:], ("Alarms", f"{len(alarms.rows):,}")]
    page = Page("Training run", read.name, known, notes=_notes(read, len(alarms.rows)))
    if run is not None:
        page.charts = run_charts(run, keys[:_MOST_SERIES])
    if read.unit == "epoch":
        page.charts = [*_epochs(read), *page.charts]
        page.axis = "epoch"
    page.last = [
        *([values(run, keys[:_MOST_ROWS])] if run is not None else []),
        *_goodput(events),
        alarms,
        configuration(read.config),
        *_attempts(header),
        *_environment(header),
    ]
    return page


def values(run: Run, keys: list[str]) -> Table:
    """What each key came to."""
    names = ("key", "last", "at step", "least", "at step", "greatest", "at step")
    summary, rows = run.summary(), []
    for key in keys:
        of: Any = summary[key]
        fields = ("last", "last_step", "min", "min_step", "max", "max_step", "mean")
        rows.append((key, *(of[f] for f in fields), of["count"], of["nonfinite"]))
    note = _some(len(keys), len(run.keys())) if rows else "None was recorded."
    names = (*names, "mean", "values", "not finite")
    return Table("Last and best values", names, rows, note)


def configuration(config: Mapping[str, object]) -> Table:
    """The user's configuration, a row for each value."""
    rows = list(flat(redact(config)).items())
    note = _some(_MOST_ROWS, len(rows)) if rows else "None was recorded."
    return Table("Configuration", ("name", "value"), rows[:_MOST_ROWS], note)


def _notes(read: History, alarms: int) -> list[str]:
    notes, run = [], read.run
    if run is None:
        return notes
    if alarms:
        notes.append(f"Alarms were raised; the table below has {alarms:,}.")
    if not run.keys():
        notes.append("No metric was recorded.")
    if (count := len(run.keys())) > _MOST_SERIES:
        notes.append(f"The first {_MOST_SERIES:,} of {count:,} series are drawn.")
    texts = [
        f"{key}: {values:,} values are no numbers, and are not drawn."
        for key, values in run.left_out.items()
    ]
    damage = [f"{n}, line {i:,} was passed over: {why}." for n, i, why in run.bad]
    for told in (texts, damage):
        notes += told[:_MOST_NOTES]
        if len(told) > _MOST_NOTES:
            notes.append(f"And {len(told) - _MOST_NOTES:,} more like this.")
    return notes


def _epochs(read: History) -> list[Chart]:
    """A chart for each field of the epochs."""
    ends = dict(zip(*(column.tolist() for column in read.get("cumulative_time_sec"))))
    charts = []
    for name, (x, y) in {**read.series, **read.more}.items():
        places = {"epoch": np.asarray(x, np.float64)}
        if ends:
            places["time"] = np.array([ends.get(e, math.nan) for e in x.tolist()])
        charts.append(Chart(name, label(name), [Line(name, 0, places, y)]))
    return charts


def _goodput(events: list[dict[str, object]]) -> Iterator[Table]:
    spent = goodput_of(events) if events else {}
    total = sum(v for k, v in spent.items() if k != "goodput")
    if total > 0:
        rows = [(k, v, v / total) for k, v in spent.items() if k != "goodput"]
        note = f"Goodput {spent['goodput']:.1%}: the share of updates that were kept, "
        note += "in the time from the first event to the last."
        names = ("category", "seconds", "share")
        yield Table("Where the time went", names, rows, note, share=2)


def _alarms(events: list[dict[str, object]]) -> Table:
    found = [e for e in events if str(e.get("event")).startswith(("alarm", "health"))]
    names = ("time", "attempt", "step", "kind", "key", "value", "message")
    rows = [[_cell(event.get(name)) for name in names] for event in found[:_MOST_ROWS]]
    note = _some(_MOST_ROWS, len(found)) if rows else "None was raised."
    return Table("Alarms", names, rows, note)


def _attempts(header: Mapping[str, Any]) -> Iterator[Table]:
    listed = header.get("attempts")
    attempts = listed if isinstance(listed, list) else []
    attempts = [attempt for attempt in attempts if isinstance(attempt, dict)]
    if attempts:
        names = list(dict.fromkeys(name for attempt in attempts for name in attempt))
        rows = [[_cell(attempt.get(name)) for name in names] for attempt in attempts]
        titles = [name.replace("_", " ") for name in names]
        yield Table("Attempts", titles, rows[:_MOST_ROWS], _some(_MOST_ROWS, len(rows)))


def _environment(header: Mapping[str, Any]) -> Iterator[Table]:
    apart = ("hparams", "attempts")
    rows = flat({k: v for k, v in header.items() if k not in apart}).items()
    if rows:
        yield Table("Environment", ("name", "value"), list(rows)[:_MOST_ROWS])


def _cell(value: object) -> Cell:
    value = number(value)
    if value is None or isinstance(value, str | int | float):
        return str(value).lower() if isinstance(value, bool) else value
    return dumps(value)


def _some(shown: int, count: int) -> str:
    """What a note says of a table that has not all."""
    return f"The first {shown:,} of {count:,}." if count > shown else ""
