"""Positive and negative labels in bins of the score, shared by the ranking curves."""

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
    label_rank,
    not_ignored,
    scores_field,
    top_class,
)
from jaxmetrics.metrics.classification._scores import (
    check_task,
    need_classes,
    per_class,
    require_classes,
    valid_binary,
)

_MAX_LOGIT = 20.0  # a probability within 2e-9 of 1


class ScoreHistogram(Metric):
    """Counts of negative and positive labels in bins of the score's log odds.

    The state that `AUROC` and `AveragePrecision` of equal configuration share; see
    there for the arguments. `bins` equal bins lie between log odds of -20 and 20, with
    one more at each end. Log odds are computed from the logits directly: they differ
    where probabilities are rounded to 1 in float32.
    """

    task: str = "multiclass"
    classes: int | None = None
    bins: int = 4096
    scores: str = scores_field("logits", "probs", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: Array = count_leaf("cells", weighted="weighted")
    invalid: Array = count_leaf()

    @property
    def cells(self) -> tuple[int, ...]:
        """Shape of the counts: `[classes, 2, bins + 2]`, negatives first."""
        return (*per_class(self.task, self.classes), 2, self.bins + 2)

    def validate(self) -> None:
        """Refuse unknown tasks and a missing number of classes."""
        check_task("ScoreHistogram", self.task, self.classes, 0.5)
        if self.task != "binary":
            need_classes("ScoreHistogram", f"task={self.task!r}", self.classes)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's labels by class, sign and bin, and invalid labels."""
        logits, labels = jnp.asarray(logits), jnp.asarray(labels)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        class_index = jnp.arange(self.classes or 0, dtype=jnp.int32)
        if self.task != "binary":
            require_classes("ScoreHistogram", logits, self.classes)
        is_logits = self.scores == "logits"
        if self.task == "multiclass":
            _, valid = label_rank(logits, labels)
            positive = labels[..., None] == class_index
            odds = class_log_odds(logits) if is_logits else log_odds(logits)
        else:
            valid = valid_binary(logits, labels)
            positive = labels == 1
            odds = logits if is_logits else log_odds(logits)
        if not is_logits:
            in_range = (logits >= 0) & (logits <= 1)
            in_range = in_range.all(-1) if self.task == "multiclass" else in_range
            valid = valid & in_range
        index = (positive.astype(jnp.int32), self._bin(odds))
        if self.task != "binary":
            index = (jnp.broadcast_to(class_index, odds.shape), *index)
        return dict(
            counts=count_at(index, self.cells, both(valid, kept), weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the counts."""
        return self.counts

    def _bin(self, odds: Any) -> Any:
        """Return the index of the bin, monotonic in the score for any rounding."""
        bins_per_logit = np.float32(self.bins / (2 * _MAX_LOGIT))
        index = jnp.floor((odds + _MAX_LOGIT) * bins_per_logit)
        return jnp.clip(index, -1, self.bins).astype(jnp.int32) + 1


def log_odds(probs: Any) -> Any:
    """Return `log(p / (1 - p))`, -inf at 0 and inf at 1."""
    return jnp.log(probs) - jnp.log1p(-probs)


def class_log_odds(logits: Any) -> Any:
    """Return the log odds of each class against the rest under a softmax.

    They are `logit - logsumexp(other logits)`. For the top class the other logits are
    summed separately: one minus its probability is zero in float32 for a confident
    model. For the other classes the sum is that of all classes minus their own term.
    """
    class_index = jnp.arange(logits.shape[-1], dtype=jnp.int32)
    is_top = top_class(logits)[..., None] == class_index
    largest = logits.max(axis=-1, keepdims=True)
    terms = jnp.exp(logits - largest)
    others = terms.sum(axis=-1, keepdims=True) - terms
    others = largest + jnp.log(jnp.where(is_top, 1, others))
    without_top = jnp.where(is_top, -jnp.inf, logits)
    without_top = jax.nn.logsumexp(without_top, axis=-1, keepdims=True)
    return logits - jnp.where(is_top, without_top, others)
