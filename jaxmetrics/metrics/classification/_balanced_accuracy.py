"""Means of the recalls of all classes: balanced accuracy and geometric mean score."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from jaxmetrics.core import (
    Direction,
    Metric,
    averaged_classes,
    child,
    divide,
    namespace,
    scores_field,
)
from jaxmetrics.metrics.classification._class_ratio import counts_of
from jaxmetrics.metrics.classification._counts import ClassCounts, check_class_counts

_TASKS = ("multiclass", "binary")


class BalancedAccuracy(Metric):
    """Mean of the recalls of the classes that occur as labels.

    In [0, 1], higher is better; nan without data. As scikit-learn's
    `balanced_accuracy_score` (Brodersen et al. 2010); without `adjusted` it is also
    `Accuracy(average="macro")`. A class that is never the label is left out, even if it
    is predicted. Invalid rows are counted in `counts.invalid` and never scored. Under
    jit the negatives of the binary task, a difference of counts, are rounded beyond
    2^24.

    Args:
      task: "multiclass" (the default; `logits` `[..., classes]`, integer `labels`
        `[...]`) or "binary" (`logits` and `labels` `[...]`).
      classes: Number of classes, required unless the task is "binary".
      adjusted: Rescale so that chance is 0 and perfect predictions are 1:
        `(score - 1 / n) / (1 - 1 / n)` with the n classes that occur, at least
        `-1 / (n - 1)`; nan if only one occurs. Default False.
      threshold: Probability from which a binary score is positive, also for logits.
        Default 0.5.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.BalancedAccuracy(task="binary", scores="preds")
      >>> preds, labels = [0, 1, 0, 0, 0, 1], [0, 1, 0, 0, 1, 0]
      >>> float(jm.evaluate(metric, preds=preds, labels=labels))
      0.625
    """

    higher_is_better: ClassVar[Direction] = True

    task: str = "multiclass"
    classes: int | None = None
    adjusted: bool = False
    threshold: float = 0.5
    scores: str = scores_field("logits", "probs", "preds", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: ClassCounts = child(lambda m: _counts(m))

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        check_class_counts(self, _TASKS)

    def compute(self) -> Any:
        """Return the mean recall."""
        recalls, support, _ = _recalls(self)
        xp = namespace(self)
        occurs = support > 0
        classes = occurs.sum(-1).astype(recalls.dtype)
        score = divide(xp.where(occurs, recalls, 0).sum(-1), classes)
        if not self.adjusted:
            return score
        return divide(classes * score - 1, classes - 1)


class GeometricMeanScore(Metric):
    """Geometric mean of the recalls of the classes.

    In [0, 1], higher is better: 0 as soon as one class is never right; nan without
    data. As imbalanced-learn's `geometric_mean_score` (Kubat and Matwin 1997): with two
    classes it is the root of sensitivity times specificity. A class without labels and
    predictions is left out; one that is predicted but never the label has the recall 0.
    Invalid rows are counted in `counts.invalid` and never scored.

    Args:
      task: "multiclass" (the default; `logits` `[..., classes]`, integer `labels`
        `[...]`) or "binary" (`logits` and `labels` `[...]`).
      classes: Number of classes, required unless the task is "binary".
      correction: Recall that replaces a recall of 0, in [0, 1]. Default 0.
      threshold: Probability from which a binary score is positive, also for logits.
        Default 0.5.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.GeometricMeanScore(task="binary", scores="preds")
      >>> value = jm.evaluate(metric, preds=[0, 0, 1, 0], labels=[0, 0, 1, 1])
      >>> round(float(value), 4)
      0.7071
    """

    higher_is_better: ClassVar[Direction] = True

    task: str = "multiclass"
    classes: int | None = None
    correction: float = 0.0
    threshold: float = 0.5
    scores: str = scores_field("logits", "probs", "preds", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    counts: ClassCounts = child(lambda m: _counts(m))

    def validate(self) -> None:
        """Refuse unknown settings, a missing number of classes, a bad correction."""
        check_class_counts(self, _TASKS)
        if not 0 <= self.correction <= 1:
            raise ValueError(
                f"GeometricMeanScore: correction is {self.correction}, but must be a "
                "recall in [0, 1]. Leave it out for 0."
            )

    def compute(self) -> Any:
        """Return the geometric mean."""
        xp = namespace(self)
        recalls, support, predicted = _recalls(self)
        occurs = support + predicted > 0
        recalls = xp.where(support > 0, recalls, 0)
        recalls = xp.where(recalls == 0, self.correction, recalls)
        positive = occurs & (recalls > 0)
        logs = xp.log(xp.where(positive, recalls, 1)).sum(-1)
        mean = xp.exp(divide(logs, occurs.sum(-1)))
        return xp.where((occurs & ~positive).any(-1), 0.0, mean)[()]


def _counts(metric: Any) -> ClassCounts:
    return ClassCounts(
        metric.task,
        metric.classes,
        metric.threshold,
        metric.scores,
        metric.ignore_index,
        metric.weighted,
    )


def _recalls(metric: Any) -> tuple[Any, Any, Any]:
    """Return recall, labels and predictions of each class, ignored ones without any."""
    xp, counts = namespace(metric), counts_of(metric.counts, metric.task != "binary")
    hits, support, predicted = counts.hits, counts.support, counts.predicted
    if metric.task == "binary":
        hits = xp.stack([counts.true_negatives, hits], axis=-1)
        support = xp.stack([counts.negatives, support], axis=-1)
        predicted = xp.stack([counts.predicted_negatives, predicted], axis=-1)
    else:
        averaged = averaged_classes(metric.task, metric.classes, metric.ignore_index)
        averaged = np.broadcast_to(averaged, support.shape)
        support = xp.where(averaged, support, 0)
        predicted = xp.where(averaged, predicted, 0)
    return divide(hits, support), support, predicted
