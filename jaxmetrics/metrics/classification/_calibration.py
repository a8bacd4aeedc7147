"""Expected calibration error."""

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
    namespace,
    not_ignored,
    scores_field,
    softmax_terms,
    sum_leaf,
    valid_binary,
)

_NORMS = ("l1", "l2", "max")
_TASKS = ("binary", "multiclass")


class ExpectedCalibrationError(Metric):
    """Expected difference between confidence and accuracy, over bins of confidence.

    In [0, 1], lower is better; nan without data (Naeini et al. 2015, Guo et al. 2017).
    Each bin's mean confidence and accuracy are exact. Bins are equally wide and contain
    their lower edge; the last bin also contains 1.0. Labels out of range and rows
    without a largest score (or `probs` outside [0, 1]) are counted in `invalid` and
    never scored.

    Args:
      bins: Number of bins over [0, 1]. Default 15.
      norm: "l1" (the default) is the mean difference (ECE), "l2" the root of the mean
        squared difference, "max" the largest one (MCE); each over non-empty bins.
      task: "multiclass" (the default) scores the top class (`logits`
        `[..., classes]`, integer `labels` `[...]`; ties go to the lower index),
        "binary" the probability of label 1 (both `[...]`).
      scores: Output that holds the scores, "logits" (the default) or "probs".
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> ece = jm.ExpectedCalibrationError(10, task="binary", scores="probs")
      >>> round(float(jm.evaluate(ece, probs=[0.95, 1.0], labels=[1, 0])), 6)
      0.475
    """

    bins: int = 15
    norm: str = "l1"
    task: str = "multiclass"
    scores: str = scores_field("logits", "probs", default="logits", narrow=True)
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    count: Array = count_leaf("bins", weighted="weighted")
    hits: Array = count_leaf("bins", weighted="weighted")
    confidence: Array = sum_leaf("bins")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse unknown norms and tasks, and bins below 1."""
        name = "ExpectedCalibrationError"
        check_bins(name, self.bins)
        check_choice(name, "norm", self.norm, _NORMS)
        check_choice(name, "task", self.task, _TASKS)

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
            valid = valid_binary(logits, labels)
            hit, confidence = labels == 1, logits.astype(jnp.float32)
            if is_logits:
                confidence = jax.nn.sigmoid(confidence)
        confidence = confidence.astype(jnp.float32)
        valid = valid & (confidence >= 0) & (confidence <= 1)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        index = jnp.clip(jnp.floor(confidence * self.bins), 0, self.bins - 1)
        index = index.astype(jnp.int32)
        if weights is not None:
            weights = jnp.asarray(weights)
            missing_axes = (1,) * (confidence.ndim - weights.ndim)
            confidence = confidence * weights.reshape(weights.shape + missing_axes)
        return dict(
            count=count_at(index, (self.bins,), scored, weights),
            hits=count_at(index, (self.bins,), both(hit, scored), weights),
            confidence=count_at(index, (self.bins,), scored, weights=confidence),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the error."""
        xp = namespace(self)
        count = xp.asarray(self.count)
        total_gap = xp.abs(xp.asarray(self.hits) - self.confidence)
        if self.norm == "l1":
            return divide(total_gap.sum(-1), count.sum(-1))
        mean_gap = divide(total_gap, count)
        has_data = count > 0
        if self.norm == "max":
            largest = xp.where(has_data, mean_gap, -1).max(-1)
            return xp.where(has_data.any(-1), largest, np.nan)[()]
        squares = xp.where(has_data, total_gap * mean_gap, 0).sum(-1)
        return xp.sqrt(divide(squares, count.sum(-1)))
