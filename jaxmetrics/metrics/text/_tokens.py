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
    """Fraction of tokens that are among the `k` likeliest. In [0, 1], higher is better.

    Counts tokens, not sequences. Ties go to the lower id. Ids out of range and
    positions with a logit that is not finite are counted in `invalid`, never scored.

    Args:
      k: how many ids may come first; reads `logits` `[batch, tokens, vocabulary]` and
        integer `labels` `[batch, tokens]`.
      ignore_index: id, or tuple of ids, that mark padding.
    """

    k: int = 1
    ignore_index: int | tuple[int, ...] | None = None
    correct: Array = count_leaf()
    total: Array = count_leaf()
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse k below 1."""
        if self.k < 1:
            raise ValueError(f"TokenAccuracy: k is at least 1, got {self.k}.")

    def observe(self, *, logits: Any, labels: Any, mask: Any = None) -> dict[str, Any]:
        """Hits, all and invalid tokens of the batch."""
        rank, valid = label_rank(logits, labels)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            correct=count_where(rank < self.k, scored),
            total=count_where(jnp.ones_like(valid), scored),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """The fraction of hits."""
        return divide(self.correct, self.total)
