"""Rewards of chosen and rejected answers."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    Metric,
    both,
    check_stderr_of_counts,
    count_leaf,
    count_where,
    difference,
    divide,
    is_less,
    namespace,
    standard_error,
)
from jaxmetrics.metrics.reinforcement._pairs import paired


class RewardMargin(MeanMetric):
    """Mean of `chosen - rejected`, the rewards of two answers; higher is better.

    In the unit of the rewards; nan without data, and NaN if a reward is. For DPO the
    rewards are the implicit ones, `beta * (log_prob - reference_log_prob)` of an answer
    (Rafailov et al. 2023, Direct Preference Optimization). How often the margin is
    above 0 is `WinRate`.

    Reads `chosen` and `rejected`, float arrays of one shape, such as `[batch]`.

    Args:
      weighted: Require `weights` and weight each pair by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.RewardMargin()
      >>> float(jm.evaluate(metric, chosen=[2.0, 1.0], rejected=[1.0, 0.5]))
      0.75
    """

    higher_is_better: ClassVar[Direction] = True

    def observe(
        self, *, chosen: Any, rejected: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed margins and number of pairs."""
        a, b = paired("RewardMargin", ("chosen", chosen), ("rejected", rejected))
        return self.mean_leaves(difference(a, b), mask, weights)


class WinRate(Metric):
    """Fraction of pairs in which the chosen answer scores higher; ties count half.

    In [0, 1], higher is better, 0.5 for a model that cannot tell them apart; nan
    without data. The pairwise accuracy of a reward model, or the win rate of one model
    against another. Libraries that count `chosen > rejected` only (TRL's
    `rewards/accuracies`) give a model with constant scores 0.

    Reads `chosen` and `rejected`, float arrays of one shape, such as `[batch]`. Pairs
    with NaN are counted in `invalid`, never scored.

    Args:
      weighted: Require `weights` and weight each pair by them.
      stderr: Compute fraction and standard error, as `Mean(stderr=True)`; not with
        weights. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.WinRate()
      >>> float(jm.evaluate(metric, chosen=[2.0, 1.0], rejected=[1.0, 1.0]))
      0.75
    """

    higher_is_better: ClassVar[Direction] = True

    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    wins: Array = count_leaf(weighted="weighted")
    ties: Array = count_leaf(weighted="weighted")
    total: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a standard error with weights."""
        check_stderr_of_counts(self)

    def observe(
        self, *, chosen: Any, rejected: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's wins, ties, scored and invalid pairs."""
        a, b = paired("WinRate", ("chosen", chosen), ("rejected", rejected))
        valid = ~(jnp.isnan(a) | jnp.isnan(b))
        scored = both(valid, mask)
        return dict(
            wins=count_where(is_less(b, a), scored, weights),
            ties=count_where(~is_less(a, b) & ~is_less(b, a), scored, weights),
            total=count_where(jnp.ones_like(valid), scored, weights),
            invalid=count_where(~valid, mask),
        )

    def compute(self) -> Any:
        """Return the fraction of pairs."""
        ties = divide(self.ties, self.total)
        rate = divide(self.wins, self.total) + ties / 2
        if not self.stderr:
            return rate
        # The values are 1, 1/2 and 0: their squares have the mean rate - ties / 4.
        variance = namespace(self).maximum(rate * (1 - rate) - ties / 4, 0)
        return dict(mean=rate, stderr=standard_error(variance, self.total))
