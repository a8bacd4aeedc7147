"""Expected calibration error."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    count_at,
    count_leaf,
    count_where,
    divide,
    label_rank,
    namespace,
    not_ignored,
    scores_field,
    sum_leaf,
)
from jaxmetrics.metrics.classification._scores import (
    valid_binary,
)

_NORMS = ("l1", "l2", "max")
_TASKS = ("binary", "multiclass")


class ExpectedCalibrationError(Metric):
    """Distance between confidence and accuracy over bins of confidence; in [0, 1].

    Lower is better (Naeini et al. 2015, Guo et al. 2017). Each bin's mean confidence
    and accuracy are exact. Bins are equally wide and hold their lower edge; the last
    holds 1.0 too. Labels out of range and rows with a score that is not finite (or
    `probs` outside [0, 1]) are counted in `invalid` and never scored.

    Args:
      bins: number of bins over [0, 1].
      norm: "l1" is the mean distance (ECE), "l2" the root of the mean squared one,
        "max" the largest (MCE), over the bins that are not empty.
      task: "multiclass" scores the top class (`logits` `[..., classes]`, `labels`
        integers `[...]`; ties go to the lower index), "binary" the probability of
        label 1 (both `[...]`).
      scores: Output that holds the scores, "logits" or "probs".
      ignore_index: label, or tuple of labels, that mark padding.
      weighted: weigh each label by `weights`, which are then needed.

    Example:
      >>> import jaxmetrics as jm
      >>> ece = jm.ExpectedCalibrationError(10, task="binary", scores="probs")
      >>> round(float(jm.evaluate(ece, probs=[0.95, 1.0], labels=[1, 0])), 6)
      0.475
    """

    bins: int = 15
    norm: str = "l1"
    task: str = "multiclass"
    scores: str = scores_field("logits", "probs")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    count: Array = count_leaf("bins", weighted="weighted")
    hits: Array = count_leaf("bins", weighted="weighted")
    confidence: Array = sum_leaf("bins")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse unknown norms and tasks, and bins below 1."""
        who = "ExpectedCalibrationError"
        if self.bins < 1:
            raise ValueError(f"{who}: bins is at least 1, got {self.bins}.")
        if self.norm not in _NORMS:
            raise ValueError(f"{who}: norm is one of {_NORMS}, got {self.norm!r}.")
        if self.task not in _TASKS:
            raise ValueError(f"{who}: task is one of {_TASKS}, got {self.task!r}.")

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Count, hits and summed confidence of each bin, and invalid labels."""
        logits, labels = jnp.asarray(logits), jnp.asarray(labels)
        if self.task == "multiclass":
            rank, valid = label_rank(logits, labels)
            hit, confidence = rank == 0, logits.max(axis=-1)
            if self.scores == "logits":
                confidence = jnp.exp(confidence - jax.nn.logsumexp(logits, axis=-1))
        else:
            valid = valid_binary(logits, labels)
            hit = labels == 1
            confidence = jax.nn.sigmoid(logits) if self.scores == "logits" else logits
        valid = valid & (confidence >= 0) & (confidence <= 1)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        at = jnp.clip(jnp.floor(confidence * self.bins), 0, self.bins - 1)
        at, shape = at.astype(jnp.int32), (self.bins,)
        count = count_at(at, shape, scored, weights)
        if weights is not None:
            weights = jnp.asarray(weights)
            more = confidence.ndim - weights.ndim
            confidence = confidence * weights.reshape(weights.shape + (1,) * more)
        return dict(
            count=count,
            hits=count_at(at, shape, both(hit, scored), weights),
            confidence=count_at(at, shape, scored, weights=confidence),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """The error."""
        xp = namespace(self)
        count = xp.asarray(self.count)
        distance = xp.abs(xp.asarray(self.hits) - self.confidence)
        if self.norm == "l1":
            return divide(distance.sum(-1), count.sum(-1))
        each = divide(distance, count)
        some = count > 0
        if self.norm == "max":
            largest = xp.where(some, each, -1).max(-1)
            return xp.where(some.any(-1), largest, np.nan)[()]
        squares = xp.where(some, distance * each, 0).sum(-1)
        return xp.sqrt(divide(squares, count.sum(-1)))
