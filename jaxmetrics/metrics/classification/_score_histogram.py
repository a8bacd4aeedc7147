"""Positive and negative labels by score: what the ranking curves share."""

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

_LIMIT = 20.0  # logits; a probability within 2e-9 of 0 or 1


class ScoreHistogram(Metric):
    """Counts of negative and positive labels in bins of the score's logit.

    The state that `AUROC` and `AveragePrecision` of one configuration share; see these
    for the arguments. `bins` equal bins lie between logits of -20 and 20, with one
    more at each end; a score of probability p is binned by log(p / (1 - p)), computed
    from its logits, so that bins keep apart what float32 probabilities do not.
    """

    task: str = "multiclass"
    classes: int | None = None
    bins: int = 4096
    scores: str = scores_field("logits", "probs")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: Array = count_leaf("cells", weighted="weighted")
    invalid: Array = count_leaf()

    @property
    def cells(self) -> tuple[int, ...]:
        """The shape of the counts: `[classes, 2, bins + 2]`, negatives first."""
        return (*per_class(self.task, self.classes), 2, self.bins + 2)

    def validate(self) -> None:
        """Refuse unknown tasks, bins below 1 and a missing number of classes."""
        check_task("ScoreHistogram", self.task, self.classes, 0.5)
        if self.task != "binary":
            need_classes("ScoreHistogram", f"task={self.task!r}", self.classes)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """The batch's labels by class, kind and bin, and invalid ones."""
        logits, labels = jnp.asarray(logits), jnp.asarray(labels)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        number = jnp.arange(self.classes or 0, dtype=jnp.int32)
        if self.task != "binary":
            require_classes(logits, self.classes)
        if self.task == "multiclass":
            _, valid = label_rank(logits, labels)
            positive = labels[..., None] == number
            is_logits = self.scores == "logits"
            odds = class_log_odds(logits) if is_logits else log_odds(logits)
        else:
            valid = valid_binary(logits, labels)
            positive = labels == 1
            odds = logits if self.scores == "logits" else log_odds(logits)
        if self.scores == "probs":
            inside = (logits >= 0) & (logits <= 1)
            valid = valid & (inside.all(-1) if self.task == "multiclass" else inside)
        index = (positive.astype(jnp.int32), self._bin(odds))
        if self.task != "binary":
            index = (jnp.broadcast_to(number, odds.shape), *index)
        return dict(
            counts=count_at(index, self.cells, both(valid, kept), weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """The counts."""
        return self.counts

    def _bin(self, odds: Any) -> Any:
        """Index of the bin, monotone in the score however it is rounded."""
        place = jnp.floor((odds + _LIMIT) * np.float32(self.bins / (2 * _LIMIT)))
        return jnp.clip(place, -1, self.bins).astype(jnp.int32) + 1


def log_odds(probs: Any) -> Any:
    """`log(p / (1 - p))`, -inf at 0 and inf at 1."""
    return jnp.log(probs) - jnp.log1p(-probs)


def class_log_odds(logits: Any) -> Any:
    """Log odds of each class under a softmax, one against the rest.

    The top class is compared with the rest by a log-sum-exp of its own: one minus its
    probability would be zero where the model is sure.
    """
    number = jnp.arange(logits.shape[-1], dtype=jnp.int32)
    top = top_class(logits)[..., None] == number
    largest = logits.max(axis=-1, keepdims=True)
    shares = jnp.exp(logits - largest)
    others = shares.sum(axis=-1, keepdims=True) - shares
    others = largest + jnp.log(jnp.where(top, 1, others))
    rest = jnp.where(top, -jnp.inf, logits)
    rest = jax.nn.logsumexp(rest, axis=-1, keepdims=True)
    return logits - jnp.where(top, rest, others)
