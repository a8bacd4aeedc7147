"""One row for each run of a root."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jaxmetrics.record import (
    METRICS_JSONL,
    RunJsonError,
    flatten_config,
    hparams_of,
    read_run_json,
    read_summary,
    redact,
)
from jaxmetrics.runs.reading import directions, file_state
from jaxmetrics.runs.view._root import Root


def all_rows(root: Root) -> dict[str, Any]:
    """Return a row for each run, and the names of their values."""
    rows = [row(id, path) for id, path in root.runs()]
    keys = list(dict.fromkeys(key for row in rows for key in row["last"]))
    hparams = list(dict.fromkeys(name for row in rows for name in row["hparams"]))
    problems = [
        {"path": row["id"], "text": row["problem"]} for row in rows if row["problem"]
    ]
    return {
        "root": str(root.path),
        "runs": rows,
        "hparams": hparams,
        "keys": keys,
        "better": directions(keys, {}),
        "problems": problems,
    }


def row(id: str, path: Path) -> dict[str, Any]:
    """Return the row of a run."""
    problem, run = None, {}
    try:
        run = read_run_json(path, follow_links=True) or {}
    except (RunJsonError, OSError) as error:
        problem = str(error)
    summary = read_summary(path)
    last = {
        key: value
        for key, value in summary.get("values", {}).items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
    project, _, name = id.partition("/")
    attempts = run.get("attempts")
    return {
        "id": id,
        "project": project,
        "name": name,
        "state": summary.get("state", "crashed"),
        "step": None,
        "total_steps": None,
        "progress": None,
        "elapsed": None,
        "created": None,
        "updated": file_state(path / METRICS_JSONL)[2] / 1e9,
        "attempts": len(attempts) if isinstance(attempts, list) else 0,
        "alarms": 0,
        "chosen_by": None,
        "last": last,
        "best": {},
        "hparams": flatten_config(redact(hparams_of(run))),
        "group": id,
        "problem": problem,
    }
