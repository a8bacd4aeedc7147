"""Ratio of predictions and labels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    count_leaf,
    count_where,
    divide,
    not_ignored,
    scores_field,
    sum_leaf,
    total,
    valid_binary,
)


class CalibrationRatio(Metric):
    """Sum of the predicted probabilities of label 1 divided by the number of them.

    1 is calibrated on average, above 1 predicts too many (predicted over observed
    clicks); at least 0, nan without positive labels. As torcheval's
    `WeightedCalibration`. Labels other than 0 and 1, NaN and `probs` outside [0, 1] are
    counted in `invalid` and never scored.

    Args:
      scores: Output that holds the scores, "logits" (the default) or "probs"; both
        `[...]` as the `labels`.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.CalibrationRatio(scores="probs")
      >>> value = jm.evaluate(metric, probs=[0.75, 0.5, 0.25], labels=[1, 0, 0])
      >>> float(value)
      1.5
    """

    scores: str = scores_field("logits", "probs", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    predicted: Array = sum_leaf()
    positives: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's sum of probabilities, positive and invalid labels."""
        scores, labels = jnp.asarray(logits).astype(jnp.float32), jnp.asarray(labels)
        probs = jax.nn.sigmoid(scores) if self.scores == "logits" else scores
        valid = valid_binary(scores, labels) & (probs >= 0) & (probs <= 1)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            predicted=total(probs, scored, weights),
            positives=count_where(labels.astype(jnp.int32) == 1, scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the ratio."""
        return divide(self.predicted, self.positives)
