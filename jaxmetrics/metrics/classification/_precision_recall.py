"""Precision, recall and F-scores."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from jaxmetrics.core import Direction
from jaxmetrics.metrics.classification._class_ratio import ClassRatio, Counts


class Precision(ClassRatio):
    """Fraction of the predictions of a class that are correct; macro by default.

    `hits / predictions`, in [0, 1], higher is better, nan without data, as
    scikit-learn's `precision_score`. Ties go to the lower class index. Labels out of
    range, predictions out of range, and rows without a largest score (see
    `jaxmetrics.metrics`) are counted in `counts.invalid` and never scored.

    Args:
      task: "multiclass" (the default; `logits` `[..., classes]`, integer `labels`
        `[...]`), "binary" (`logits` and `labels` `[...]`; scores the positive class
        for any average) or "multilabel" (both `[..., classes]`).
      average: "macro" (the default) is the mean over classes, "weighted" the mean
        weighted by labels, "micro" the ratio of the summed counts; "none" gives
        `[classes]`. A multilabel class all of whose labels are ignored or masked is
        left out of the macro mean (torchmetrics counts it as 0), and nan in "none".
        "samples" is the mean over samples of the ratio of a sample's labels, of the
        multilabel task only, as scikit-learn's.
      classes: Number of classes, required unless the task is "binary".
      threshold: Probability from which a binary or multilabel score is positive, also
        for logits. For a threshold t of logits pass `1 / (1 + exp(-t))`. Default 0.5.
      scores: Output that holds the scores: "logits" (the default), "probs", or "preds"
        for predicted classes, integers of the labels' shape (0 or 1 in the binary and
        multilabel tasks).
      ignore_index: Label, or tuple of labels, that mark padding. An ignored class
        enters no average (nan in "none"), like a class left out of scikit-learn's
        `labels`. Default none.
      weighted: Require `weights` and weight each label by them.
      absent: Treatment of a multiclass class without labels and predictions: "drop"
        (the default) leaves it out of the macro mean (scikit-learn without `labels`;
        nan in "none"), "zero" counts it as 0, "nan" makes the mean nan.
      zero_division: Value of 0 / 0, for a class with labels that was never predicted:
        0 (the default), 1, or nan, which leaves the class out of the mean.
      top_k: Number of largest scores that may hit. In the multiclass task the label
        is the prediction where it is among them, else the class of the largest score
        (as torchmetrics from 1.5 on): one prediction for each label, and the micro
        average is `TopKAccuracy`. In the multilabel task the labels of the `top_k`
        largest scores are the predictions; an ignored or masked label that is among
        them takes one of the places. Default None.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [[2.0, 1.0], [3.0, 0.0], [0.0, 1.0]], [0, 1, 1]
      >>> precision = jm.Precision(classes=2)
      >>> float(jm.evaluate(precision, logits=logits, labels=labels))
      0.75
    """

    higher_is_better: ClassVar[Direction] = True

    def _terms(self, counts: Counts) -> tuple[Any, Any]:
        return counts.hits, counts.predicted


class Recall(ClassRatio):
    """Fraction of the labels of a class that are predicted; macro by default.

    `hits / labels`, in [0, 1], higher is better, nan without data, as scikit-learn's
    `recall_score`. The arguments are those of `Precision`; `zero_division` applies to
    a class with predictions that was never the label.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [[2.0, 1.0], [3.0, 0.0], [0.0, 1.0]], [0, 1, 1]
      >>> float(jm.evaluate(jm.Recall(classes=2), logits=logits, labels=labels))
      0.75
    """

    higher_is_better: ClassVar[Direction] = True

    def _terms(self, counts: Counts) -> tuple[Any, Any]:
        return counts.hits, counts.support


class F1(ClassRatio):
    """Harmonic mean of precision and recall of a class; macro by default.

    `2 hits / (predictions + labels)`, in [0, 1], higher is better, nan without data,
    as scikit-learn's `f1_score`: the macro average is the mean of the F1 of each
    class. The arguments are those of `Precision`; `zero_division` applies to a class
    without labels and predictions.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [[2.0, 1.0], [3.0, 0.0], [0.0, 1.0]], [0, 1, 1]
      >>> value = jm.evaluate(jm.F1(classes=2), logits=logits, labels=labels)
      >>> round(float(value), 4)
      0.6667
    """

    higher_is_better: ClassVar[Direction] = True

    def _terms(self, counts: Counts) -> tuple[Any, Any]:
        return 2.0 * counts.hits, counts.predicted + counts.support


class FBeta(ClassRatio):
    """Weighted harmonic mean of precision and recall of a class; macro by default.

    `(1 + beta^2) hits / (predictions + beta^2 labels)`, in [0, 1], higher is better,
    nan without data, as scikit-learn's `fbeta_score`. The other arguments are those of
    `Precision`; `zero_division` applies to a class without labels and predictions.

    Args:
      beta: Weight of recall relative to precision, above 0: 1 (the default) is F1, 2
        favours recall, 0.5 precision.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [[2.0, 1.0], [3.0, 0.0], [0.0, 1.0]], [0, 1, 1]
      >>> metric = jm.FBeta(classes=2, beta=2.0, average="none")
      >>> jm.evaluate(metric, logits=logits, labels=labels).round(4).tolist()
      [0.8333, 0.5556]
    """

    higher_is_better: ClassVar[Direction] = True

    beta: float = 1.0

    def validate(self) -> None:
        """Refuse a beta that is not positive and finite."""
        super().validate()
        if not 0 < self.beta < math.inf:
            raise ValueError(
                f"FBeta: beta is {self.beta}, but must be positive and finite. Use 1 "
                "for F1."
            )

    def _terms(self, counts: Counts) -> tuple[Any, Any]:
        square = self.beta * self.beta
        weighted_sum = counts.predicted + square * counts.support
        return (1 + square) * counts.hits, weighted_sum
