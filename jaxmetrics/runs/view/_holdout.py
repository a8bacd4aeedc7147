"""Predictions for fixed examples, from the telemetry of a run, as media."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxmetrics.record import TELEMETRY_FOLDER, TELEMETRY_JSONL
from jaxmetrics.runs.plots import Predictions, predictions_of
from jaxmetrics.runs.reading import Run, file_state
from jaxmetrics.runs.view._cache import Loaded

KIND, KEY = "holdout", "holdout/predictions"
_COLUMNS = ["example", "label", "prediction", "confidence", "p(label)"]
_MAX_BYTES = 2**26
_MAX_EXAMPLES = 1000


def holdout_entries(loaded: Loaded) -> list[dict[str, Any]]:
    """Return an entry for each step with predictions."""
    return [
        {"kind": KIND, "key": KEY, "step": step, "split": "holdout", "count": n}
        for step, n in ((x, len(one.labels)) for x, one in _by_step(loaded).items())
    ]


def holdout_content(loaded: Loaded, step: int) -> dict[str, Any] | None:
    """Return the predictions of a step as a table; None if there are none."""
    one = _by_step(loaded).get(step)
    if one is None:
        return None
    rows = zip(
        range(_MAX_EXAMPLES),
        one.labels.tolist(),
        one.predictions.tolist(),
        one.confidence.tolist(),
        one.of_label.tolist(),
    )
    return {"columns": _COLUMNS, "rows": [list(row) for row in rows]}


def _by_step(loaded: Loaded) -> Mapping[int, Predictions]:
    """Return the predictions by step; they are read again when the file changed."""
    folder = loaded.growing.path / TELEMETRY_FOLDER
    state = file_state(folder / TELEMETRY_JSONL)
    kept = loaded.kept.get("holdout")
    if kept is None or kept[0] != state:
        found: dict[int, Predictions] = {}
        if 0 < state[1] <= _MAX_BYTES:
            lines = Run.load(folder, errors="skip").telemetry
            found = {one.x: one for one in predictions_of(lines)}
        kept = loaded.kept["holdout"] = state, found
    return kept[1]
