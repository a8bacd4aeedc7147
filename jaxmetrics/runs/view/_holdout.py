"""Predictions for fixed examples, from the telemetry of a run, as media."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxmetrics.record import Block
from jaxmetrics.runs.plots import Predictions, predictions_of
from jaxmetrics.runs.reading import (
    Follower,
    file_state,
    telemetry_file,
    telemetry_rows,
)
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
    """Return the predictions by step; only lines that were added are read."""
    folder = loaded.growing.path
    if (name := telemetry_file(folder)) is None:
        return {}
    if "holdout" not in loaded.kept:
        loaded.kept["holdout"] = Follower(folder / name), {}
    follower, by_step = loaded.kept["holdout"]
    if follower.restarted():
        by_step.clear()
    if file_state(follower.path)[1] <= _MAX_BYTES:
        for block in follower.read():
            if isinstance(block, Block):
                by_step |= {p.x: p for p in predictions_of(telemetry_rows(block.rows))}
    return by_step
