"""Edits of aligned sentences, shared by the error rates."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import Array, Metric, count_leaf, count_where, total
from jaxmetrics.metrics.text._alignment import align
from jaxmetrics.metrics.text._sentences import sentence_pairs


class EditCounts(Metric):
    """Hits, substitutions, deletions and insertions, summed over sentences.

    The state that `WordErrorRate`, `CharErrorRate`, `MatchErrorRate`, `WordInfoLost`,
    `WordInfoPreserved` and `EditDistance` of equal configuration share.
    """

    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    hits: Array = count_leaf(weighted="weighted")
    substitutions: Array = count_leaf(weighted="weighted")
    deletions: Array = count_leaf(weighted="weighted")
    insertions: Array = count_leaf(weighted="weighted")
    sentences: Array = count_leaf(weighted="weighted")

    def observe(
        self, *, preds: Any, references: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's hits and edits."""
        pairs = sentence_pairs("EditCounts", preds, references, self.ignore_index)
        edits = align(*pairs[0], *pairs[1])
        counts = {name: total(x, mask, weights) for name, x in edits._asdict().items()}
        ones = jnp.ones(edits.hits.shape, bool)
        return dict(counts, sentences=count_where(ones, mask, weights))

    def compute(self) -> dict[str, Any]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in self._leaves}
