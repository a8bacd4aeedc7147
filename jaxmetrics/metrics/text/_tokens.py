"""Accuracy of the next token."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    count_leaf,
    count_where,
    divide,
    label_rank,
    not_ignored,
)


class TokenAccuracy(Metric):
    """Fraction of tokens whose label is among the `k` largest logits.

    In [0, 1], higher is better; nan without data. Counts tokens, not sequences. Ties
    go to the lower id.

    Reads `logits` `[batch, tokens, vocabulary]` and integer `labels`
    `[batch, tokens]`. Ids out of range and positions with a logit that is not finite
    are counted in `invalid`, never scored.

    Args:
      k: Number of largest logits that count as a hit. Default 1.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.

    Example:
      >>> import jaxmetrics as jm
      >>> logits = [[[0.0, 2.0, 1.0], [0.0, 2.0, 1.0], [0.0, 2.0, 1.0]]]
      >>> metric = jm.TokenAccuracy(ignore_index=0)
      >>> float(jm.evaluate(metric, logits=logits, labels=[[1, 2, 0]]))
      0.5
    """

    k: int = 1
    ignore_index: int | tuple[int, ...] | None = None
    correct: Array = count_leaf()
    total: Array = count_leaf()
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Raise ValueError for k below 1."""
        if self.k < 1:
            raise ValueError(
                f"TokenAccuracy: k is {self.k}, but must be at least 1. Use k=1 for "
                "the most likely token."
            )

    def observe(self, *, logits: Any, labels: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's number of hits, scored tokens and invalid tokens."""
        rank, valid = label_rank(logits, labels)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            correct=count_where(rank < self.k, scored),
            total=count_where(jnp.ones_like(valid), scored),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the accuracy."""
        return divide(self.correct, self.total)
