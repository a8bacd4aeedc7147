"""Learning rates that an optimizer used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics._lazy import optional
from jaxmetrics.telemetry._optimizer_state import find_states, unwrap_variable

Schedule = Callable[[Any], Any]


def learning_rates(
    opt_state: Any, schedule: Schedule | Mapping[str, Schedule] | None = None
) -> dict[str, jax.Array]:
    """Return the learning rates of the last update, float32; {} if unknown.

    They are the `learning_rate` of `optax.inject_hyperparams`, anywhere in the state:
    `lr/lr`, and `lr/<label>` under the labels of `optax.multi_transform` or
    `named_chain`. Repeated keys are numbered, `lr/lr_1`.

    Args:
      opt_state: Optimizer state after the update.
      schedule: Schedule of an optimizer without injected hyperparameters, or schedules
        by label; evaluated at the step counts in the state.

    Raises:
      ImportError: A schedule is passed and optax is not installed.
      ValueError: A schedule is passed, and the state has no step count for it.

    Example:
      >>> import optax
      >>> tx = optax.inject_hyperparams(optax.adam)(learning_rate=0.5)
      >>> {key: float(x) for key, x in learning_rates(tx.init(jnp.ones(2))).items()}
      {'lr/lr': 0.5}
    """
    rates: dict[str, jax.Array] = {}
    for label, state in find_states(opt_state, _is_injected):
        _add(rates, label, state.hyperparams["learning_rate"])
    if schedule is None:
        return rates
    with optional("learning_rates(schedule=)", "optax"):
        import optax

    def is_scheduled(state: Any) -> bool:
        return isinstance(state, optax.ScaleByScheduleState)

    counts = dict(reversed(list(find_states(opt_state, is_scheduled))))
    schedules = (
        schedule if isinstance(schedule, Mapping) else dict.fromkeys(counts, schedule)
    )
    if not schedules or not schedules.keys() <= counts.keys():
        raise ValueError(
            f"learning_rates() got schedules for {sorted(schedules)}; the state has "
            f"step counts for {sorted(counts)}. Pass the state of an optimizer that "
            "follows this schedule, with the labels of multi_transform."
        )
    for label, label_schedule in schedules.items():
        # The count was incremented after the update used it.
        count = jnp.maximum(unwrap_variable(counts[label].count) - 1, 0)
        _add(rates, label, label_schedule(count))
    return rates


def _add(rates: dict[str, jax.Array], label: str, rate: Any) -> None:
    key = first = f"lr/{label or 'lr'}"
    number = 0
    while key in rates:
        number += 1
        key = f"{first}_{number}"
    rates[key] = jnp.asarray(unwrap_variable(rate), jnp.float32)


def _is_injected(state: Any) -> bool:
    return "learning_rate" in (getattr(state, "hyperparams", None) or ())
