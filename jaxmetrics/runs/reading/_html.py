"""Show a run as an HTML table, as notebooks do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from jaxmetrics.record import duration, html_table
from jaxmetrics.runs.reading._format import format_number
from jaxmetrics.runs.reading._labels import importance

if TYPE_CHECKING:
    from jaxmetrics.runs.reading._run import Run

_MAX_ROWS = 20


def run_html(run: Run) -> str:
    """Return the totals of a run, and the last and extreme values of its first keys."""
    summary: Any = run.summary()
    facts = [f"Run {run.name}", f"{run.unit} {summary['steps']:,}"]
    if math.isfinite(run.seconds):
        facts.append(duration(run.seconds, fraction=True))
    facts.append(f"{len(run):,} records")
    if summary["attempts"] > 1:
        facts.append(f"{summary['attempts']:,} attempts")
    rows = []
    keys = sorted(run.keys(), key=importance)
    for key in keys[:_MAX_ROWS]:
        one = summary[key]
        row = [key, format_number(one["last"]), f"{one['last_step']:,}"]
        rows.append([*row, *(format_number(one[name]) for name in ("min", "max"))])
    if (more := len(keys) - _MAX_ROWS) > 0:
        rows.append([f"and {more:,} more", "", "", "", ""])
    if arrays := list(run.arrays):
        text = ", ".join(arrays[:8])
        rows.append([f"arrays: {text}{'…' if len(arrays) > 8 else ''}", "", "", "", ""])
    names = ("key", "last", f"at {run.unit}", "min", "max")
    return html_table(names, rows, " · ".join(facts), right=1)
