"""Divergences of predicted distributions from target distributions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    both,
    count_leaf,
    count_where,
    scores_field,
)

_TOLERANCE = 0.01  # of a sum of probabilities, which bfloat16 rounds


class _Divergence(MeanMetric):
    """Base of the divergences: the mean over rows, in nats.

    A subclass returns the divergence of each row from `_value`.
    """

    scores: str = scores_field("logits", "probs", default="logits")
    invalid: Array = count_leaf()

    def observe(
        self, *, logits: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed divergences and number of rows."""
        log_p, log_t, valid = _log_distributions(self, logits, targets)
        counted = both(valid, mask)
        # Rounding may leave a sum of equal distributions just below 0.
        divergence = jnp.maximum(self._value(log_p, log_t), 0)
        return dict(
            **self.mean_leaves(divergence, counted, weights),
            invalid=count_where(~valid, mask),
        )

    def _value(self, log_p: Any, log_t: Any) -> Any:
        """Return the divergence of each row from log-probabilities."""
        raise NotImplementedError(f"{type(self).__name__} defines no divergence")


class KLDivergence(_Divergence):
    """Kullback-Leibler divergence of the predictions from the targets, in nats.

    The mean over rows of `sum(t * log(t / p))`, where `t` are the target probabilities
    and `p` the predicted ones: `KL(targets || predictions)`, at least 0, lower is
    better; as `scipy.stats.entropy(t, p)`, `torch.nn.functional.kl_div` and Keras, and
    torchmetrics' `KLDivergence(t, p)`. For the other direction exchange the outputs:
    `.on(logits="targets", targets="logits")`. It is inf where a target is possible
    that the prediction excludes; nan without data.

    Reads the scores and `targets`, both logits or both probabilities, `[..., classes]`.
    Probabilities must sum to 1 within 0.01, and are then divided by their sum. Rows
    that do not, rows with a NaN or a negative probability, and rows of logits with a
    NaN, +inf or only -inf are left out and counted in `invalid`.

    Args:
      scores: "logits" (the default) or "probs"; what both outputs are, and the name of
        the predicted one.
      weighted: Require `weights` and weight each row by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.KLDivergence(scores="probs")
      >>> value = jm.evaluate(metric, probs=[[0.5, 0.5]], targets=[[1.0, 0.0]])
      >>> round(float(value), 4)
      0.6931
    """

    higher_is_better: ClassVar[Direction] = False

    def _value(self, log_p: Any, log_t: Any) -> Any:
        return _relative_entropy(log_t, log_p)


class JensenShannonDivergence(_Divergence):
    """Jensen-Shannon divergence of predictions and targets, in nats.

    The mean over rows of `(KL(t || m) + KL(p || m)) / 2` with `m = (t + p) / 2`: the
    square of SciPy's `jensenshannon`. Symmetric, in [0, log(2)], lower is better; nan
    without data.

    Reads the scores and `targets`, both logits or both probabilities, `[..., classes]`;
    which rows are invalid is as in `KLDivergence`.

    Args:
      scores: "logits" (the default) or "probs"; what both outputs are, and the name of
        the predicted one.
      weighted: Require `weights` and weight each row by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.JensenShannonDivergence(scores="probs")
      >>> value = jm.evaluate(metric, probs=[[0.0, 1.0]], targets=[[1.0, 0.0]])
      >>> round(float(value), 4)
      0.6931
    """

    higher_is_better: ClassVar[Direction] = False

    def _value(self, log_p: Any, log_t: Any) -> Any:
        log_m = jnp.logaddexp(log_p, log_t) - jnp.float32(math.log(2))
        divergence = _relative_entropy(log_t, log_m) + _relative_entropy(log_p, log_m)
        return divergence / 2


def _relative_entropy(log_t: Any, log_p: Any) -> Any:
    """Return `sum(t log(t / p) - t + p)` over classes, which rounds less.

    The sums of t and p are 1, so that each summand is at least 0.
    """
    possible = ~jnp.isneginf(log_t)
    difference = jnp.where(possible, log_t, 0) - jnp.where(possible, log_p, 0)
    t, p = jnp.exp(log_t), jnp.exp(log_p)
    near = jnp.abs(difference) < 1
    excess = t * jnp.expm1(-jnp.where(near, difference, 0))  # p - t
    terms = t * difference + jnp.where(near, excess, p - t)
    # Of a target that is possible but so small that t is 0, the product would be nan.
    terms = jnp.where(jnp.isneginf(log_p), jnp.inf, terms)
    return jnp.where(possible, terms, p).sum(axis=-1)


def _log_distributions(metric: Any, scores: Any, targets: Any) -> tuple[Any, Any, Any]:
    """Return logarithms of both distributions, 0-filled where a row is invalid.

    Returns:
      log_p: Logarithms of the predicted probabilities.
      log_t: Logarithms of the target probabilities.
      valid: Bool, of each row.
    """
    name = type(metric).__name__
    scores, targets = jnp.asarray(scores), jnp.asarray(targets)
    if scores.shape != targets.shape or not scores.ndim or scores.shape[-1] < 2:
        raise ValueError(
            f"{name}: {metric.scores} have shape {scores.shape} and targets "
            f"{targets.shape}, but both need the shape [..., classes] with at least 2 "
            "classes. Pass the target distribution, not its class."
        )
    logs, valid = [], jnp.ones(scores.shape[:-1], bool)
    for x in (scores, targets):
        x = x.astype(jnp.float32)
        if metric.scores == "probs":
            size = x.sum(axis=-1)
            own = (x >= 0).all(axis=-1) & (jnp.abs(size - 1) <= _TOLERANCE)
            log = jnp.log(x) - jnp.log(size)[..., None]
        else:
            largest = x.max(axis=-1)
            own = ~jnp.isnan(x).any(axis=-1) & jnp.isfinite(largest)
            log = jax.nn.log_softmax(jnp.where(own[..., None], x, 0), axis=-1)
        logs.append(log)
        valid = valid & own
    log_p, log_t = (jnp.where(valid[..., None], log, 0) for log in logs)
    return log_p, log_t, valid
