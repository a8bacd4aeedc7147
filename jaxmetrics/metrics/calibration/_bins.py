"""Counts of labels by bins of confidence, shared by all calibration errors."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Metric,
    as_class_numbers,
    both,
    check_bins,
    check_choice,
    count_at,
    count_leaf,
    count_where,
    divide,
    label_rank,
    like_values,
    namespace,
    not_ignored,
    scores_field,
    softmax_terms,
    sum_leaf,
    valid_binary,
)

NORMS = ("l1", "l2", "max")
TASKS = ("binary", "multiclass")


class ConfidenceBins(Metric):
    """Number of labels, of hits and sum of confidences in equal bins over [0, 1].

    The state that calibration errors and `ReliabilityCurve` of equal bins share. Bins
    contain their lower edge; the last one also contains 1.0. The confidence is that of
    the top class, or in the binary task the probability of label 1.
    """

    bins: int = 15
    task: str = "multiclass"
    scores: str = scores_field("logits", "probs", default="logits", narrow=True)
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    count: Array = count_leaf("bins", weighted="weighted")
    hits: Array = count_leaf("bins", weighted="weighted")
    confidence: Array = sum_leaf("bins")
    invalid: Array = count_leaf()

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's count, hits and confidence by bin, and invalid labels."""
        logits, labels = jnp.asarray(logits), jnp.asarray(labels)
        is_logits = self.scores == "logits"
        if self.task == "multiclass":
            rank, valid = label_rank(logits, labels)
            hit, confidence = rank == 0, logits.max(axis=-1)
            if is_logits:
                terms = softmax_terms(logits, as_class_numbers(labels))
                confidence = terms.top_probability
            else:
                valid = valid & (logits.min(axis=-1) >= 0)
        else:
            valid = valid_binary(logits, labels)
            hit, confidence = labels == 1, logits.astype(jnp.float32)
            if is_logits:
                confidence = jax.nn.sigmoid(confidence)
        confidence = confidence.astype(jnp.float32)
        valid = valid & (confidence >= 0) & (confidence <= 1)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        index = bin_of(confidence, self.bins)
        shared = weighted_confidence(confidence, weights)
        return dict(
            count=count_at(index, (self.bins,), scored, weights),
            hits=count_at(index, (self.bins,), both(hit, scored), weights),
            confidence=count_at(index, (self.bins,), scored, weights=shared),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> dict[str, Any]:
        """Return the leaves by name."""
        return {name: getattr(self, name) for name in self._leaves}


def check_settings(metric: str, bins: int, task: str) -> None:
    """Refuse unknown tasks, and bins below 1."""
    check_bins(metric, bins)
    check_choice(metric, "task", task, TASKS)


def bin_of(confidence: Any, bins: int) -> Any:
    """Return the bin of each confidence in [0, 1], int32."""
    index = jnp.clip(jnp.floor(confidence * bins), 0, bins - 1)
    return index.astype(jnp.int32)


def weighted_confidence(confidence: Any, weights: Any) -> Any:
    """Return confidences times the weights of their rows, if there are any."""
    if weights is None:
        return confidence
    return confidence * like_values(weights, confidence)


def calibration_error(
    metric: Metric, count: Any, hits: Any, confidence: Any, norm: str
) -> Any:
    """Return the error over bins along the last axis, nan without data.

    Args:
      metric: Metric whose `compute` calls.
      count: Labels of each bin.
      hits: Those that are hits.
      confidence: Sum of their confidences.
      norm: "l1", "l2" or "max".
    """
    xp = namespace(metric)
    count = xp.asarray(count)
    total_gap = xp.abs(xp.asarray(hits) - confidence)
    if norm == "l1":
        return divide(total_gap.sum(-1), count.sum(-1))
    mean_gap = divide(total_gap, count)
    has_data = count > 0
    if norm == "max":
        largest = xp.where(has_data, mean_gap, -1).max(-1)
        return xp.where(has_data.any(-1), largest, np.nan)[()]
    squares = xp.where(has_data, total_gap * mean_gap, 0).sum(-1)
    return xp.sqrt(divide(squares, count.sum(-1)))
