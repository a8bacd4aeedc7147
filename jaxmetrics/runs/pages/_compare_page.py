"""Tables and charts of a comparison, as Markdown and as a page."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from jaxmetrics.record import duration, html_table, redact
from jaxmetrics.runs.pages import _markdown as md
from jaxmetrics.runs.pages._events import important_note
from jaxmetrics.runs.pages._page import Cell, Chart, Line, Page, Table
from jaxmetrics.runs.reading import (
    AXES,
    AXIS_LABELS,
    AlignedRuns,
    Result,
    RunEntry,
    axis_label,
    format_number,
    is_log_chart,
    is_telemetry,
    is_train_loss,
    judged_name,
    most_important,
    series_on_axes,
    short_names,
)

_MAX_KEYS, _MAX_CHARTS, _MAX_MEAN_POINTS = 500, 300, 300
_MAX_NAMES = 4
_MAX_SHOWN = 40  # runs of a chart that are shown at first
_MAX_RUN_COLUMNS = 8  # runs up to which tables have a column for each
_MAX_CONFIG_COLUMNS, _MAX_METRIC_COLUMNS, _MAX_BEST_COLUMNS = 8, 6, 12
_MAX_CELL = 24
_MAX_RELATIONS = 12
_MEAN_NOTE = (
    "Lines with a band are the mean ± standard error over the n runs of a group that "
    "have a value there, without those that diverged; the runs themselves are faint."
)
_MAX_HTML_ROWS, _MAX_HTML_NOTES = 50, 3


def compare_markdown(comparison: AlignedRuns) -> str:
    """Return the notes and tables of a comparison as Markdown."""
    parts = [f"# {md.escape_markdown(_title(comparison))}\n"]
    if comparison.notes:
        notes = (f"- {md.escape_markdown(note)}\n" for note in comparison.notes)
        parts.append("\n" + "".join(notes))
    for table in compare_tables(comparison):
        rows = [[_cell_text(cell) for cell in row] for row in table.rows]
        parts.append(f"\n## {md.escape_markdown(table.title)}\n\n")
        parts.append(f"{md.escape_markdown(table.note)}\n\n" if table.note else "")
        parts.append(md.table(table.names, rows) if rows else "")
    return "".join(parts)


def compare_page(comparison: AlignedRuns) -> Page:
    """Return the page of a comparison."""
    runs, keys = comparison.runs, comparison.keys
    facts = [
        ("Runs", f"{len(runs):,}"),
        ("Metrics in common", f"{len(keys):,}"),
        ("Aligned by", AXIS_LABELS[comparison.x]),
    ]
    notes = list(comparison.notes)
    if keys and len(comparison.groups) < len(runs):
        notes.append(_MEAN_NOTE)
    if note := important_note(_MAX_CHARTS, len(keys)):
        notes.append(f"{note[:-1]} metrics are drawn.")
    return Page(
        kind="Comparison of runs",
        title=_title(comparison),
        facts=facts,
        notes=notes,
        tables_above=list(compare_tables(comparison)),
        charts=[_chart(comparison, key) for key in most_important(keys, _MAX_CHARTS)],
        axis=comparison.x,
    )


def comparison_html(comparison: AlignedRuns) -> str:
    """Return the notes and the table of the runs as HTML."""
    table = _run_table(comparison)
    rows = [[_cell_text(cell) for cell in row] for row in table.rows[:_MAX_HTML_ROWS]]
    if (more := len(table.rows) - len(rows)) > 0:
        rows.append([f"and {more:,} more", *[""] * (len(table.names) - 1)])
    texts = [*comparison.notes[:_MAX_HTML_NOTES], table.note]
    return html_table(table.names, rows, " ".join(filter(None, texts)), right=1)


def comparison_text(comparison: AlignedRuns) -> str:
    """Return the table of the runs as plain text, for a terminal."""
    table = _run_table(comparison)
    rows = [[_cell_text(cell) for cell in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(table.names, *rows)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in [list(table.names), *rows]
    )
    return "\n".join(lines)


def compare_tables(comparison: AlignedRuns) -> Iterator[Table]:
    """Yield the tables of a comparison, without empty ones.

    The first one has a row for each run, the best run first. Of up to eight runs the
    others have a column for each run, of more a row.
    """
    yield _run_table(comparison)
    yield from _relation_table(comparison)
    if len(comparison.runs) <= _MAX_RUN_COLUMNS:
        yield from _tables_by_metric(comparison)
    else:
        yield from _tables_by_run(comparison)
    yield from _target_table(comparison)
    yield from _spread_table(comparison)


def _run_table(comparison: AlignedRuns) -> Table:
    """Return the table of a row for each run, the best run first."""
    results = {(r.key, r.run): r for r in comparison.results}
    order, ranked_by = comparison.ranked(), comparison.ranked_by
    config = list(comparison.difference)[:_MAX_CONFIG_COLUMNS]
    index = {name: i for i, name in enumerate(comparison.runs)}
    others = [key for key in comparison.keys if key != ranked_by]
    others = [key for key in others if not is_telemetry(key)] or others
    others.sort(key=lambda key: key not in comparison.better)
    others = others[:_MAX_METRIC_COLUMNS]
    names = ["run", *short_names(config)]
    has_state = bool(comparison.entries)
    is_level = ranked_by is not None and is_train_loss(ranked_by)
    rows: list[list[Cell]] = []
    for run in order:
        cells = [comparison.difference[name][index[run]] for name in config]
        texts = redact([None if cell is None else str(cell) for cell in cells])
        row: list[Cell] = [run, *(text and _cut(text) for text in texts)]
        if ranked_by is not None:
            result = results.get((ranked_by, run))
            best = result and (result.recent if is_level else _best(comparison, result))
            row += [best, result.last if result else None]
        row += [r.last if (r := results.get((key, run))) else None for key in others]
        row += _state(comparison.entries[run]) if has_state else []
        rows.append(row)
    if ranked_by is not None:
        names += [judged_name(ranked_by), f"last {ranked_by}"]
    names += [f"last {key}" for key in others]
    names += ["state", "step", "training time"] if has_state else []
    is_ranked = ranked_by is not None and comparison.order is None
    note = f"Ranked by {ranked_by}." if is_ranked else ""
    if is_ranked and is_level:
        note = f"Ranked by {ranked_by}, the median of the last 5 % of each run."
    if is_ranked and (lost := len(comparison.diverged)):
        note += f" {_counted(lost)} that diverged {'is' if lost == 1 else 'are'} last."
    if (more := len(comparison.difference) - len(config)) > 0:
        note += f" The configurations differ in {more:,} more values."
    return Table("Runs", names, rows, note.strip())


def _state(entry: RunEntry) -> list[Cell]:
    """Return the state, the step and the training time of a run."""
    seconds = entry.elapsed
    return [entry.state, entry.step, None if seconds is None else duration(seconds)]


def _relation_table(comparison: AlignedRuns) -> Iterator[Table]:
    """Yield the table of what goes with the best values."""
    key = comparison.ranked_by
    if key is None or not comparison.relations:
        return
    better = comparison.better[key]
    rows: list[list[Cell]] = []
    for one in comparison.relations[:_MAX_RELATIONS]:
        measure = "rank correlation" if one.kind == "rank" else "share of variance"
        texts = (f"{v}: {m:.5g} ({n})" for v, (n, m) in one.means.items())
        cells = (measure, f"{one.strength:.2f}", one.runs, ", ".join(texts) or None)
        rows.append([one.name, *redact(list(cells))])
    first = redact(comparison.relations[0].sentence(key, better))
    note = (
        f"{first[0].upper()}{first[1:]}. This says what went together in these runs, "
        f"not why; runs without a finite value are left out"
    )
    if lost := len(comparison.diverged):
        note += f", and {_counted(lost)} that diverged"
    names = ["name", "measure", "strength", "runs", "mean by value (runs), best first"]
    title = f"What goes with {judged_name(key)} ({better})"
    yield Table(title, names, rows, f"{note}.")


def _counted(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs:,} runs"


def _tables_by_metric(comparison: AlignedRuns) -> Iterator[Table]:
    """Yield tables of a row for each metric, and a column for each run."""
    names, keys = list(comparison.runs), most_important(comparison.keys, _MAX_KEYS)
    note = important_note(len(keys), len(comparison.keys))
    rows = [[name, *redact(list(row))] for name, row in comparison.difference.items()]
    equal = "" if rows else "The configurations are equal."
    yield Table("Configuration differences", ["name", *names], rows, equal)
    results = {(r.key, r.run): r for r in comparison.results}
    if keys:
        last = [
            [key, *(r.last if (r := results.get((key, n))) else None for n in names)]
            for key in keys
        ]
        yield Table("Last values", ["metric", *names], last, note)
    ranked = [key for key in keys if key in comparison.better]
    if ranked:
        best = [
            [
                *(key, comparison.better[key]),
                *(_best(comparison, results.get((key, name))) for name in names),
            ]
            for key in ranked
        ]
        title = f"Best values, and the {AXIS_LABELS[comparison.x]} of the first one"
        yield Table(title, ["metric", "best", *names], best)


def _tables_by_run(comparison: AlignedRuns) -> Iterator[Table]:
    """Yield tables of a row for each run, and a column for each metric."""
    results = {(r.key, r.run): r for r in comparison.results}
    ranked = [key for key in comparison.keys if key in comparison.better]
    if not ranked:
        return
    keys = most_important(ranked, _MAX_BEST_COLUMNS)
    rows = [
        [run, *(_best(comparison, results.get((key, run))) for key in keys)]
        for run in comparison.ranked()
    ]
    note = important_note(len(keys), len(ranked))
    title = f"Best values, and the {AXIS_LABELS[comparison.x]} of the first one"
    names = [f"{key} ({comparison.better[key]})" for key in keys]
    yield Table(title, ["run", *names], rows, note)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CELL else f"{text[: _MAX_CELL - 1]}…"


def _title(comparison: AlignedRuns) -> str:
    """Return the names of a few runs, or the number of runs and their project."""
    names = list(comparison.runs)
    if len(names) <= _MAX_NAMES:
        return ", ".join(names)
    projects = {entry.project for entry in comparison.entries.values()}
    of = f" of {projects.pop()}" if len(projects) == 1 else ""
    return f"{len(names):,} runs{of}"


def _x_text(comparison: AlignedRuns, x: float) -> str:
    """Return a position on the axis of a comparison as text."""
    if comparison.x == "time":
        return duration(x, fraction=True)
    return f"{x:.4g}" if comparison.x == "flops" else f"{x:,.0f}"


def _best(comparison: AlignedRuns, result: Result | None) -> Cell:
    if result is None or math.isnan(result.best):
        return None
    return f"{format_number(result.best)} at {_x_text(comparison, result.best_x)}"


def _target_table(comparison: AlignedRuns) -> Iterator[Table]:
    x_by_target: dict[str, dict[str, Cell]] = {}
    for one in comparison.reached:
        sign = "≤" if comparison.better[one.key] == "min" else "≥"
        target = f"{one.key} {sign} {format_number(one.target)}"
        x = "not reached" if math.isnan(one.x) else _x_text(comparison, one.x)
        if one.run in comparison.diverged:
            x = f"{x}, diverged"
        x_by_target.setdefault(target, {})[one.run] = x
    if x_by_target:
        rows = [
            [run, *(cells.get(run) for cells in x_by_target.values())]
            for run in comparison.ranked()
        ]
        title = f"Targets, and the {AXIS_LABELS[comparison.x]} to reach them"
        yield Table(title, ["run", *x_by_target], rows)


def _spread_table(comparison: AlignedRuns) -> Iterator[Table]:
    rows = []
    for spread in comparison.spreads:
        last = _with_error(spread.last, spread.last_error)
        best = _with_error(spread.best, spread.best_error)
        total = spread.runs + spread.left_out
        count = f"{spread.runs} of {total}" if spread.left_out else total
        rows.append([spread.key, spread.group, count, last, best])
    if rows:
        names = ["metric", "runs that differ in their seed", "runs", "last", "best"]
        note = "Runs that diverged, or whose last value is not finite, are left out."
        note *= any(spread.left_out for spread in comparison.spreads)
        yield Table("Mean ± standard error over seeds", names, rows[:_MAX_KEYS], note)


def _with_error(mean: float, error: float) -> Cell:
    """Return a mean with two digits of its error, and as many decimals."""
    if math.isnan(mean):
        return None
    if not (math.isfinite(mean) and 0 < error < math.inf):  # as of one run
        return format_number(mean)
    size = max(abs(mean), error)
    digits = math.floor(math.log10(size)) - math.floor(math.log10(error)) + 2
    rounded = (float(f"{mean:.{max(digits, 1)}g}"), float(f"{error:.2g}"))
    return " ± ".join(map(format_number, rounded))


def _chart(comparison: AlignedRuns, key: str) -> Chart:
    """Return the lines of all runs, and of the means over seeds on each axis."""
    lines, means, diverged = [], [], comparison.diverged
    for color, (group, names) in enumerate(comparison.groups.items()):
        has_mean = len(names) > 1
        for name in names:
            run = comparison.runs[name]
            if key in run:
                series = series_on_axes(run, key, comparison.positions[name])
                lines.append(
                    Line(
                        name,
                        color,
                        *series,
                        faint=has_mean,
                        show=len(lines) < _MAX_SHOWN,
                        diverged=name in diverged,
                    )
                )
        if has_mean:
            means.extend(_mean_lines(comparison, key, group, color))
    label = axis_label(key)
    alive = [line.y for line in lines if not line.diverged]
    log = is_log_chart([key], label, alive or [line.y for line in lines])
    return Chart(key, label, [*means, *lines], log=log, pooled=True)


def _mean_lines(
    comparison: AlignedRuns, key: str, group: str, color: int
) -> Iterator[Line]:
    names = comparison.groups[group]
    for axis in AXES:
        if all(axis in comparison.positions[name] for name in names):
            x, mean, error, runs = comparison.mean(key, group, axis, _MAX_MEAN_POINTS)
            if np.isfinite(mean).any():
                band = mean - error, mean + error
                name = f"{group} (n={_count(runs)})"
                yield Line(name, color, {axis: x}, mean, band, is_mean=True)


def _count(runs: np.ndarray) -> str:
    """Return the number of runs of which a mean is, such as `1 to 3`."""
    least, most = int(runs[runs > 0].min()), int(runs.max())
    return f"{most}" if least == most else f"{least} to {most}"


def _cell_text(cell: Cell) -> str:
    if cell is None:
        return "–"
    return cell if isinstance(cell, str) else format_number(cell)
