"""Divergence between two policies, and the clip fraction of PPO."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    MeanMetric,
    Metric,
    both,
    check_choice,
    check_stderr_of_counts,
    count_leaf,
    count_where,
    difference,
    fraction_of,
)
from jaxmetrics.metrics.reinforcement._pairs import paired

_ESTIMATORS = ("k1", "k2", "k3")


class PolicyKL(MeanMetric):
    """Divergence of a policy from its reference, from sampled actions, in nats.

    Estimates `KL(policy || reference)` from actions (tokens) sampled from the policy;
    0 if both agree, nan without data. With d = log_probs - reference_log_probs of the
    sampled action the estimators are those of Schulman 2020 (Approximating KL
    Divergence), which for d take r = exp(-d):

    - "k1": the mean of d. Unbiased, of high variance, may be negative.
    - "k2": the mean of d**2 / 2. Biased, of low variance.
    - "k3": the mean of exp(-d) - 1 + d. Unbiased, never negative; the estimator of
      GRPO. inf where exp overflows.

    For the exact divergence over a vocabulary, see `KLToReference`.

    Reads `log_probs` and `reference_log_probs`, float arrays of one shape, such as
    `[batch, tokens]`. Entries that are not finite in either are counted in `invalid`,
    never scored: a sampled action has a probability.

    Args:
      estimator: "k1", "k2" or "k3" (the default).
      weighted: Require `weights` and weight each entry by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric, own, reference = jm.PolicyKL(), [-1.0, -2.0], [-1.0, -1.0]
      >>> kl = jm.evaluate(metric, log_probs=own, reference_log_probs=reference)
      >>> round(float(kl), 4)
      0.3591
    """

    estimator: str = "k3"
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse unknown estimators."""
        check_choice("PolicyKL", "estimator", self.estimator, _ESTIMATORS)

    def observe(
        self,
        *,
        log_probs: Any,
        reference_log_probs: Any,
        mask: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's summed estimates, scored and invalid entries."""
        own, reference = paired(
            "PolicyKL",
            ("log_probs", log_probs),
            ("reference_log_probs", reference_log_probs),
        )
        valid = jnp.isfinite(own) & jnp.isfinite(reference)
        scored, d = both(valid, mask), difference(own, reference)
        return dict(
            **self.mean_leaves(self._estimate(d), scored, weights),
            invalid=count_where(~valid, mask),
        )

    def _estimate(self, d: Any) -> Any:
        if self.estimator == "k1":
            return d
        return d * d / 2 if self.estimator == "k2" else _excess(d)


class ClipFraction(Metric):
    """Fraction of actions whose probability ratio is outside the clipping range of PPO.

    The ratio is exp(log_probs - old_log_probs), and the range
    [1 - epsilon, 1 + epsilon_high] (Schulman et al. 2017, Proximal Policy Optimization
    Algorithms). In [0, 1]; 0 before the first step of an update, nan without data. As
    in OpenAI Baselines and Stable-Baselines3 every ratio outside counts, also where the
    sign of the advantage makes the unclipped term the smaller one.

    Reads `log_probs` and `old_log_probs`, float arrays of one shape, such as
    `[batch, tokens]`. Entries that are not finite in either are counted in `invalid`,
    never scored.

    Args:
      epsilon: Half width of the range. Default 0.2.
      epsilon_high: Width above 1, if it differs from the one below (DAPO's
        clip-higher). Default epsilon.
      weighted: Require `weights` and weight each entry by them.
      stderr: Compute fraction and standard error, as `Mean(stderr=True)`; not with
        weights. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> new, old = [-1.0, -1.0, -1.0], [-1.0, -1.1, -1.5]
      >>> value = jm.evaluate(jm.ClipFraction(), log_probs=new, old_log_probs=old)
      >>> round(float(value), 4)
      0.3333
    """

    epsilon: float = 0.2
    epsilon_high: float | None = None
    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    clipped: Array = count_leaf(weighted="weighted")
    total: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse widths that are not above 0."""
        high = self.epsilon if self.epsilon_high is None else self.epsilon_high
        if not (0 < self.epsilon < 1 and high > 0):
            raise ValueError(
                f"ClipFraction: epsilon is {self.epsilon} and epsilon_high "
                f"{self.epsilon_high}; epsilon must be between 0 and 1, epsilon_high "
                "above 0. PPO uses 0.2."
            )
        check_stderr_of_counts(self)

    def observe(
        self,
        *,
        log_probs: Any,
        old_log_probs: Any,
        mask: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's clipped, scored and invalid entries."""
        new, old = paired(
            "ClipFraction", ("log_probs", log_probs), ("old_log_probs", old_log_probs)
        )
        high = self.epsilon if self.epsilon_high is None else self.epsilon_high
        change = jnp.expm1(difference(new, old))
        valid = jnp.isfinite(new) & jnp.isfinite(old)
        scored = both(valid, mask)
        clipped = (change < -self.epsilon) | (change > high)
        return dict(
            clipped=count_where(clipped, scored, weights),
            total=count_where(jnp.ones_like(valid), scored, weights),
            invalid=count_where(~valid, mask),
        )

    def compute(self) -> Any:
        """Return the fraction of entries."""
        return fraction_of(self.clipped, self.total, self.stderr)


def _excess(d: Any) -> Any:
    """Return `exp(-d) - 1 + d`; by its series where the terms would cancel."""
    small = jnp.abs(d) < 0.125
    x = jnp.where(small, d, 0)
    series = 1 + x * (-1 / 3 + x * (1 / 12 + x * (-1 / 60 + x / 360)))
    return jnp.where(small, 0.5 * x * x * series, jnp.expm1(-d) + d)
