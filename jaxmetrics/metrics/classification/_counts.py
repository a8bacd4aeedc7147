"""Hits, predictions and labels by class, shared by all metrics of such counts."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxmetrics.core import (
    TASKS,
    Array,
    Metric,
    Predictions,
    both,
    check_choice,
    check_task,
    count_at,
    count_leaf,
    count_where,
    has_class_axis,
    need_classes,
    not_ignored,
    per_class,
    predicted,
    predicted_in_top_k,
    require_classes,
    scores_field,
)


class ClassCounts(Metric):
    """Number of predictions, labels and hits of each class.

    The state that `Precision`, `Recall`, `Specificity` and other ratios of equal
    configuration share; see there for the arguments. The binary task counts the
    positive class.
    """

    task: str = "multiclass"
    classes: int | None = None
    threshold: float = 0.5
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    top_k: int | None = None
    hits: Array = count_leaf("groups", weighted="weighted")
    predicted: Array = count_leaf("groups", weighted="weighted")
    support: Array = count_leaf("groups", weighted="weighted")
    total: Array = count_leaf("labels_apart", weighted="weighted")
    invalid: Array = count_leaf()

    @property
    def groups(self) -> tuple[int, ...]:
        """Shape of the counts."""
        return per_class(self.task, self.classes)

    @property
    def labels_apart(self) -> tuple[int, ...]:
        """Shape of the total: in the multilabel task each label has its own."""
        return self.groups if self.task == "multilabel" else ()

    def validate(self) -> None:
        """Refuse unknown tasks and a missing number of classes."""
        check_class_counts(self)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's counts by class, of all labels and of invalid ones."""
        preds, numbers, valid = class_predictions(self, logits, labels)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        if self.task == "multiclass":
            correct = both(preds == numbers, scored)
            hits = count_at(numbers, self.groups, correct, weights)
            predictions = count_at(preds, self.groups, scored, weights)
            support = count_at(numbers, self.groups, scored, weights)
        else:
            keep = len(self.groups)
            positive, predicted_positive = numbers == 1, preds == 1
            hits = count_where(positive & predicted_positive, scored, weights, keep)
            predictions = count_where(predicted_positive, scored, weights, keep)
            support = count_where(positive, scored, weights, keep)
        return dict(
            hits=hits,
            predicted=predictions,
            support=support,
            total=count_where(
                jnp.ones_like(valid), scored, weights, len(self.labels_apart)
            ),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> dict[str, Any]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in self._leaves}


def check_class_counts(metric: Any, tasks: tuple[str, ...] = TASKS) -> None:
    """Refuse another task, an invalid threshold, and a missing number of classes."""
    name = type(metric).__name__
    check_choice(name, "task", metric.task, tasks)
    check_task(name, metric.task, metric.classes, metric.threshold)
    if metric.task != "binary":
        need_classes(name, f"task={metric.task!r}", metric.classes)


def class_predictions(metric: Any, scores: Any, labels: Any) -> Predictions:
    """Return the predictions of a metric that is configured as `ClassCounts`."""
    if has_class_axis(metric.task, metric.scores):
        require_classes(scores, metric.classes)
    if metric.top_k is not None:
        return predicted_in_top_k(
            scores, labels, metric.task, metric.top_k, metric.scores
        )
    return predicted(
        scores, labels, metric.task, metric.threshold, metric.scores, metric.classes
    )
