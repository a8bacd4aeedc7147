"""Questions to a metric about what is inside: its outputs and the metrics that count.

They use the public protocol (see _protocol.py), so that they see through wrappers,
collections and metrics of a user's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxmetrics.core._metric import Metric


def outputs_of(metric: Any, argument: str) -> frozenset[str]:
    """Return the outputs that are read as an argument of `observe`.

    They are the ones that change when the argument is renamed.
    """
    names = metric.reads().names
    other = "\0"  # a name of no output
    while other in names:
        other += "\0"
    renamed = metric.identity().renamed({argument: other}).reads().names
    return names - renamed if other in renamed else frozenset()


def first_argument(metric: Any) -> str | None:
    """Return the first argument that is no mask or weights, None if there is none."""
    arguments = metric.reads().arguments
    return next((a for a in arguments if a not in ("mask", "weights")), None)


def observers(metric: Any) -> Iterator[Metric]:
    """Yield the metrics inside, or the metric itself, that define an `observe`.

    The leaves of wrappers are bookkeeping, and are left out.
    """
    if not isinstance(metric, Metric):
        for _, inside in metric.items():
            yield from observers(inside)
        return
    if type(metric).observe is not Metric.observe and not metric._children:
        yield metric
    for name in metric._children:
        yield from observers(getattr(metric, name))


def leading_axes(state: Any) -> int:
    """Return the number of leading axes of a state, such as those of an ensemble."""
    leaf, *_ = jax.tree.leaves(state)
    empty, *_ = jax.tree.leaves(state.identity())
    return np.ndim(leaf) - np.ndim(empty)


def one_number(wrapper: Any, value: Any, like: Any) -> Any:
    """Return the value of the metric inside a wrapper that compares values.

    Args:
      wrapper: A metric with the field `metric`.
      value: What that one computes.
      like: A scalar leaf of the wrapper, which has its leading axes.

    Raises:
      ValueError: The value is not one number.
    """
    is_tree = isinstance(value, Mapping | list | tuple)
    if is_tree or np.shape(value) != np.shape(like):
        shown = "several" if is_tree else f"an array of shape {np.shape(value)}"
        raise ValueError(
            f"{type(wrapper).__name__} needs a metric that computes one number, but "
            f"{type(wrapper.metric).__name__} computes {shown}. Configure it for one, "
            'as with average="macro", or wrap the metric of each value.'
        )
    return value
