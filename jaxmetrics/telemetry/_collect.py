"""All statistics of a step, computed every N steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics.telemetry._groups import Groups
from jaxmetrics.telemetry._norms import norms
from jaxmetrics.telemetry._rates import learning_rates

Statistics = dict[str, jax.Array]


def collect(
    step: Any,
    *,
    grads: Any = None,
    params: Any = None,
    updates: Any = None,
    opt_state: Any = None,
    groups: Groups = None,
    every: int = 200,
) -> Statistics:
    """Return norms and learning rates where `step % every == 0`, else NaN.

    The structure is the same in every step, so the step compiles once. In the steps
    between nothing is computed and all values are NaN; `health/collected` says which
    case it is. The trees must still exist as arrays in every step: updates would
    otherwise live only inside the loop that adds them, and keeping them can cost a few
    passes over the parameters, which matters if a batch has few tokens. Leave
    `updates` out in that case.

    Args:
      step: Number of optimizer updates completed, a traced integer.
      grads: Gradients.
      params: Parameters, preferably those after the update: the old ones would be
        copied if the step donates them.
      updates: Updates that the optimizer adds to the parameters.
      opt_state: Optimizer state after the update, for `learning_rates`.
      groups: Groups of arrays, as in `norms`.
      every: Number of steps from one collection to the next.

    Returns:
      The values of `norms` and `learning_rates`, and `health/collected`, a bool.

    Raises:
      ValueError: No tree is passed, `every` is below 1, or as in `norms`.

    Example:
      >>> stats = collect(200, grads={"w": jnp.ones(4)}, groups={})
      >>> {key: x.item() for key, x in stats.items()}
      {'health/collected': True, 'grad/norm': 2.0, 'grad/rms': 1.0}
    """
    require_positive_period("collect()", every)

    def measure() -> Statistics:
        trees = any(tree is not None for tree in (grads, params, updates))
        statistics = norms(grads, updates, params, groups) if trees else {}
        return statistics | learning_rates(opt_state)

    if all(x is None for x in (grads, params, updates, opt_state)):
        raise ValueError(
            "collect() got nothing to measure; expected at least one of grads, params, "
            "updates and opt_state. Pass one by name."
        )
    collected = jnp.asarray(step) % every == 0
    absent = nan_like(measure)
    return {"health/collected": collected} | lax.cond(
        collected, measure, lambda: absent
    )


def nan_like(measure: Callable[[], Statistics]) -> Statistics:
    """Return NaN in the structure, shapes and dtypes of a function's result."""
    shapes = jax.eval_shape(measure)
    return jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), shapes)


def require_positive_period(call: str, every: int) -> None:
    """Refuse a period below 1 step.

    Raises:
      ValueError: The period is below 1; the error names `call`.
    """
    if every < 1:
        raise ValueError(
            f"{call} got every={every}; expected a positive number of steps. Use 1 to "
            "collect in each step."
        )
