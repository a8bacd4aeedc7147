"""Facts, keys, events and media of a run, as plain values for its pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmetrics.record import Bins, redact
from jaxmetrics.runs.reading import (
    ChartKeys,
    Layers,
    MediaEntry,
    MediaTable,
    Run,
    arranged_charts,
    goodput_of_events,
    is_log_chart,
    load_history,
    marked_event,
    step_places,
    summary_facts,
)
from jaxmetrics.runs.view._cache import Loaded
from jaxmetrics.runs.view._holdout import (
    KEY,
    KIND,
    holdout_content,
    holdout_entries,
)

_MAX_EVENTS = 5000
_MAX_NOTES = 20
_SAMPLE = 2000  # values of a key by which its scale is chosen


def header(loaded: Loaded) -> dict[str, Any]:
    """Return the facts, the configuration, the attempts and the notes of a run."""
    with loaded.lock:
        shown = loaded.shown()
        run = shown.run
        facts = summary_facts(load_history(run))
        events = list(run.events)
        config, header = run.config, run.header
        left_out, is_full = run.left_out, loaded.growing.is_full
        bad = list(loaded.growing.bad)
    listed = header.get("attempts")
    attempts = [
        {name: value for name, value in attempt.items() if name != "token"}
        | {"end": _last_time(events, attempt.get("attempt"))}
        for attempt in (listed if isinstance(listed, list) else [])
        if isinstance(attempt, dict)
    ]
    notes = [f"{n}, line {line:,} was skipped: {reason}." for n, line, reason in bad]
    notes += [f"{k}: {n:,} values are not numbers." for k, n in left_out.items()]
    if len(notes) > _MAX_NOTES:
        notes = [*notes[:_MAX_NOTES], f"And {len(notes) - _MAX_NOTES:,} more."]
    if shown.is_sampled:
        share = f"{loaded.growing.progress:.0%}"
        text = f"The record is long, and {share} of it was read. Until the rest is, "
        notes.insert(0, text + "charts show samples of it, and all evaluations.")
    if is_full:
        notes.insert(0, "The record is too long for the memory; its end is not shown.")
    elsewhere = ("hparams", "attempts")
    return {
        "facts": facts,
        "config": redact(config),
        "attempts": redact(attempts),
        "environment": redact({k: v for k, v in header.items() if k not in elsewhere}),
        "goodput": goodput_of_events(events) if events else {},
        "notes": notes,
    }


def keys(loaded: Loaded) -> dict[str, Any]:
    """Return the axes, charts, layers and arrays of a run."""
    with loaded.lock:
        shown = loaded.shown()
        run = shown.run
        names, arrays = run.keys(), sorted(run.arrays)
        charts, layers = _arranged(loaded, names)
        wide = _wide(loaded, run, charts)
        axes = [name for name, at in shown.axes.items() if np.isfinite(at).any()]
        version, progress = loaded.growing.version, loaded.growing.progress
    return {
        "version": version,
        "unit": run.unit,
        "axes": axes or ["step"],
        "charts": [chart._asdict() | {"log": log} for chart, log in zip(charts, wide)],
        "layers": [quantity._asdict() for quantity in layers],
        "arrays": arrays,
        "loaded": progress,
        "sampled": shown.is_sampled,
    }


def events(loaded: Loaded) -> dict[str, Any]:
    """Return alarms, restarts, evaluations and checkpoints, the latest ones."""
    with loaded.lock:
        run, axes = loaded.shown().run, loaded.shown().axes
        listed = [one for row in run.events if (one := marked_event(row)) is not None]
        for event in listed[-_MAX_EVENTS:]:
            step = event.pop("step")
            event["at"] = step_places(axes, step) if isinstance(step, int) else {}
    return {"events": listed[-_MAX_EVENTS:], "count": len(listed)}


def media(loaded: Loaded) -> dict[str, Any]:
    """Return which media a run has."""
    with loaded.lock:
        entries = sorted(loaded.growing.media.values(), key=lambda e: (e.step, e.key))
        run = loaded.growing.run
        shown = [
            {n: getattr(e, n) for n in ("kind", "key", "step", "split")}
            | {"count": e.size}
            for e in entries
        ]
        for key, (steps, arrays) in run.arrays.items():
            split = key.partition("/")[0]
            shown += [
                {
                    "kind": "array",
                    "key": key,
                    "step": step,
                    "split": split,
                    "count": array.size,
                }
                for step, array in zip(steps.tolist(), arrays)
            ]
        shown += holdout_entries(loaded)
    return {"entries": shown, "version": loaded.growing.version}


def media_content(
    loaded: Loaded, kind: str, key: str, step: int, address: str
) -> dict[str, Any] | None:
    """Return the media of a key and a step; None if there are none.

    Args:
      loaded: The run.
      kind: Kind of the media, `"array"` for an array that a metric computed,
        `"holdout"` for predictions of the telemetry.
      key: Full key.
      step: Step.
      address: Address of the files of the run, to which their names are added.
    """
    named: dict[str, Any] = {"kind": kind, "key": key, "step": step}
    if kind == "array":
        with loaded.lock:
            steps, arrays = loaded.growing.run.arrays.get(key, (np.zeros(0), []))
        places = np.flatnonzero(steps == step)
        return named | {"array": arrays[places[-1]]} if len(places) else None
    if kind == KIND and key == KEY:
        with loaded.lock:
            content = holdout_content(loaded, step)
        return None if content is None else named | content
    entry = loaded.growing.entry(step, kind, key)
    return None if entry is None else named | _content(entry, address)


def _content(entry: MediaEntry, address: str) -> dict[str, Any]:
    match entry.value:
        case str():
            return {"text": entry.value}
        case MediaTable():
            return {"columns": entry.value.columns, "rows": entry.value.rows}
        case Bins():
            value = entry.value
            counts, edges = value.counts, value.edges
            return {"counts": counts, "edges": edges, "nonfinite": value.nonfinite}
    urls = [f"{address}/{path.name}" for path in entry.value]
    return {"files": urls, "missing": list(entry.missing)}


def _last_time(events: Sequence[Mapping[str, Any]], attempt: object) -> Any:
    """Return the time of the last event of an attempt; None without any."""
    own = (e.get("time") for e in reversed(events) if e.get("attempt") == attempt)
    return next(own, None)


def _arranged(loaded: Loaded, names: list[str]) -> tuple[list[ChartKeys], list[Layers]]:
    kept = loaded.kept.get("arranged")
    if kept is None or kept[0] != names:
        kept = loaded.kept["arranged"] = names, *arranged_charts(names)
    return kept[1], kept[2]


def _wide(loaded: Loaded, run: Run, charts: list[ChartKeys]) -> list[bool]:
    """Return for each chart whether its scale is logarithmic.

    It is decided again when the run has become twice as long.
    """
    kept, length = loaded.kept.get("wide"), len(run)
    if kept is None or kept[0] != len(charts) or length >= 2 * kept[1]:
        wide = []
        for chart in charts:
            values = [run[key][1] for key in chart.keys if key in run]
            samples = [v[:: max(len(v) // _SAMPLE, 1)] for v in values]
            wide.append(is_log_chart(chart.keys, chart.label, samples))
        kept = loaded.kept["wide"] = len(charts), length, wide
    return kept[2]
