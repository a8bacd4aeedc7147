"""Divergence from a reference model."""

from __future__ import annotations

from typing import Any

from jaxmetrics.core import (
    Array,
    MeanMetric,
    as_scores,
    both,
    count_leaf,
    count_where,
    kl_divergence,
)


class KLToReference(MeanMetric, narrow=("logits", "reference_logits")):
    """Mean KL divergence of the predictions from those of a reference, in nats.

    `KL(p || q) = sum(p (log p - log q))` over the vocabulary, with p the softmax of
    `logits` and q that of `reference_logits`, meaned over tokens; at least 0, and 0 if
    both models predict the same. Summed in the form `p (exp(-d) - 1 + d)`, with
    d = log p - log q, whose terms are not negative: a divergence far below the rounding
    of the logits' own terms keeps its digits. nan without data. For
    log-probabilities of sampled tokens alone, see `PolicyKL`.

    Reads `logits` and `reference_logits`, both `[..., vocabulary]`. A logit of -inf
    masks its token out; the divergence is inf where the reference masks out a token
    that the model does not. Rows without a largest logit in either (see
    `jaxmetrics.metrics`) are counted in `invalid`, never scored.

    Args:
      reverse: Measure `KL(q || p)`, of the reference from the model, as in the
        distillation of a teacher. Default False.
      weighted: Require `weights` and weight each row of logits by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm, numpy as np
      >>> logits, reference = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
      >>> metric = jm.KLToReference()
      >>> value = jm.evaluate(metric, logits=logits, reference_logits=reference)
      >>> round(float(value), 4)
      0.1438
    """

    reverse: bool = False
    invalid: Array = count_leaf()

    def observe(
        self,
        *,
        logits: Any,
        reference_logits: Any,
        mask: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's summed divergences, scored rows and invalid rows."""
        logits, reference = as_scores(logits), as_scores(reference_logits)
        if logits.shape != reference.shape or not logits.ndim:
            raise ValueError(
                f"KLToReference: logits have shape {logits.shape} and reference_logits "
                f"{reference.shape}; both must be [..., vocabulary]. Cut both to the "
                "same tokens and the same vocabulary."
            )
        pair = (reference, logits) if self.reverse else (logits, reference)
        nats, valid = kl_divergence(*pair)
        scored = both(valid, mask)
        return dict(
            **self.mean_leaves(nats, scored, weights),
            invalid=count_where(~valid, mask),
        )
