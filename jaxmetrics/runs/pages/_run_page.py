"""Page of a run: its series, and everything else that it recorded."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxmetrics.record import (
    REPORT_HTML,
    alarm_count,
    changes_by_attempt,
    duration,
    redact,
)
from jaxmetrics.runs.pages._charts import layer_maps, map_notes, run_charts
from jaxmetrics.runs.pages._events import (
    alarm_table,
    event_cell,
    event_marks,
    important_note,
    selection_note,
)
from jaxmetrics.runs.pages._page import Chart, Line, Page, Table, save_page
from jaxmetrics.runs.pages._recorded_media import recorded_media
from jaxmetrics.runs.reading import (
    History,
    Run,
    at_home,
    axis_label,
    axis_positions,
    flatten_config,
    goodput_of_events,
    grouped_by_chart,
    is_telemetry,
    load_history,
    most_important,
    summary_facts,
)

_NOT_SHOWN = ("hparams", "token", "order", "started", "lock_scope")  # of an attempt
_MAX_SERIES, _MAX_ROWS, _MAX_NOTES = 1000, 500, 10


def generate_page(
    source: object,
    path: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write `report.html`: all series as interactive charts, and all other data.

    The file is self-contained: it opens in any browser, without a network. It has the
    summary, charts of all series by step, tokens, time or FLOPs, maps of the layers by
    step, texts, tables, images and audio, last and best values,
    time by category, alarms, configuration, attempts and environment. Of a long series
    the minimum and maximum of each window are drawn; values that are not finite are
    gaps, marked and counted.

    Args:
      source: Run directory or its path, `Run`, or `EpochTracker`, whose files are read.
      path: File to write. Default `report.html` in the folder of the source.
      overwrite: Replace an existing file that is not a page of jaxmetrics.

    Returns:
      Path of the file.

    Raises:
      FileNotFoundError: There is no run.
      FileExistsError: A file of that name is not a page of jaxmetrics.
    """
    history = load_history(source)
    file = Path(at_home(path)) if path is not None else history.output / REPORT_HTML
    return save_page(run_page(history), file, overwrite)


def run_page(history: History) -> Page:
    """Return the page of a training."""
    run, keys = history.run, history.run.keys() if history.run is not None else []
    events = run.events if run is not None else []
    positions = axis_positions(run) if run is not None else {"step": np.zeros(0)}
    alarms = sum(map(alarm_count, events))
    facts = [*summary_facts(history)[1:], ("Alarms", f"{alarms:,}")]
    notes = _notes(history, alarms)
    page = Page("Training run", _title(history), facts, notes=notes)
    if run is not None:
        drawn = most_important(keys, _MAX_SERIES)
        page.charts = run_charts(run, drawn)
        page.maps = list(layer_maps(run, drawn, positions["step"]))
        page.marks = event_marks(events, positions)
        page.media, left_out = recorded_media(run)
        page.notes = [*page.notes, *map_notes(run, drawn), *left_out]
    if history.unit == "epoch":
        page.charts = [*_epoch_charts(history), *page.charts]
        page.axis = "epoch"
    page.tables_below = [
        alarm_table(events, positions),
        *_goodput(events),
        *([_values(run, keys)] if run is not None else []),
        _configuration(history.config),
        *_attempts(history.header),
        *_environment(history.header),
    ]
    return page


def _title(history: History) -> str:
    """Return the project and the name of a run, which tell its page from others."""
    project = history.header.get("project")
    return f"{project}/{history.name}" if isinstance(project, str) else history.name


def _values(run: Run, keys: list[str]) -> Table:
    """Return the statistics of each key, metrics before telemetry."""
    keys = sorted(most_important(keys, _MAX_ROWS), key=is_telemetry)
    names = ("key", "last", "at step", "min", "at step", "max", "at step")
    summary, rows = run.summary(), []
    for key in keys:
        statistics: Any = summary[key]
        fields = ("last", "last_step", "min", "min_step", "max", "max_step", "mean")
        values = (statistics[field] for field in fields)
        rows.append((key, *values, statistics["count"], statistics["nonfinite"]))
    note = important_note(len(keys), len(run.keys())) if rows else "None was recorded."
    names = (*names, "mean", "values", "not finite")
    return Table("Last and best values", names, rows, note)


def _configuration(config: Mapping[str, object]) -> Table:
    rows = list(flatten_config(redact(config)).items())
    note = selection_note(_MAX_ROWS, len(rows)) if rows else "None was recorded."
    return Table("Configuration", ("name", "value"), rows[:_MAX_ROWS], note)


def _notes(history: History, alarms: int) -> list[str]:
    notes, run = [], history.run
    if run is None:
        return notes
    if alarms:
        were = "alarm was" if alarms == 1 else "alarms were"
        notes.append(f"{alarms:,} {were} raised; see the table below.")
    if not run.keys() and not run.arrays:
        notes.append("No metric was recorded.")
    if (count := len(run.keys())) > _MAX_SERIES:
        notes.append(f"{important_note(_MAX_SERIES, count)[:-1]} series are drawn.")
    not_numbers = [
        f"{key}: {values:,} values are not numbers, and are not drawn."
        for key, values in run.left_out.items()
    ]
    conflicts = [
        f"{key}: {steps:,} steps from {first:,} have different values; the later one "
        f"is drawn."
        for key, (steps, first) in run.conflicts.items()
    ]
    damage = [f"{n}, line {i:,} was skipped: {reason}." for n, i, reason in run.bad]
    if arrays := list(run.arrays):
        more = f" and {len(arrays) - _MAX_NOTES:,} more" * (len(arrays) > _MAX_NOTES)
        names = ", ".join(arrays[:_MAX_NOTES])
        notes.append(
            f"Arrays are drawn by jaxmetrics plot and in the viewer: {names}{more}."
        )
    for texts in (not_numbers, conflicts, damage):
        notes += texts[:_MAX_NOTES]
        if len(texts) > _MAX_NOTES:
            notes.append(f"And {len(texts) - _MAX_NOTES:,} more like this.")
    return notes


def _epoch_charts(history: History) -> list[Chart]:
    """Return the charts of the columns of the epochs: a metric of all splits in one."""
    times = dict(zip(*(column.tolist() for column in history.get("time"))))
    series = {**history.columns(), **history.extra}
    charts = []
    for members in grouped_by_chart(series).values():
        lines = []
        for color, name in enumerate(members):
            x, y = series[name]
            positions = {"epoch": np.asarray(x, np.float64)}
            if times:
                at = [times.get(epoch, math.nan) for epoch in x.tolist()]
                positions["time"] = np.array(at)
            lines.append(Line(name, color, positions, y))
        label = axis_label(members[0])
        charts.append(Chart(members[0], label, lines, section="Epochs"))
    return charts


def _goodput(events: list[dict[str, object]]) -> Iterator[Table]:
    spent = goodput_of_events(events) if events else {}
    total = sum(v for k, v in spent.items() if k != "goodput")
    if total > 0:
        parts = {k: v for k, v in spent.items() if k != "goodput"}
        rows = [(k, duration(v, fraction=True), v / total) for k, v in parts.items()]
        note = (
            f"Goodput {spent['goodput']:.1%}: the share of updates whose results were "
            f"kept, of the time from the first event to the last."
        )
        names = ("category", "time", "share")
        yield Table("Time by category", names, rows, note, ratio_column=2)


def _attempts(header: Mapping[str, Any]) -> Iterator[Table]:
    listed = header.get("attempts")
    changes, attempts = changes_by_attempt(header), []
    for index, attempt in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(attempt, dict):
            attempt = {n: v for n, v in attempt.items() if n not in _NOT_SHOWN}
            attempt = redact(attempt)
            if index + 1 in changes:
                attempt["changed configuration"] = changes[index + 1]
            attempts.append(attempt)
    if attempts:
        names = list(dict.fromkeys(name for attempt in attempts for name in attempt))
        rows = [[event_cell(a, name) for name in names] for a in attempts]
        titles = [name.replace("_", " ") for name in names]
        note = selection_note(_MAX_ROWS, len(rows))
        yield Table("Attempts", titles, rows[:_MAX_ROWS], note)


def _environment(header: Mapping[str, Any]) -> Iterator[Table]:
    elsewhere = ("hparams", "attempts")  # in tables of their own
    fields = {name: value for name, value in header.items() if name not in elsewhere}
    rows = list(flatten_config(redact(fields)).items())
    if rows:
        yield Table("Environment", ("name", "value"), rows[:_MAX_ROWS])
