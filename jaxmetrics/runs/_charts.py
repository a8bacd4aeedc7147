"""Which series of a run are drawn together, and what their axes say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from jaxmetrics.record import PREFIXES
from jaxmetrics.runs._axes import axes
from jaxmetrics.runs._page import Chart, Line
from jaxmetrics.runs._run import Run


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
    head, _, rest = key.rpartition("/")
    for ending, unit in (("seconds", "seconds"), ("bytes", "bytes")):
        if rest.endswith(f"_per_{ending[:-1]}"):
            what = rest.removesuffix(f"_per_{ending[:-1]}").replace("_", " ")
            return f"{what} / {ending[:-1]}"
        if rest == ending or rest.endswith(f"_{ending}"):
            what = rest.removesuffix(ending).rstrip("_").replace("_", " ")
            return f"{what} ({unit})" if what else unit
    first = key.partition("/")[0]
    if key.startswith("update/ratio"):
        return "‖update‖ / ‖param‖"
    if first in ("grad", "param", "update") and "norm" in key:
        return "L2 norm"
    if first == "lr":
        return "learning rate"
    if rest in ("mfu", "recent_mfu", "hfu", "goodput", "accuracy"):
        return f"{rest.replace('_', ' ')} (0 to 1)"
    return rest or head
