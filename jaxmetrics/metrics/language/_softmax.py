"""Quantities of the softmax that no label takes part in."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    MeanMetric,
    as_scores,
    both,
    count_leaf,
    count_where,
    softmax_terms,
)


class _SoftmaxMean(MeanMetric, narrow=("logits",)):
    """Base of means over rows of logits; a subclass returns the values of the rows."""

    invalid: Array = count_leaf()

    def observe(
        self, *, logits: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed values, scored rows and invalid rows."""
        logits = as_scores(logits)
        if not logits.ndim:
            name = type(self).__name__
            raise ValueError(
                f"{name}: logits are a scalar, but their last axis must be the "
                "vocabulary. Pass the outputs of the last layer."
            )
        labels = jnp.zeros_like(logits[..., 0], dtype=jnp.int32)
        terms = softmax_terms(logits, labels)
        scored = both(terms.valid, mask)
        return dict(
            **self.mean_leaves(self._values(terms), scored, weights),
            invalid=count_where(~terms.valid, mask),
        )

    def _values(self, terms: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no value of a row")


class PredictiveEntropy(_SoftmaxMean):
    """Mean entropy of the predicted distributions, in nats; nan without data.

    `-sum(p log p)` with `p = softmax(logits)`, from 0 (all the probability on one
    token) to the logarithm of the vocabulary (uniform). It says how certain the model
    is, not whether it is right. Of the logits of a router it is the router's entropy:
    `PredictiveEntropy().on(logits="router_logits")`.

    Reads `logits` `[..., vocabulary]`. A logit of -inf masks its token out. Rows
    without a largest logit (see `jaxmetrics.metrics`) are counted in `invalid`, never
    scored. There are no labels: leave padding out with `mask`.

    Args:
      weighted: Require `weights` and weight each row of logits by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> entropy = jm.evaluate(jm.PredictiveEntropy(), logits=[[0.0, 0.0]])
      >>> round(float(entropy), 4)
      0.6931
    """

    def _values(self, terms: Any) -> Any:
        return terms.entropy


class ZLoss(_SoftmaxMean):
    """Mean squared logarithm of the softmax normalizer; at least 0, nan without data.

    `mean(logsumexp(logits)**2)`, without a coefficient: the auxiliary loss of PaLM
    (Chowdhery et al. 2022, section 5) is 1e-4 times it, see `z_loss` of
    `jm.losses.cross_entropy_with_entropy_loss`. Where it grows the logits drift away
    from 0, which costs digits in bfloat16.

    Reads `logits` `[..., vocabulary]`. A logit of -inf masks its token out. Rows
    without a largest logit (see `jaxmetrics.metrics`) are counted in `invalid`, never
    scored. There are no labels: leave padding out with `mask`.

    Args:
      weighted: Require `weights` and weight each row of logits by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> round(float(jm.evaluate(jm.ZLoss(), logits=[[0.0, 0.0]])), 4)
      0.4805
    """

    def _values(self, terms: Any) -> Any:
        return terms.log_normalizer * terms.log_normalizer
