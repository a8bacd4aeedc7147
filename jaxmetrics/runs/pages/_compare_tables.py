"""A comparison in words: its tables, as Markdown and as a page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from jaxmetrics.record import redact
from jaxmetrics.runs.pages import _markdown as md
from jaxmetrics.runs.pages._charts import columns, label
from jaxmetrics.runs.pages._page import Cell, Chart, Line, Page, Table
from jaxmetrics.runs.pages._report import number
from jaxmetrics.runs.reading import AXES, LABELS, duration

if TYPE_CHECKING:
    from jaxmetrics.runs import Comparison

_MOST_KEYS, _MOST_CHARTS, _MOST_MEANS = 500, 300, 300


def markdown(comparison: Comparison) -> str:
    """The comparison as Markdown."""
    parts = [f"# {md.escape(title(comparison))}\n"]
    if comparison.notes:
        parts.append("\n" + "".join(f"- {md.escape(n)}\n" for n in comparison.notes))
    for told in tables(comparison):
        rows = [[_text(cell) for cell in row] for row in told.rows]
        parts.append(f"\n## {md.escape(told.title)}\n\n")
        parts.append(f"{md.escape(told.note)}\n\n" if told.note else "")
        parts.append(md.table(told.names, rows) if rows else "")
    return "".join(parts)


def page(comparison: Comparison) -> Page:
    """What the page of a comparison shows."""
    runs, keys = comparison.runs, comparison.keys
    facts = [
        ("Runs", f"{len(runs):,}"),
        ("Metrics in common", f"{len(keys):,}"),
        ("Aligned by", LABELS[comparison.x]),
    ]
    notes = list(comparison.notes)
    if len(keys) > _MOST_CHARTS:
        notes.append(f"The first {_MOST_CHARTS:,} of {len(keys):,} metrics are drawn.")
    return Page(
        kind="Comparison of runs",
        title=title(comparison),
        facts=facts,
        notes=notes,
        first=list(tables(comparison)),
        charts=[_chart(comparison, key) for key in keys[:_MOST_CHARTS]],
        axis=comparison.x,
    )


def title(comparison: Comparison) -> str:
    """The runs' names, as far as they fit."""
    names = list(comparison.runs)
    more = f" and {len(names) - 4:,} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def tables(comparison: Comparison) -> Iterator[Table]:
    """The tables of a comparison, without those that would be empty."""
    names, keys = list(comparison.runs), comparison.keys[:_MOST_KEYS]
    some = f"The first {len(keys):,} of {len(comparison.keys):,}."
    some = some if len(keys) < len(comparison.keys) else ""
    rows = [[name, *redact(list(row))] for name, row in comparison.difference.items()]
    told = "" if rows else "The configurations are equal."
    yield Table("Configuration, where it differs", ["name", *names], rows, told)
    found = {(r.key, r.run): r for r in comparison.results}
    if keys:
        last = [
            [key, *(r.last if (r := found.get((key, n))) else None for n in names)]
            for key in keys
        ]
        yield Table("Last values", ["metric", *names], last, some)
    ranked = [key for key in keys if key in comparison.better]
    if ranked:
        signs = {"min": "least", "max": "greatest"}
        best = [
            [
                *(key, signs[comparison.better[key]]),
                *(_best(comparison, found.get((key, name))) for name in names),
            ]
            for key in ranked
        ]
        heading = f"Best values, and the {LABELS[comparison.x]} where they were first"
        yield Table(heading, ["metric", "best is", *names], best)
    yield from _targets(comparison)
    yield from _spreads(comparison)


def place(comparison: Comparison, x: float) -> str:
    """A place on the axis of a comparison, as people say it."""
    if comparison.x == "time":
        return duration(x)
    return f"{x:.4g}" if comparison.x == "flops" else f"{x:,.0f}"


def _best(comparison: Comparison, result: object) -> Cell:
    best, at = getattr(result, "best", math.nan), getattr(result, "best_at", math.nan)
    if math.isnan(best):
        return None
    return f"{number(best)} at {place(comparison, at)}"


def _targets(comparison: Comparison) -> Iterator[Table]:
    by_target: dict[tuple[str, float], dict[str, float]] = {}
    for found in comparison.reached:
        by_target.setdefault((found.key, found.target), {})[found.run] = found.at
    rows = []
    for (key, target), at in by_target.items():
        sign = "≤" if comparison.better[key] == "min" else "≥"
        cells = [
            None
            if (x := at.get(name)) is None
            else "not reached"
            if math.isnan(x)
            else place(comparison, x)
            for name in comparison.runs
        ]
        rows.append([key, f"{sign} {number(target)}", *cells])
    if rows:
        heading = f"Targets, and the {LABELS[comparison.x]} where they were reached"
        yield Table(heading, ["metric", "target", *comparison.runs], rows)


def _spreads(comparison: Comparison) -> Iterator[Table]:
    rows = []
    for s in comparison.spreads:
        last, best = _both(s.last, s.last_error), _both(s.best, s.best_error)
        rows.append([s.key, s.group, s.runs, last, best])
    if rows:
        names = ["metric", "runs that differ in their seed", "runs", "last", "best"]
        yield Table("Mean ± standard error over seeds", names, rows[:_MOST_KEYS])


def _both(mean: float, error: float) -> Cell:
    return None if math.isnan(mean) else f"{number(mean)} ± {number(error)}"


def _chart(comparison: Comparison, key: str) -> Chart:
    """The lines of all runs, and of the means over seeds on each axis."""
    lines, means = [], []
    for colour, (group, names) in enumerate(comparison.groups.items()):
        several = len(names) > 1
        for name in names:
            run = comparison.runs[name]
            if key in run:
                drawn = columns(run, key, comparison.places[name])
                lines.append(Line(name, colour, *drawn, faint=several))
        if several:
            means.extend(_means(comparison, key, group, colour))
    return Chart(key, label(key), [*means, *lines])


def _means(comparison: Comparison, key: str, group: str, colour: int) -> Iterator[Line]:
    names = comparison.groups[group]
    for axis in AXES:
        if all(axis in comparison.places[name] for name in names):
            x, mean, error = comparison.mean(key, group, axis, _MOST_MEANS)
            if np.isfinite(mean).any():
                around = mean - error, mean + error
                name = f"{group}: mean ± standard error"
                yield Line(name, colour, {axis: x}, mean, around)


def _text(cell: Cell) -> str:
    if cell is None:
        return "–"
    return cell if isinstance(cell, str) else number(cell)
