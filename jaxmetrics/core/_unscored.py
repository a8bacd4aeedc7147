"""Count the entries that metrics could not score, and warn of them on the host.

`log_step` records the counts and warns by itself, so the values that it computes are of
arrays that are on the host already, and nothing here warns of those a second time.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxmetrics.core._jax import is_tracer

_PACKAGE = __name__.partition(".")[0]
_CAUSE_OF_LABELS = (
    "A label is out of range (classes count from 0) or a score is NaN; mask padding "
    "with mask= or ignore_index=."
)
_OTHER_CAUSE = (
    "A value is NaN or outside of what the metric is defined for; mask padding with "
    "mask=."
)


def invalid_count(metric: Any) -> int:
    """Return the sum of all leaves named `invalid` of a state on the host."""
    if not hasattr(metric, "_leaves"):
        return sum(invalid_count(inside) for _, inside in metric.items())
    count = sum(map(invalid_count, metric._scored_metrics()))
    if "invalid" not in metric._leaves or not metric.invalid.any():
        return count
    layout = metric._layout.leaves["invalid"]
    return count + int(np.sum(layout.decode(metric.invalid, True)))


def warn_of_invalid(metrics: Any, outputs: Mapping[str, Any] | None = None) -> None:
    """Warn of entries that are not part of a value, with their number by metric.

    The warning points at the line outside the package that asked for the value, so that
    Python shows equal ones of a line once.

    Args:
      metrics: State of a metric or a collection on the host.
      outputs: The batch, if there is only one: its labels tell the cause.
    """
    if hasattr(metrics, "_leaves"):
        counts = {type(metrics).__name__: (invalid_count(metrics), metrics)}
    else:
        counts = {name: (invalid_count(each), each) for name, each in metrics.items()}
    counts = {name: (n, each) for name, (n, each) in counts.items() if n}
    if not counts:
        return
    shown = ", ".join(f"{n:,} of {name}" for name, (n, _) in counts.items())
    causes = [_cause(each, outputs or {}) for _, each in counts.values()]
    of_labels = any("labels" in each.reads().arguments for _, each in counts.values())
    usual = _CAUSE_OF_LABELS if of_labels else _OTHER_CAUSE
    cause = next(filter(None, causes), usual)
    text = f"Entries that could not be scored are left out of the value: {shown}."
    warnings.warn(f"{text} {cause}", stacklevel=_level_of_caller())


def _cause(metric: Any, outputs: Mapping[str, Any]) -> str:
    """Return what is wrong with the labels of a batch; empty if they do not tell."""
    names = dict(getattr(metric, "renames", ()))
    labels = _on_host(outputs.get(names.get("labels", "labels")))
    scores = getattr(metric, "scores", "logits")
    scores = scores if isinstance(scores, str) else "logits"
    logits: Any = outputs.get(names.get(scores, scores))
    if labels is None or labels.dtype.kind not in "iu":
        return ""
    classes = getattr(metric, "classes", None)
    if np.ndim(logits) == labels.ndim + 1:
        classes = np.shape(logits)[-1]
    mask = _on_host(outputs.get(names.get("mask", "mask")))
    if mask is not None and mask.shape == labels.shape:
        labels = labels[mask]
    ignored = getattr(metric, "ignore_index", None)
    if ignored is not None:
        labels = labels[~np.isin(labels, ignored)]
    if not labels.size:
        return ""
    low, high = int(labels.min()), int(labels.max())
    if not isinstance(classes, int) or 0 <= low and high < classes:
        return ""
    text = f"Labels are {low} to {high}, and the {classes} classes are 0 to "
    text += f"{classes - 1}."
    if low == 1 and high == classes:
        return f"{text} Are your labels 1-based? Pass labels - 1."
    if low < 0 and high < classes:
        return f"{text} If {low} is padding, pass mask= or ignore_index={low}."
    return f"{text} Pass labels in that range, or mask= where there is none."


def _on_host(array: Any) -> np.ndarray | None:
    if array is None or is_tracer(array):
        return None
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return None
    return np.asarray(array)


def _level_of_caller() -> int:
    """Return the `stacklevel` of the first frame outside the package, for its caller.

    1 would be the caller of this function.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name != _PACKAGE and not name.startswith(f"{_PACKAGE}."):
            break
        frame, level = frame.f_back, level + 1
    return level
