"""The learning rates that an optimizer used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.telemetry._optimizer_state import found, plain

Schedule = Callable[[Any], Any]


def learning_rates(
    opt_state: Any, schedule: Schedule | Mapping[str, Schedule] | None = None
) -> dict[str, jax.Array]:
    """The learning rate of the last update, float32 scalars by key; {} if unknown.

    Read from what `optax.inject_hyperparams` keeps as `learning_rate`, wherever it
    is: `lr/lr`, and under the labels of `optax.multi_transform` or `named_chain`
    `lr/<label>`. More than one of a key are numbered, `lr/lr_1`.

    Args:
      opt_state: The optimizer's state after the update.
      schedule: What the optimizer follows if it has no injected hyperparameters: a
        schedule, or one by label. Its place is taken from the counts in the state.

    Raises:
      ValueError: A schedule is given, and the state has no count of its own for it.

    Example:
      >>> import optax
      >>> tx = optax.inject_hyperparams(optax.adam)(learning_rate=0.5)
      >>> {key: float(x) for key, x in learning_rates(tx.init(jnp.ones(2))).items()}
      {'lr/lr': 0.5}
    """
    rates: dict[str, jax.Array] = {}
    for label, state in found(opt_state, _is_injected):
        _add(rates, label, state.hyperparams["learning_rate"])
    if schedule is None:
        return rates
    counts = dict(reversed(list(found(opt_state, _is_scheduled))))
    named = (
        schedule if isinstance(schedule, Mapping) else dict.fromkeys(counts, schedule)
    )
    if not named or not named.keys() <= counts.keys():
        raise ValueError(
            f"learning_rates() got schedules of {sorted(named)}; the state counts the "
            f"steps of schedules of {sorted(counts)}. Pass the state of an optimizer "
            "made with this schedule, and name the labels of multi_transform."
        )
    for label, its in named.items():
        # The count has gone on since it was used.
        _add(rates, label, its(jnp.maximum(plain(counts[label].count) - 1, 0)))
    return rates


def _add(rates: dict[str, jax.Array], label: str, rate: Any) -> None:
    key = first = f"lr/{label or 'lr'}"
    number = 0
    while key in rates:
        number += 1
        key = f"{first}_{number}"
    rates[key] = jnp.asarray(plain(rate), jnp.float32)


def _is_injected(state: Any) -> bool:
    return "learning_rate" in (getattr(state, "hyperparams", None) or ())


def _is_scheduled(state: Any) -> bool:
    import optax

    return isinstance(state, optax.ScaleByScheduleState)
