"""All statistics of a step, computed in some steps only."""

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
    """The norms of a step and its learning rates, where `step % every` is 0.

    The structure is the same in every step, so the step compiles once. In the others
    nothing is computed, and all values are nan; `health/collected` tells which it is.
    But what is handed on has to be there as arrays in each step: updates would
    otherwise live only inside the loop that adds them, and keeping them may cost a few
    passes over the parameters, which count where a batch has few tokens. Leave them
    out there.

    Args:
      step: Optimizer updates completed, a traced integer.
      grads: Gradients.
      params: Parameters, best those after the update: the old ones would be copied
        if the step donates them.
      updates: What the optimizer adds to the parameters.
      opt_state: The optimizer's state after the update, for `learning_rates`.
      groups: As in `norms`.
      every: How many steps lie between two collections.

    Returns:
      What `norms` and `learning_rates` give, and `health/collected`, a bool.

    Raises:
      ValueError: Nothing is given, or as in `norms`.

    Example:
      >>> stats = collect(200, grads={"w": jnp.ones(4)}, groups={})
      >>> {key: x.item() for key, x in stats.items()}
      {'health/collected': True, 'grad/norm': 2.0, 'grad/rms': 1.0}
    """
    check_every("collect()", every)

    def measure() -> Statistics:
        trees = any(tree is not None for tree in (grads, params, updates))
        found = norms(grads, updates, params, groups) if trees else {}
        return found | learning_rates(opt_state)

    if all(x is None for x in (grads, params, updates, opt_state)):
        raise ValueError(
            "collect() got nothing to measure; expected at least one of grads, params, "
            "updates and opt_state. Pass one by its name."
        )
    on = jnp.asarray(step) % every == 0
    nothing = unknown(measure)
    return {"health/collected": on} | lax.cond(on, measure, lambda: nothing)


def unknown(measure: Callable[[], Statistics]) -> Statistics:
    """What a function returns, with every value nan."""
    shapes = jax.eval_shape(measure)
    return jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), shapes)


def check_every(where: str, every: int) -> None:
    """Refuse a cadence below 1.

    Raises:
      ValueError: Names the call.
    """
    if every < 1:
        raise ValueError(
            f"{where} got every={every}; expected a number of steps from 1. Use 1 to "
            "collect in each step."
        )
