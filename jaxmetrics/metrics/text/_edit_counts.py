"""Edits of aligned sentences, shared by the error rates."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import Array, Metric, count_leaf, count_where
from jaxmetrics.metrics.text._alignment import align
from jaxmetrics.metrics.text._sentences import (
    lengths,
    require_pairs,
    sentences,
    summed,
)


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
        preds = sentences("EditCounts", "preds", preds)
        references = sentences("EditCounts", "references", references)
        require_pairs("EditCounts", preds, references)
        edits = align(
            preds,
            lengths(preds, self.ignore_index),
            references,
            lengths(references, self.ignore_index),
        )
        counts = {name: summed(x, mask, weights) for name, x in edits._asdict().items()}
        ones = jnp.ones(preds.shape[:-1], bool)
        return dict(counts, sentences=count_where(ones, mask, weights))

    def compute(self) -> dict[str, Any]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in self._leaves}
