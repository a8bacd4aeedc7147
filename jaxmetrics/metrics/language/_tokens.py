"""Accuracy of the next token."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    both,
    check_stderr_of_counts,
    class_predictions,
    count_leaf,
    count_where,
    fraction_of,
    label_rank,
    not_ignored,
    scores_field,
)


class TokenAccuracy(Metric):
    """Fraction of tokens whose label is among the `k` largest logits.

    In [0, 1], higher is better; nan without data. Counts tokens, not sequences. Ties
    go to the lower id, and an id with a logit of -inf is not among the largest.

    Reads `logits` `[batch, tokens, vocabulary]` and integer `labels`
    `[batch, tokens]`. Ids out of range and positions without a largest score (see
    `jaxmetrics.metrics`) are counted in `invalid`, never scored.

    Args:
      k: Number of largest logits that count as a hit. Default 1.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted ids, integers `[batch, tokens]`, with `k=1`.
      weighted: Require `weights` and weight each token by them.
      stderr: Compute fraction and standard error, as `Mean(stderr=True)`; not with
        weights. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> logits = [[[0.0, 2.0, 1.0], [0.0, 2.0, 1.0], [0.0, 2.0, 1.0]]]
      >>> metric = jm.TokenAccuracy(ignore_index=0)
      >>> float(jm.evaluate(metric, logits=logits, labels=[[1, 2, 0]]))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    k: int = 1
    ignore_index: int | tuple[int, ...] | None = None
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    correct: Array = count_leaf(weighted="weighted")
    total: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Raise ValueError for k below 1, or above it for predicted ids."""
        if self.k < 1:
            raise ValueError(
                f"TokenAccuracy: k is {self.k}, but must be at least 1. Use k=1 for "
                "the most likely token."
            )
        if self.scores == "preds" and self.k > 1:
            raise ValueError(
                f"TokenAccuracy: k={self.k} needs scores, but scores='preds' reads the "
                "predicted ids alone. Pass scores='logits', or k=1."
            )
        check_stderr_of_counts(self)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's number of hits, scored tokens and invalid tokens."""
        if self.scores == "preds":
            preds, numbers, valid = class_predictions(logits, labels)
            hit = preds == numbers
        else:
            rank, valid = label_rank(logits, labels)
            hit = rank < min(self.k, jnp.shape(logits)[-1])
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            correct=count_where(hit, scored, weights),
            total=count_where(jnp.ones_like(valid), scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the accuracy."""
        return fraction_of(self.correct, self.total, self.stderr)
