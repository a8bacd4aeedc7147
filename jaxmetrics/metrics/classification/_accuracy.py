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
    check_task,
    is_positive,
    need_classes,
    valid_binary,
)

_AVERAGES = ("micro", "macro", "none")


class Accuracy(Metric):
    """Fraction of labels that are predicted correctly.

    In [0, 1], higher is better; nan without data. Ties between classes go to the lower
    index. Labels out of range and rows with a score that is not finite are counted in
    `invalid` and never scored.

    Args:
      task: "multiclass" (the default; `logits` `[..., classes]`, integer `labels`
        `[...]`), "binary" (`logits` and `labels` `[...]`) or "multilabel" (both
        `[..., classes]`).
      average: "micro" (the default) is over all labels; "macro" is the mean accuracy
        of the classes that occur (scikit-learn's `balanced_accuracy_score`; in the
        multilabel task the mean over labels); "none" gives `[classes]`, nan for a
        class that does not occur.
      classes: Number of classes, required unless the average is "micro".
      threshold: Probability from which a binary or multilabel score is positive.
        Default 0.5.
      scores: Output that holds the scores, "logits" (the default) or "probs" (binary,
        multilabel).
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

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
    scores: str = scores_field("logits", "probs", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    correct: Array = count_leaf("groups", weighted="weighted")
    total: Array = count_leaf("groups", weighted="weighted")
    invalid: Array = count_leaf()

    @property
    def groups(self) -> tuple[int, ...]:
        """Shape of the counts: one per class unless the average is "micro"."""
        if self.average == "micro":
            return ()
        return (2,) if self.task == "binary" else (self.classes or 0,)

    def validate(self) -> None:
        """Refuse unknown tasks and averages, and a missing number of classes."""
        check_task("Accuracy", self.task, self.classes, self.threshold)
        if self.average not in _AVERAGES:
            raise ValueError(
                f"Accuracy: average is {self.average!r}, but must be one of "
                f"{_AVERAGES}. The mean weighted by support is 'micro'."
            )
        if self.average != "micro" and self.task != "binary":
            need_classes("Accuracy", f"average={self.average!r}", self.classes)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's correct, scored and invalid labels."""
        labels = jnp.asarray(labels)
        if self.task == "multiclass":
            rank, valid = label_rank(logits, labels)
            correct = rank == 0
        else:
            valid = valid_binary(logits, labels)
            positive = is_positive(logits, self.threshold, self.scores)
            correct = positive == (labels == 1)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            correct=self._count(correct, labels, scored, weights),
            total=self._count(jnp.ones_like(correct), labels, scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the accuracy, or `[classes]` of them."""
        accuracy = divide(self.correct, self.total)
        if self.average != "macro":
            return accuracy
        xp = namespace(self)
        occurs = xp.asarray(self.total) > 0
        return divide(xp.where(occurs, accuracy, 0).sum(-1), occurs.sum(-1))

    def _count(self, condition: Any, labels: Any, scored: Any, weights: Any) -> Any:
        if self.average == "micro":
            return count_where(condition, scored, weights)
        if self.task == "multilabel":
            return count_where(condition, scored, weights, keep=1)
        return count_at(labels, self.groups, both(condition, scored), weights)


class TopKAccuracy(Metric):
    """Fraction of labels among the `k` largest logits.

    In [0, 1], higher is better; nan without data. Ties go to the lower class index.
    Labels out of range and rows with a logit that is not finite are counted in
    `invalid` and never scored. Reads `logits` `[..., classes]` and integer `labels`
    `[...]`.

    Args:
      k: Number of largest logits that count as a hit. Default 1.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> logits = [[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]
      >>> metric = jm.TopKAccuracy(k=2)
      >>> float(jm.evaluate(metric, logits=logits, labels=[1, 2]))
      0.5
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
            raise ValueError(
                f"TopKAccuracy: k is {self.k}, but must be at least 1. Use k=1 for the "
                "largest logit."
            )

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's hits, scored labels and invalid labels."""
        rank, valid = label_rank(logits, labels)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            correct=count_where(rank < self.k, scored, weights),
            total=count_where(jnp.ones_like(valid), scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the accuracy."""
        return divide(self.correct, self.total)
