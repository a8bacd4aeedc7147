"""Learning rates that an optimizer used.

An optimizer's state holds three kinds of numbers that tell a learning rate, each valid
for the parameters that pass its transformation, the branch:

- A rate, such as the injected `learning_rate`: all rates of a state are returned.
- A step size, such as the one that a line search found: it multiplies the rates, and
  is a rate itself where there is no other, since optax then recommends 1 for it.
- A factor, such as the one of `reduce_on_plateau`: it multiplies the rates, and says
  nothing about them where they are unknown.

In `chain(inject_hyperparams(sgd)(0.1), reduce_on_plateau())` the rate is 0.1 times the
factor, in `chain(sgd(0.1), reduce_on_plateau())` only the factor is known.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmetrics.telemetry._optimizer_state import Part, Path, parts_of, unwrap_variable

Schedule = Callable[[Any], Any]

_RATES = ("learning_rate", "lr")
"""Hyperparameters that are learning rates."""

_STEP_SIZES = {
    "ScaleByBacktrackingLinesearchState": "learning_rate",
    "ScaleByZoomLinesearchState": "learning_rate",
    "ProdigyState": "estim_lr",
    "DAdaptAdamWState": "estim_lr",
}
"""Fields of states that are step sizes."""

_FACTORS = {"ReduceLROnPlateauState": "scale", "MechanicState": "s"}
"""Fields of states that are factors."""

_COUNTED = (
    "ScaleByScheduleState",
    "MadgradState",
    "MomoState",
    "MomoAdamState",
    "ProdigyState",
    "DAdaptAdamWState",
)
"""States with the `count` at which a schedule of the learning rate is evaluated."""


class _Value(NamedTuple):
    label: str
    branch: Path
    value: Any


def learning_rates(
    opt_state: Any,
    schedule: Schedule | float | Mapping[str, Schedule | float] | None = None,
) -> dict[str, jax.Array]:
    """Return the learning rates of the last update, float32; {} if unknown.

    They are the `learning_rate` or `lr` of `optax.inject_hyperparams`, anywhere in the
    state, times what scales the same updates: `optax.contrib.reduce_on_plateau`, a line
    search, `mechanize`, the estimate of `prodigy` or `dadapt_adamw` (after the update),
    and the injected `step_size` of `optax.scale`. For `schedule_free` it is the largest
    rate so far, which its schedules keep after the warmup.

    Keys are `lr/lr`, and `lr/<label>` under the labels of `optax.multi_transform` or
    `named_chain`. Repeated keys are numbered, `lr/lr_1`. If the state does not hold the
    rate that is scaled, the scale alone is returned as `lr/scale`.

    Step sizes that are not in the state are not known: those of `dog`, `momo`, `rprop`
    or `polyak_sgd`, and what normalizes updates, as in `adam` or `lars`.

    Args:
      opt_state: Optimizer state after the update.
      schedule: Schedule or constant of an optimizer without injected hyperparameters,
        or schedules and constants by label. Schedules are evaluated at the step counts
        in the state.

    Raises:
      ValueError: A schedule is passed, and the state has no step count for it.

    Example:
      >>> import optax
      >>> tx = optax.inject_hyperparams(optax.adam)(learning_rate=0.5)
      >>> {key: float(x) for key, x in learning_rates(tx.init(jnp.ones(2))).items()}
      {'lr/lr': 0.5}
    """
    # The other optimizer of SAM computes points to evaluate, not updates.
    parts = [part for part in parts_of(opt_state) if "adv_state" not in part.path]
    values = list(_injected(parts, _RATES)) + list(_scheduled(parts, schedule))
    sizes = list(_fields(parts, _STEP_SIZES))
    for size in _injected(parts, ("step_size",)):  # negative in optax.scale
        sizes.append(size._replace(value=jnp.abs(size.value)))
    for rate in _fields(parts, {"ScheduleFreeState": "max_lr"}):
        if not _related(rate, values + sizes):
            values.append(rate)
    for size in sizes:
        if not _related(size, values):
            values.append(size._replace(value=1.0))
    scales = sizes + list(_fields(parts, _FACTORS))
    rates: dict[str, jax.Array] = {}
    for value in values + list(_inherited(values, scales)):
        _add(rates, f"lr/{value.label or 'lr'}", value, scales)
    for scale in scales:
        if not _related(scale, values):
            key = f"lr/{scale.label}/scale" if scale.label else "lr/scale"
            _add(rates, key, scale, [])
    return rates


def _injected(parts: list[Part], names: tuple[str, ...]) -> Iterator[_Value]:
    for state, label, _, branch in parts:
        if hasattr(state, "hyperparams") and hasattr(state, "inner_state"):
            for name in names:
                if name in state.hyperparams:
                    value = unwrap_variable(state.hyperparams[name])
                    yield _Value(label, branch, value)


def _fields(parts: list[Part], fields: Mapping[str, str]) -> Iterator[_Value]:
    for state, label, _, branch in parts:
        if name := fields.get(type(state).__name__):
            value = unwrap_variable(getattr(state, name))
            if name == "s":  # of mechanize: one scale for each of its averages
                value = jnp.sum(value, axis=-1)
            yield _Value(label, branch, value)


def _scheduled(
    parts: list[Part],
    schedule: Schedule | float | Mapping[str, Schedule | float] | None,
) -> Iterator[_Value]:
    if schedule is None:
        return
    if not callable(schedule) and not isinstance(schedule, Mapping):
        yield _Value("", (), schedule)
        return
    counted = [part for part in parts if type(part.state).__name__ in _COUNTED]
    first = {part.label: part for part in reversed(counted)}
    if not isinstance(schedule, Mapping):
        schedule = dict.fromkeys(first, schedule)
    # A mask has the branch around it, its state that of the mask.
    unmasked = [part for part in parts if type(part.state).__name__ != "MaskedState"]
    places = {part.label: part for part in reversed(unmasked)}
    known = {
        label: label in (first if callable(rate) else places)
        for label, rate in schedule.items()
    }
    if not known or not all(known.values()):
        raise ValueError(
            f"learning_rates() got schedules for {sorted(schedule)}; the state has "
            f"step counts for {sorted(first)}. Pass the state of an optimizer that "
            "follows this schedule, with the labels of multi_transform, or a number "
            "for a constant rate."
        )
    for label, label_schedule in schedule.items():
        if not callable(label_schedule):
            yield _Value(label, places[label].branch, label_schedule)
            continue
        state, _, _, branch = first[label]
        # The count was incremented after the update used it.
        count = jnp.maximum(unwrap_variable(state.count) - 1, 0)
        yield _Value(label, branch, label_schedule(count))


def _inherited(values: list[_Value], scales: list[_Value]) -> Iterator[_Value]:
    """Yield the rates of branches that only have scales, from the branches around."""
    branches = {scale.branch: scale.label for scale in scales}
    for branch, label in branches.items():
        if not any(_encloses(branch, value.branch) for value in values):
            for value in values:
                if _encloses(value.branch, branch):
                    yield _Value(label, branch, value.value)


def _related(value: _Value, others: list[_Value]) -> bool:
    """Return whether a value and one of the others are about the same updates."""
    return any(
        _encloses(value.branch, other.branch) or _encloses(other.branch, value.branch)
        for other in others
    )


def _encloses(outer: Path, inner: Path) -> bool:
    return inner[: len(outer)] == outer


def _add(
    rates: dict[str, jax.Array], first: str, rate: _Value, scales: list[_Value]
) -> None:
    key, number = first, 0
    while key in rates:
        number += 1
        key = f"{first}_{number}"
    acting = [s.value for s in scales if _encloses(s.branch, rate.branch)]
    factors = (jnp.asarray(x, jnp.float32) for x in (rate.value, *acting))
    rates[key] = functools.reduce(operator.mul, factors)
