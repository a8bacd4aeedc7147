"""Accuracy and top-k accuracy."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    Predictions,
    both,
    check_choice,
    check_stderr_of_counts,
    check_task,
    check_top_k,
    count_at,
    count_leaf,
    count_where,
    divide,
    fraction_of,
    has_class_axis,
    hits_of_labels,
    in_top_k,
    mask_like,
    namespace,
    need_classes,
    not_ignored,
    require_classes,
    scores_field,
)

_AVERAGES = ("micro", "macro", "none")


class Accuracy(Metric):
    """Fraction of labels that are predicted correctly.

    In [0, 1], higher is better; nan without data. Ties between classes go to the lower
    index. Labels out of range, predictions out of range, and rows without a largest
    score (see `jaxmetrics.metrics`) are counted in `invalid` and never scored. A label
    whose own logit is -inf is a miss.

    Args:
      task: "multiclass" (the default; `logits` `[..., classes]`, integer `labels`
        `[...]`), "binary" (`logits` and `labels` `[...]`) or "multilabel" (both
        `[..., classes]`).
      average: "micro" (the default) is over all labels; "macro" is the mean accuracy
        of the classes that occur (scikit-learn's `balanced_accuracy_score`; in the
        multilabel task the mean over labels); "none" gives `[classes]`, nan for a
        class that does not occur.
      classes: Number of classes, required unless the average is "micro".
      threshold: Probability from which a binary or multilabel score is positive, also
        for logits. For a threshold t of logits pass `1 / (1 + exp(-t))`. Default 0.5.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape (0 or 1 in the binary and
        multilabel tasks).
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.
      stderr: Compute fraction and standard error, as `Mean(stderr=True)`; not with
        weights or the average "macro". Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [[2.0, 1.0], [0.0, 3.0], [1.0, 1.0]], [0, 0, 0]
      >>> round(float(jm.evaluate(jm.Accuracy(), logits=logits, labels=labels)), 4)
      0.6667
    """

    higher_is_better: ClassVar[Direction] = True

    task: str = "multiclass"
    average: str = "micro"
    classes: int | None = None
    threshold: float = 0.5
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    correct: Array = count_leaf("groups", weighted="weighted")
    total: Array = count_leaf("groups", weighted="weighted")
    invalid: Array = count_leaf()

    @property
    def groups(self) -> tuple[int, ...]:
        """Shape of the counts: one per class unless the average is "micro"."""
        return _groups(self.task, self.average, self.classes)

    def validate(self) -> None:
        """Refuse unknown tasks and averages, and a missing number of classes."""
        check_task("Accuracy", self.task, self.classes, self.threshold)
        _check_average(self, self.task)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's correct, scored and invalid labels."""
        predictions = hits_of_labels(
            logits, labels, self.task, self.threshold, self.scores, self.classes
        )
        if self.classes and has_class_axis(self.task, self.scores):
            require_classes(logits, self.classes)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        return _counted(predictions, kept, weights, self.task, self.groups)

    def compute(self) -> Any:
        """Return the accuracy, or `[classes]` of them."""
        return _averaged(self)


class TopKAccuracy(Metric):
    """Fraction of labels among the `k` largest logits.

    In [0, 1], higher is better; nan without data. Ties go to the lower class index, and
    a class with a logit of -inf is not among the largest. Labels out of range and rows
    without a largest score (see `jaxmetrics.metrics`) are counted in `invalid` and
    never scored. Reads `logits` `[..., classes]` and integer `labels` `[...]`.

    Args:
      k: Number of largest logits that count as a hit. Default 1.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.
      average: "micro" (the default) is over all labels; "macro" is the mean of the
        classes that occur; "none" gives `[classes]`, nan for a class that does not
        occur.
      classes: Number of classes, required unless the average is "micro".
      scores: Output that holds the scores, "logits" (the default) or "probs".
      stderr: Compute fraction and standard error, as `Mean(stderr=True)`; not with
        weights or the average "macro". Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> logits = [[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]
      >>> metric = jm.TopKAccuracy(k=2)
      >>> float(jm.evaluate(metric, logits=logits, labels=[1, 2]))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    k: int = 1
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    average: str = "micro"
    classes: int | None = None
    scores: str = scores_field("logits", "probs", default="logits", narrow=True)
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    correct: Array = count_leaf("groups", weighted="weighted")
    total: Array = count_leaf("groups", weighted="weighted")
    invalid: Array = count_leaf()

    @property
    def groups(self) -> tuple[int, ...]:
        """Shape of the counts: one per class unless the average is "micro"."""
        return _groups("multiclass", self.average, self.classes)

    def validate(self) -> None:
        """Refuse k below 1, unknown averages, and a missing number of classes."""
        check_top_k("TopKAccuracy", self.k)
        check_task("TopKAccuracy", "multiclass", self.classes, 0.5)
        _check_average(self, "multiclass")

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's hits, scored labels and invalid labels."""
        predictions = in_top_k(logits, labels, self.k)
        if self.classes:
            require_classes(logits, self.classes)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        return _counted(predictions, kept, weights, "multiclass", self.groups)

    def compute(self) -> Any:
        """Return the accuracy, or `[classes]` of them."""
        return _averaged(self)


class ExactMatch(Metric):
    """Fraction of rows of which every label is predicted correctly: subset accuracy.

    A row is the last axis of the labels: the labels of an example, or the tokens of a
    sequence. In [0, 1], higher is better; nan without data; as scikit-learn's
    `accuracy_score` of multilabel predictions. Masked and ignored labels are left out
    of their row, and a row without others does not count. A row with an invalid label
    or score is counted in `invalid` and never scored.

    Args:
      task: "multilabel" (the default; `logits` and `labels` `[..., classes]`) or
        "multiclass" (`logits` `[..., tokens, classes]`, integer `labels`
        `[..., tokens]`).
      threshold: Probability from which a multilabel score is positive, also for
        logits. Default 0.5.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predictions, integers of the labels' shape (0 or 1 if multilabel).
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each row by them.
      stderr: Compute fraction and standard error, as `Mean(stderr=True)`; not with
        weights. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> preds, labels = [[1, 0, 1], [1, 1, 0]], [[1, 0, 1], [1, 0, 0]]
      >>> metric = jm.ExactMatch(scores="preds")
      >>> float(jm.evaluate(metric, preds=preds, labels=labels))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    task: str = "multilabel"
    threshold: float = 0.5
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    correct: Array = count_leaf(weighted="weighted")
    total: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse unknown tasks and an invalid threshold."""
        check_choice("ExactMatch", "task", self.task, ("multilabel", "multiclass"))
        check_task("ExactMatch", self.task, None, self.threshold)
        check_stderr_of_counts(self)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's correct, scored and invalid rows."""
        preds, numbers, valid = hits_of_labels(
            logits, labels, self.task, self.threshold, self.scores
        )
        if not numbers.ndim:
            raise ValueError(
                "labels are a scalar, expected an axis of labels that must all match. "
                "Use Accuracy for single labels."
            )
        kept = both(not_ignored(labels, self.ignore_index), mask)
        kept = mask_like(numbers, kept)
        counted = kept.any(axis=-1)
        scored = counted & (valid | ~kept).all(axis=-1)
        correct = ((preds == numbers) | ~kept).all(axis=-1)
        return dict(
            correct=count_where(correct, scored, weights),
            total=count_where(jnp.ones_like(correct), scored, weights),
            invalid=count_where(counted & ~scored),
        )

    def compute(self) -> Any:
        """Return the fraction of rows."""
        return fraction_of(self.correct, self.total, self.stderr)


def _groups(task: str, average: str, classes: int | None) -> tuple[int, ...]:
    if average == "micro":
        return ()
    return (2,) if task == "binary" else (classes or 0,)


def _check_average(metric: Any, task: str) -> None:
    name, average = type(metric).__name__, metric.average
    if average not in _AVERAGES:
        remedy = "The mean of the classes weighted by their labels is 'micro'."
        if task == "multilabel":
            remedy = "For a mean of your own weights take 'none', the values by label."
        raise ValueError(
            f"{name}: average is {average!r}, but must be one of {_AVERAGES}. {remedy}"
        )
    if average != "micro" and task != "binary":
        need_classes(name, f"average={average!r}", metric.classes)
    check_stderr_of_counts(metric)
    if metric.stderr and average == "macro":
        raise ValueError(
            f"{name}: stderr=True needs average='micro' or 'none', got 'macro', whose "
            "classes have errors of their own. Take 'none', the values by class."
        )


def _counted(
    predictions: Predictions,
    kept: Any,
    weights: Any,
    task: str,
    groups: tuple[int, ...],
) -> dict[str, Any]:
    """Return the correct, scored and invalid labels, the first two by group."""
    preds, labels, valid = predictions
    correct, scored = preds == labels, both(valid, kept)

    def count(condition: Any) -> Any:
        if not groups:
            return count_where(condition, scored, weights)
        if task == "multilabel":
            return count_where(condition, scored, weights, keep=1)
        return count_at(labels, groups, both(condition, scored), weights)

    return dict(
        correct=count(correct),
        total=count(jnp.ones_like(correct)),
        invalid=count_where(~valid, kept),
    )


def _averaged(metric: Any) -> Any:
    if metric.average != "macro":
        return fraction_of(metric.correct, metric.total, metric.stderr)
    xp, accuracy = namespace(metric), divide(metric.correct, metric.total)
    occurs = xp.asarray(metric.total) > 0
    return divide(xp.where(occurs, accuracy, 0).sum(-1), occurs.sum(-1))
