"""Which series of a run are drawn together, and what their axes say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from jaxmetrics.record import PREFIXES
from jaxmetrics.runs.pages._page import Chart, Line
from jaxmetrics.runs.reading import Run, axes

_UNITS: Mapping[str, str] = {
    "per_second": "/ second",
    "per_sec": "/ second",
    "seconds": "(seconds)",
    "sec": "(seconds)",
    "bytes": "(bytes)",
    "mb": "(MiB)",
}
_RATIOS = frozenset({"mfu", "recent_mfu", "hfu", "goodput", "accuracy"})


def run_charts(run: Run, keys: Iterable[str]) -> list[Chart]:
    """The charts of a run: the same metric of all splits in one, those first.

    Args:
      run: The run.
      keys: Those of its keys that are drawn.
    """
    together: dict[str, list[str]] = {}
    for key in keys:
        together.setdefault(place(key), []).append(key)
    where, charts = axes(run), []
    for title in sorted(together, key=lambda title: is_telemetry(together[title][0])):
        members = together[title]
        lines = [Line(k, i, *columns(run, k, where)) for i, k in enumerate(members)]
        name = members[0] if len(members) == 1 else title
        charts.append(Chart(name, label(members[0]), lines))
    return charts


def columns(
    run: Run, key: str, where: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The places of a key's values by axis, where any is known, and the values.

    Args:
      run: The run.
      key: One of its keys.
      where: What `axes(run)` returned.
    """
    records, values = run._table.columns[key]
    places = {axis: place[records] for axis, place in where.items()}
    return {a: x for a, x in places.items() if np.isfinite(x).any()}, values


def is_telemetry(key: str) -> bool:
    """Whether a key is of the training itself, as `grad/norm`, and of no split."""
    return f"{key.partition('/')[0]}/" in PREFIXES


def place(key: str) -> str:
    """The chart of a key: a metric of a split, or what was measured of the training.

    >>> place("val_code/loss"), place("grad/norm/head"), place("grad/norm_max")
    ('loss', 'grad/norm', 'grad/norm_max')
    """
    head, _, rest = key.partition("/")
    if not is_telemetry(key):
        return rest or head
    return "lr/" if head == "lr" else "/".join(key.split("/")[:2])


def label(key: str) -> str:
    """What the y axis of a key says, with its unit.

    >>> label("perf/tokens_per_second"), label("perf/step_seconds"), label("train/loss")
    ('tokens / second', 'step (seconds)', 'loss')
    """
    first, name = key.partition("/")[0], key.rpartition("/")[2]
    for ending, unit in _UNITS.items():
        what, found, _ = f"_{name}_".rpartition(f"_{ending}_")
        if found:
            return f"{what.strip('_').replace('_', ' ')} {unit}".strip()
    if key.startswith("update/ratio"):
        return "‖update‖ / ‖param‖"
    if "norm" in key and first in ("grad", "grad_norm", "param", "update"):
        return "L2 norm"
    if "lr" in (first, name):
        return "learning rate"
    words = name.replace("_", " ")
    return f"{words} (0 to 1)" if name in _RATIOS else words
