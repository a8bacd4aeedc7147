"""Check for and build the reproducible form of metrics, see `Metric.reproducible`."""

from __future__ import annotations

import contextlib
from typing import Any

from jaxmetrics.core._decoding import describe, is_fresh
from jaxmetrics.core._inputs import errors_in_the_name_of, named_in_errors

_FLOAT_ARITHMETIC = {
    "moments": "merges means and variances in float arithmetic",
    "comoments": "merges means and covariances in float arithmetic",
    "grid": "adds weights in float arithmetic",
}
"""Leaves without an exact form, by the name of their declaration."""


def refuse_irreproducible(metric: Any) -> None:
    """Refuse a metric with a leaf whose merges round.

    Raises:
      TypeError: It has such a leaf, or its class says so.
    """
    reason = metric._not_reproducible
    for name, declared in metric._leaves.items():
        weighted = declared.weighted and getattr(metric, declared.weighted)
        kind = declared.name
        if declared.moments and getattr(metric, declared.moments):
            kind = "moments"
        if kind in ("moments", "comoments") or (kind == "grid" and weighted):
            reason = f"its leaf {name!r} {_FLOAT_ARITHMETIC[kind]}"
    if reason:
        raise TypeError(
            f"{type(named_in_errors(metric)).__name__} has no reproducible form: "
            f"{reason}. Leave it "
            "out, or call .reproducible() on the other metrics of the collection."
        )


def reproducible_children(metric: Any, kept: bool = False) -> dict[str, Any]:
    """Return the metrics inside another one in their reproducible form, by field.

    Args:
      metric: The metric around them.
      kept: Keep those that are reproducible already, with their data.

    Raises:
      TypeError: One of them has no such form.
      ValueError: One that is to be kept has data of the other form.
    """
    children = {}
    for name, make in metric._children.items():
        inside = getattr(metric, name)
        if kept and _is_reproducible(inside):
            children[name] = inside
            continue
        if kept and not is_fresh(inside):
            raise ValueError(
                f"{type(metric).__name__}: reproducible_sums is True, but "
                f"{describe(inside)} has summed without it. Pass an empty metric."
            )
        users_own = make is None
        named = contextlib.nullcontext() if users_own else errors_in_the_name_of(metric)
        with named:
            children[name] = inside.reproducible()
    return children


def _is_reproducible(metric: Any) -> bool:
    if hasattr(metric, "_leaves"):
        return metric.reproducible_sums
    return all(_is_reproducible(node) for _, node in metric.items())
