"""Hits, predictions and labels by group, shared by the metrics of fairness."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Metric,
    as_class_numbers,
    both,
    count_at,
    count_leaf,
    count_where,
    in_range,
    not_ignored,
    predicted,
    require_integers,
    scores_field,
)


class GroupCounts(Metric):
    """Binary predictions, labels and hits of each group.

    The state that metrics of fairness of equal configuration share; see
    `GroupStatScores` for the arguments.
    """

    number: int = 2
    threshold: float = 0.5
    scores: str = scores_field("logits", "probs", "preds", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    hits: Array = count_leaf("number", weighted="weighted")
    predicted: Array = count_leaf("number", weighted="weighted")
    support: Array = count_leaf("number", weighted="weighted")
    total: Array = count_leaf("number", weighted="weighted")
    invalid: Array = count_leaf()

    def observe(
        self,
        *,
        logits: Any,
        labels: Any,
        groups: Any,
        mask: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's counts by group, and invalid rows."""
        preds, labels, valid = predicted(
            logits, labels, "binary", self.threshold, self.scores
        )
        groups = as_class_numbers(groups)
        require_integers("groups", groups)
        if groups.shape != labels.shape:
            raise ValueError(
                f"groups have shape {groups.shape} and labels {labels.shape}; the "
                "shapes must be equal. Pass the group of each label."
            )
        valid = valid & in_range(groups, self.number)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)

        def count(condition: Any) -> Any:
            return count_at(groups, (self.number,), both(condition, scored), weights)

        return dict(
            hits=count((preds == 1) & (labels == 1)),
            predicted=count(preds == 1),
            support=count(labels == 1),
            total=count(jnp.ones_like(valid)),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> dict[str, Any]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in self._leaves}
