"""Scores of negative and positive labels in bins, the state of the ranking curves."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Metric,
    as_class_numbers,
    as_scores,
    averaged_classes,
    both,
    class_index,
    count_leaf,
    count_where,
    grid_counts,
    grid_leaf,
    in_range,
    mask_like,
    not_ignored,
    per_class,
    require_classes,
    require_labels,
    scores_field,
    top_and_valid,
    top_class,
    valid_binary,
)


class ScoreHistogram(Metric):
    """Counts of labels in bins of their scores, for scores of any scale and offset.

    The state that `AUROC` and `AveragePrecision` of equal configuration share; see
    there for the arguments. Each class has two histograms, which widen as scores come
    in: one with equal bins, and one with 8 bins or more for each power of two. The
    state is the same for any order of batches, merges and devices.

    Args:
      pooled: Count the scores of all classes in one pair of histograms.
      pairs: Count the labels of each class separately, not only positive and negative.
    """

    task: str = "multiclass"
    classes: int | None = None
    bins: int = 4096
    scores: str = scores_field("logits", "probs", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    pooled: bool = False
    pairs: bool = False
    cells: Array = grid_leaf(
        "groups", bins="bins", columns="columns", weighted="weighted"
    )
    invalid: Array = count_leaf()

    @property
    def groups(self) -> tuple[int, ...]:
        """Shape of the pairs of histograms: `[classes]`, or `[]` for a single one."""
        return () if self.pooled else per_class(self.task, self.classes)

    @property
    def columns(self) -> int:
        """Number of labels counted separately; by default negative and positive."""
        return (self.classes or 0) if self.pairs else 2

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's labels by class, sign and bin, and invalid labels."""
        batch = ranked_scores(self, logits, labels, mask)
        count_where(batch.counted, None, weights)  # refuses weights of other shapes
        scores, positive, counted = batch.scores, batch.positive, batch.counted
        column = positive.astype(jnp.int32)
        if self.pairs:
            column = as_class_numbers(labels)[..., None]
            column = jnp.broadcast_to(column, scores.shape)
        if self.task == "multiclass":
            counted = jnp.broadcast_to(counted[..., None], scores.shape)
        if self.task == "multiclass" and self.pooled:
            averaged = averaged_classes(self.task, self.classes, self.ignore_index)
            counted = counted & averaged.reshape((1,) * (scores.ndim - 1) + (-1,))
        cells = grid_counts(
            scores,
            column,
            bins=self.bins,
            columns=self.columns,
            mask=counted,
            weights=weights,
            keep=len(self.groups),
            onto=vars(self).get("_onto"),
        )
        return dict(cells=cells, invalid=count_where(batch.invalid))

    def onto_itself(self) -> Self:
        """Return a copy that counts batches on the grids of this state."""
        return self.with_fields(_onto=self.cells)

    def compute(self) -> Any:
        """Return the counts and extremes, a `GridValue`."""
        return self.cells

    def orderings(self) -> list[tuple[Any, Any]]:
        """Return counts by ascending score for each of two histograms, where decoded.

        Returns:
          counts: `[*groups, columns, bins + 4]`.
          is_one_value: Bool `[*groups, bins + 4]`: all scores of the bin are equal.
        """
        value: Any = self.cells
        return [
            (value.counts[..., i, :], value.is_one_value[..., i, :]) for i in (0, 1)
        ]

    def thresholds(self) -> list[Any]:
        """Return the threshold `[*groups, bins + 4]` of each bin of `orderings`."""
        value: Any = self.cells
        thresholds = value.thresholds()
        return [thresholds[..., i, :] for i in (0, 1)]


class RankedScores(NamedTuple):
    """Scores of a batch, prepared for ranking.

    Attributes:
      scores: Float, `[..., classes]` or the labels' shape: a higher one is more likely
        positive.
      positive: Bool of the scores' shape.
      counted: Bool of the labels' shape: valid and not masked.
      invalid: Bool of the labels' shape: not valid and not masked.
    """

    scores: jax.Array
    positive: jax.Array
    counted: jax.Array
    invalid: jax.Array


def ranked_scores(metric: Any, logits: Any, labels: Any, mask: Any) -> RankedScores:
    """Return the scores of a batch by the configuration of a metric."""
    logits, labels = as_scores(logits), jnp.asarray(labels)
    is_logits = metric.scores == "logits"
    if metric.task != "binary":
        require_classes(logits, metric.classes)
    if metric.task == "multiclass":
        labels = as_class_numbers(labels)
        require_labels(logits, labels)
        _, valid = top_and_valid(logits)
        valid = valid & in_range(labels, metric.classes)
        positive = labels[..., None] == class_index(logits)
        scores = class_log_odds(logits) if is_logits else log_odds(logits)
    else:
        valid = valid_binary(logits, labels)
        positive = labels == 1
        scores = logits if is_logits else log_odds(logits)
    if not is_logits:
        is_prob = (logits >= 0) & (logits <= 1)
        valid = valid & (is_prob.all(-1) if metric.task == "multiclass" else is_prob)
    kept = both(not_ignored(labels, metric.ignore_index), mask)
    kept = mask_like(valid, kept)
    return RankedScores(scores, positive, valid & kept, ~valid & kept)


def log_odds(probs: Any) -> Any:
    """Return `log(p / (1 - p))`, -inf at 0 and inf at 1."""
    return jnp.log(probs) - jnp.log1p(-probs)


def class_log_odds(logits: Any) -> Any:
    """Return the log odds of each class against the rest under a softmax.

    They are `logit - logsumexp(other logits)`; -inf for a logit of -inf, and inf if all
    others are. For the top class the other logits are summed separately: one minus its
    probability is zero in float32 for a confident model. For the other classes the sum
    is that of all classes minus their own term.
    """
    logits = jnp.asarray(logits).astype(jnp.float32)
    is_top = top_class(logits)[..., None] == class_index(logits)
    # Rows that differ by an offset have equal scores: the offset goes before all else.
    shifted = logits - logits.max(axis=-1, keepdims=True)
    terms = jnp.exp(shifted)
    others = terms.sum(axis=-1, keepdims=True) - terms
    others = jnp.log(jnp.where(is_top, 1, others))
    without_top = jnp.where(is_top, -jnp.inf, shifted)
    without_top = jax.nn.logsumexp(without_top, axis=-1, keepdims=True)
    return shifted - jnp.where(is_top, without_top, others)
