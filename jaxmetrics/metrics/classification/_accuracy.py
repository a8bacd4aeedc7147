"""Accuracy and top-k accuracy."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

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
)
from jaxmetrics.metrics.classification._scores import (
    above,
    check_task,
    need_classes,
    valid_binary,
)

_AVERAGES = ("micro", "macro", "none")


class Accuracy(Metric):
    """Fraction of labels that are predicted; micro average by default. In [0, 1].

    Ties between classes go to the lower index. Labels out of range and rows with a
    score that is not finite are counted in `invalid` and never scored.

    Args:
      task: "multiclass" (`logits` `[..., classes]`, `labels` integers `[...]`),
        "binary" (`logits` and `labels` `[...]`) or "multilabel" (both
        `[..., classes]`).
      average: "micro" counts every label alike; "macro" is the mean over the classes
        that occur of each one's accuracy (scikit-learn's `balanced_accuracy_score`;
        in the multilabel task the mean over labels); "none" gives `[classes]`, nan
        where a class did not occur.
      classes: needed unless the average is micro.
      threshold: probability from which a binary or multilabel score is positive.
      scores: Output that holds the scores, "logits" or "probs" (binary, multilabel).
      ignore_index: label, or tuple of labels, that mark padding.
      weighted: weigh each label by `weights`, which are then needed.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [[2.0, 1.0], [0.0, 3.0], [1.0, 1.0]], [0, 0, 0]
      >>> round(float(jm.evaluate(jm.Accuracy(), logits=logits, labels=labels)), 4)
      0.6667
    """

    task: str = "multiclass"
    average: str = "micro"
    classes: int | None = None
    threshold: float = 0.5
    scores: str = scores_field("logits", "probs")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    correct: Array = count_leaf("groups", weighted="weighted")
    total: Array = count_leaf("groups", weighted="weighted")
    invalid: Array = count_leaf()

    @property
    def groups(self) -> tuple[int, ...]:
        """The shape of the counts: one a class unless the average is micro."""
        if self.average == "micro":
            return ()
        return (2,) if self.task == "binary" else (self.classes or 0,)

    def validate(self) -> None:
        """Refuse unknown tasks and averages, and missing numbers of classes."""
        check_task("Accuracy", self.task, self.classes, self.threshold)
        if self.average not in _AVERAGES:
            raise ValueError(
                f"Accuracy: average is one of {_AVERAGES}, got {self.average!r} "
                "(weighted by support it would be micro)."
            )
        if self.average != "micro" and self.task != "binary":
            need_classes("Accuracy", f"average={self.average!r}", self.classes)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Correct, all and invalid labels of the batch."""
        labels = jnp.asarray(labels)
        if self.task == "multiclass":
            rank, valid = label_rank(logits, labels)
            correct = rank == 0
        else:
            valid = valid_binary(logits, labels)
            positive = above(logits, self.threshold, self.scores)
            correct = positive == (labels == 1)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            correct=self._counted(correct, labels, scored, weights),
            total=self._counted(jnp.ones_like(correct), labels, scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """The accuracy, or `[classes]` of them."""
        each = divide(self.correct, self.total)
        if self.average != "macro":
            return each
        xp = namespace(self)
        seen = xp.asarray(self.total) > 0
        return divide(xp.where(seen, each, 0).sum(-1), seen.sum(-1))

    def _counted(self, hit: Any, labels: Any, scored: Any, weights: Any) -> Any:
        if self.average == "micro":
            return count_where(hit, scored, weights)
        if self.task == "multilabel":
            return count_where(hit, scored, weights, keep=1)
        return count_at(labels, self.groups, both(hit, scored), weights)


class TopKAccuracy(Metric):
    """Fraction of labels among the `k` largest logits. In [0, 1], higher is better.

    Ties go to the lower class index. Labels out of range and rows with a logit that
    is not finite are counted in `invalid` and never scored.

    Args:
      k: how many classes may come first; reads `logits` `[..., classes]` and integer
        `labels` `[...]`.
      ignore_index: label, or tuple of labels, that mark padding.
      weighted: weigh each label by `weights`, which are then needed.
    """

    k: int = 1
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    correct: Array = count_leaf(weighted="weighted")
    total: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse k below 1."""
        if self.k < 1:
            raise ValueError(f"TopKAccuracy: k is at least 1, got {self.k}.")

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Hits, all and invalid labels of the batch."""
        rank, valid = label_rank(logits, labels)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            correct=count_where(rank < self.k, scored, weights),
            total=count_where(jnp.ones_like(valid), scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """The fraction of hits."""
        return divide(self.correct, self.total)
