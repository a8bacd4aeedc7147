"""Precision, recall and F1 of sentences, shared by the values of ROUGE."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Metric,
    count_leaf,
    count_where,
    moments,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.text._ngrams import (
    clipped_matches,
    clipped_union_matches,
    longest_common_subsequence,
    ngram_counts,
    token_counts,
)
from jaxmetrics.metrics.text._sentences import sentence_pairs


class RougeScores(Metric):
    """Precision, recall and F1 of each sentence, summed.

    The state that `ROUGE` of equal kind shares, whatever its value.
    """

    kind: str = "1"
    ignore_index: int | tuple[int, ...] | None = None
    separator: int | None = None
    weighted: bool = False
    stderr: bool = False
    precision: Any = sum_leaf(moments="stderr")
    recall: Any = sum_leaf(moments="stderr")
    f1: Any = sum_leaf(moments="stderr")
    sentences: Array = count_leaf(weighted="weighted")

    def observe(
        self, *, preds: Any, references: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed scores."""
        own, other = sentence_pairs("ROUGE", preds, references, self.ignore_index)
        if self.kind == "Lsum" and self.separator is not None:
            sizes = (token_counts(*x, self.separator) for x in (own, other))
            matches = clipped_union_matches(*own, *other, self.separator)
        elif self.kind in ("L", "Lsum"):
            sizes = own.length, other.length
            matches = longest_common_subsequence(*own, *other)
        else:
            n = int(self.kind)
            sizes = (ngram_counts(x.length, n)[..., -1] for x in (own, other))
            matches = clipped_matches(
                *own, other.ids[..., None, :], other.length[..., None], n
            )[..., -1]
        found = matches.astype(jnp.float32)
        predicted, referenced = (jnp.maximum(x, 1).astype(jnp.float32) for x in sizes)
        precision, recall = found / predicted, found / referenced
        both_zero = matches == 0
        f1 = 2 * precision * recall / jnp.where(both_zero, 1, precision + recall)
        summed = moments if self.stderr else total
        return dict(
            precision=summed(precision, mask, weights),
            recall=summed(recall, mask, weights),
            f1=summed(f1, mask, weights),
            sentences=count_where(jnp.ones_like(both_zero), mask, weights),
        )

    def compute(self) -> dict[str, Any]:
        """Return the sums by name."""
        return {name: getattr(self, name) for name in self._leaves}
