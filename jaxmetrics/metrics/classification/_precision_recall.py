"""Precision, recall and F-scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jaxmetrics.core import (
    Metric,
    averaged_classes,
    check_choice,
    check_task,
    child,
    divide,
    namespace,
    need_classes,
    scores_field,
)
from jaxmetrics.metrics.classification._counts import ClassCounts

_AVERAGES = ("micro", "macro", "weighted", "none")
_ABSENT = ("drop", "zero", "nan")


class ClassRatio(Metric):
    """Base of `Precision`, `Recall`, `F1` and `FBeta`: a ratio of counts by class.

    A subclass returns numerator and denominator of its ratio from `_terms`.
    """

    task: str = "multiclass"
    average: str = "macro"
    classes: int | None = None
    threshold: float = 0.5
    scores: str = scores_field("logits", "probs", "preds", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    absent: str = "drop"
    zero_division: float = 0.0
    top_k: int | None = None
    counts: ClassCounts = child(
        lambda m: ClassCounts(
            m.task,
            m.classes,
            m.threshold,
            m.scores,
            m.ignore_index,
            m.weighted,
            m.top_k,
        )
    )

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        name = type(self).__name__
        check_task(name, self.task, self.classes, self.threshold)
        check_choice(name, "average", self.average, _AVERAGES)
        if self.task != "binary":
            need_classes(name, f"task={self.task!r}", self.classes)
        if self.top_k is not None:
            self._check_top_k(name, self.top_k)
        check_choice(name, "absent", self.absent, _ABSENT)
        if self.task != "multiclass" and self.absent != "drop":
            raise ValueError(
                f"{name}: absent={self.absent!r} applies to the multiclass task only; "
                f"with task={self.task!r} every label counts. Set zero_division."
            )
        if self.zero_division != self.zero_division:
            # A string, because nan is not equal to itself: two metrics of the same
            # configuration must have equal tree structures.
            object.__setattr__(self, "zero_division", "nan")
        if self.zero_division not in (0, 1, "nan"):
            raise ValueError(
                f"{name}: zero_division is {self.zero_division!r}, but must be 0, 1 or "
                "nan. nan leaves undefined classes out of the mean."
            )

    def _check_top_k(self, name: str, k: int) -> None:
        if not 1 <= k <= (self.classes or k):
            raise ValueError(
                f"{name}: top_k is {k}, but must be from 1 to the number of classes. "
                "Leave it out for the largest score alone."
            )
        if self.scores == "preds" or self.task == "binary":
            reason = (
                "there is one score"
                if self.task == "binary"
                else "a predicted class has no second best"
            )
            raise ValueError(
                f"{name}: top_k={k} does not go with task={self.task!r} and "
                f"scores={self.scores!r}, where {reason}. Leave it out."
            )
        if self.threshold != 0.5:
            raise ValueError(
                f"{name}: top_k={k} takes no threshold, got {self.threshold}. Leave "
                "one of them out."
            )

    def compute(self) -> Any:
        """Return the ratio, or `[classes]` of them; nan without data."""
        xp, counts = namespace(self), self.counts
        terms = [xp.asarray(x) for x in (counts.hits, counts.predicted, counts.support)]
        combine = self._ratio if self.task == "binary" else self._average
        value = combine(*terms)
        has_data = xp.asarray(counts.total) > 0
        if value.ndim > has_data.ndim:
            has_data = has_data[..., None]
        return xp.where(has_data, value, np.nan)[()]

    def _terms(self, hits: Any, predicted: Any, support: Any) -> tuple[Any, Any]:
        """Return numerator and denominator of the ratio."""
        raise NotImplementedError(f"{type(self).__name__} defines no ratio")

    def _ratio(self, hits: Any, predicted: Any, support: Any) -> Any:
        numerator, denominator = self._terms(hits, predicted, support)
        ratio = divide(numerator, denominator)
        undefined = float(self.zero_division)
        return namespace(self).where(denominator == 0, undefined, ratio)

    def _average(self, hits: Any, predicted: Any, support: Any) -> Any:
        xp = namespace(self)
        averaged = averaged_classes(self.task, self.classes, self.ignore_index)
        averaged = np.broadcast_to(averaged, hits.shape)
        if self.average == "micro":
            terms = (hits, predicted, support)
            return self._ratio(*(xp.where(averaged, x, 0).sum(-1) for x in terms))
        ratio = self._ratio(hits, predicted, support)
        if self.average == "weighted":
            weight = xp.where(averaged & ~xp.isnan(ratio), support, 0)
            weighted_sum = xp.where(weight > 0, weight * ratio, 0).sum(-1)
            mean = divide(weighted_sum, weight.sum(-1))
            # Without a positive label in the multilabel task no class has a weight.
            return xp.where(weight.sum(-1) > 0, mean, float(self.zero_division))
        occurs = predicted + support > 0
        defined = ~xp.isnan(ratio)
        if self.task == "multiclass":
            ratio = xp.where(occurs, ratio, 0.0 if self.absent == "zero" else np.nan)
            defined = xp.where(occurs, defined, self.absent != "drop")
        if self.average == "none":
            return xp.where(averaged, ratio, np.nan)
        defined = averaged & defined
        return divide(xp.where(defined, ratio, 0).sum(-1), defined.sum(-1))


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
        `[classes]`.
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
        largest scores are the predictions. Default None.

    Example:
      >>> import jaxmetrics as jm
      >>> logits, labels = [[2.0, 1.0], [3.0, 0.0], [0.0, 1.0]], [0, 1, 1]
      >>> precision = jm.Precision(classes=2)
      >>> float(jm.evaluate(precision, logits=logits, labels=labels))
      0.75
    """

    def _terms(self, hits: Any, predicted: Any, support: Any) -> tuple[Any, Any]:
        return hits, predicted


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

    def _terms(self, hits: Any, predicted: Any, support: Any) -> tuple[Any, Any]:
        return hits, support


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

    def _terms(self, hits: Any, predicted: Any, support: Any) -> tuple[Any, Any]:
        return 2.0 * hits, predicted + support


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

    beta: float = 1.0

    def validate(self) -> None:
        """Refuse a beta that is not positive and finite."""
        super().validate()
        if not 0 < self.beta < math.inf:
            raise ValueError(
                f"FBeta: beta is {self.beta}, but must be positive and finite. Use 1 "
                "for F1."
            )

    def _terms(self, hits: Any, predicted: Any, support: Any) -> tuple[Any, Any]:
        square = self.beta * self.beta
        return (1 + square) * hits, predicted + square * support
