"""Rankings of the labels of a row by their scores, in the multilabel task."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    both,
    count_leaf,
    count_where,
    mask_like,
    not_ignored,
    scores_field,
    valid_binary,
)


class LabelRanking(MeanMetric):
    """Base of the means over rows of a value of the ranking of their labels.

    A subclass returns the value of each row from `_of_rows`.
    """

    scores: str = scores_field("logits", "probs", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    invalid: Array = count_leaf()

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the sum of the rows' values, scored rows and invalid rows."""
        scores, labels = jnp.asarray(logits).astype(jnp.float32), jnp.asarray(labels)
        valid = valid_binary(scores, labels, self.scores)
        if not labels.ndim:
            raise ValueError(
                "labels are a scalar, expected an axis of labels to be ranked. Pass "
                "labels [..., classes]."
            )
        kept = both(not_ignored(labels, self.ignore_index), mask)
        kept = mask_like(labels, kept)
        counted = kept.any(axis=-1)
        scored = counted & (valid | ~kept).all(axis=-1)
        relevant = (labels.astype(jnp.int32) == 1) & kept
        values = self._of_rows(scores, relevant, kept & ~relevant)
        return dict(
            **self.mean_leaves(values, scored, weights),
            invalid=count_where(counted & ~scored),
        )

    def _of_rows(self, scores: Any, relevant: Any, irrelevant: Any) -> Any:
        """Return the value of each row.

        Args:
          scores: float32 `[..., classes]`.
          relevant: Bool, True for the labels of 1.
          irrelevant: Bool, True for the labels of 0.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no value of a row")


class MultilabelCoverageError(LabelRanking):
    """Mean number of labels down to which a ranking has to be read to cover the truth.

    The number of labels that score at least as high as the lowest relevant one; lower
    is better, at best the mean number of relevant labels; 0 for a row without any, nan
    without data. As scikit-learn's `coverage_error` (Tsoumakas et al. 2010). Ties
    count: labels that score equally are all read. Masked and ignored labels are left
    out of their row, and a row without others does not count. A row with an invalid
    label or score is counted in `invalid` and never scored.

    Args:
      scores: Output that holds the scores, "logits" (the default) or "probs"; both
        `[..., classes]` as the `labels` (0 or 1). Only their order counts.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each row by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [[0.75, 0.5, 1.0], [1.0, 0.2, 0.1]], [[1, 0, 0], [0, 0, 1]]
      >>> metric = jm.MultilabelCoverageError()
      >>> float(jm.evaluate(metric, logits=logits, labels=labels))
      2.5
    """

    higher_is_better: ClassVar[Direction] = False

    def _of_rows(self, scores: Any, relevant: Any, irrelevant: Any) -> Any:
        lowest = jnp.where(relevant, scores, jnp.inf).min(axis=-1, keepdims=True)
        read = (relevant | irrelevant) & (scores >= lowest)
        read = read & relevant.any(axis=-1, keepdims=True)
        return read.sum(axis=-1, dtype=jnp.int32)


class LabelRankingAveragePrecision(LabelRanking):
    """Mean precision of the ranking of labels at each relevant label.

    Mean over the relevant labels of a row of the share of relevant labels among those
    that score at least as high; then the mean over rows. In (0, 1], higher is better;
    nan without data. As scikit-learn's `label_ranking_average_precision_score`: labels
    that score equally share the worst rank, and a row counts 1 if none or all of its
    labels are relevant. Masked and ignored labels are left out of their row, and a row
    without others does not count. A row with an invalid label or score is counted in
    `invalid` and never scored. Compares all pairs of labels of a row.

    Args:
      scores: Output that holds the scores, "logits" (the default) or "probs"; both
        `[..., classes]` as the `labels` (0 or 1). Only their order counts.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each row by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [[0.75, 0.5, 1.0], [1.0, 0.2, 0.1]], [[1, 0, 0], [0, 0, 1]]
      >>> metric = jm.LabelRankingAveragePrecision()
      >>> round(float(jm.evaluate(metric, logits=logits, labels=labels)), 4)
      0.4167
    """

    higher_is_better: ClassVar[Direction] = True

    def _of_rows(self, scores: Any, relevant: Any, irrelevant: Any) -> Any:
        above = scores[..., None, :] >= scores[..., :, None]
        hits = _count(above & relevant[..., None, :])
        misses = _count(above & irrelevant[..., None, :])
        precision = hits / jnp.maximum(hits + misses, 1)
        count = _count(relevant)
        mean = jnp.where(relevant, precision, 0).sum(axis=-1) / jnp.maximum(count, 1)
        return jnp.where(relevant.any(axis=-1), mean, 1)


class LabelRankingLoss(LabelRanking):
    """Mean share of pairs of a relevant and an irrelevant label in the wrong order.

    In [0, 1], lower is better; 0 for a row of which none or all labels are relevant,
    nan without data. As scikit-learn's `label_ranking_loss` (Tsoumakas et al. 2010):
    labels that score equally are in the wrong order. Masked and ignored labels are left
    out of their row, and a row without others does not count. A row with an invalid
    label or score is counted in `invalid` and never scored. Compares all pairs of
    labels of a row.

    Args:
      scores: Output that holds the scores, "logits" (the default) or "probs"; both
        `[..., classes]` as the `labels` (0 or 1). Only their order counts.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each row by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [[0.75, 0.5, 1.0], [1.0, 0.2, 0.1]], [[1, 0, 0], [0, 0, 1]]
      >>> metric = jm.LabelRankingLoss()
      >>> float(jm.evaluate(metric, logits=logits, labels=labels))
      0.75
    """

    higher_is_better: ClassVar[Direction] = False

    def _of_rows(self, scores: Any, relevant: Any, irrelevant: Any) -> Any:
        not_below = scores[..., None, :] >= scores[..., :, None]
        wrong = not_below & relevant[..., :, None] & irrelevant[..., None, :]
        pairs = _count(relevant) * _count(irrelevant)
        return _count(wrong).sum(axis=-1) / jnp.maximum(pairs, 1)


def _count(condition: Any) -> Any:
    """Count along the last axis, float32: exact to 2^24."""
    return condition.sum(axis=-1, dtype=jnp.int32).astype(jnp.float32)
