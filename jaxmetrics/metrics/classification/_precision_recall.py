"""Precision, recall and F-scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jaxmetrics.core import Metric, child, divide, namespace, scores_field
from jaxmetrics.metrics.classification._counts import ClassCounts
from jaxmetrics.metrics.classification._scores import (
    check_average,
    check_task,
    entering,
    need_classes,
)

_AVERAGES = ("micro", "macro", "weighted", "none")
_ABSENT = ("drop", "zero", "nan")


class ClassRatio(Metric):
    """Base of `Precision`, `Recall`, `F1` and `FBeta`: a ratio of each class's counts.

    A class says which ratio in `_terms`.
    """

    task: str = "multiclass"
    average: str = "macro"
    classes: int | None = None
    threshold: float = 0.5
    scores: str = scores_field("logits", "probs")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    absent: str = "drop"
    zero_division: float = 0.0
    counts: ClassCounts = child(
        lambda m: ClassCounts(
            m.task, m.classes, m.threshold, m.scores, m.ignore_index, m.weighted
        )
    )

    def validate(self) -> None:
        """Refuse unknown settings, and a missing number of classes."""
        who = type(self).__name__
        check_task(who, self.task, self.classes, self.threshold)
        check_average(who, self.average, _AVERAGES)
        if self.task != "binary":
            need_classes(who, f"task={self.task!r}", self.classes)
        if self.absent not in _ABSENT:
            raise ValueError(f"{who}: absent is one of {_ABSENT}, got {self.absent!r}.")
        if self.task != "multiclass" and self.absent != "drop":
            raise ValueError(
                f"{who}: absent={self.absent!r} is about classes of the multiclass "
                f"task; with task={self.task!r} every label counts. Set zero_division."
            )
        if self.zero_division != self.zero_division:
            # As text: a nan differs from itself, and so would the configurations.
            object.__setattr__(self, "zero_division", "nan")
        if self.zero_division not in (0, 1, "nan"):
            raise ValueError(
                f"{who}: zero_division is 0, 1 or nan, got {self.zero_division!r}."
            )

    def compute(self) -> Any:
        """The ratio, or `[classes]` of them; nan of nothing."""
        xp, counts = namespace(self), self.counts
        terms = [xp.asarray(x) for x in (counts.hits, counts.predicted, counts.support)]
        value = self._each(*terms) if self.task == "binary" else self._average(*terms)
        some = xp.asarray(counts.total) > 0
        if value.ndim > some.ndim:
            some = some[..., None]
        return xp.where(some, value, np.nan)[()]

    def _terms(self, hits: Any, predicted: Any, support: Any) -> tuple[Any, Any]:
        """The ratio's numerator and denominator."""
        raise NotImplementedError(f"{type(self).__name__} defines no ratio")

    def _each(self, hits: Any, predicted: Any, support: Any) -> Any:
        above, below = self._terms(hits, predicted, support)
        undefined = float(self.zero_division)
        return namespace(self).where(below == 0, undefined, divide(above, below))

    def _average(self, hits: Any, predicted: Any, support: Any) -> Any:
        xp = namespace(self)
        enters = entering(self.task, self.classes, self.ignore_index)
        if self.average == "micro":
            terms = (hits, predicted, support)
            return self._each(*(xp.where(enters, x, 0).sum(-1) for x in terms))
        each = self._each(hits, predicted, support)
        if self.average == "weighted":
            share = xp.where(enters & ~xp.isnan(each), support, 0)
            mean = divide(xp.where(share > 0, share * each, 0).sum(-1), share.sum(-1))
            undefined = float(self.zero_division)
            return xp.where(share.sum(-1) > 0, mean, undefined)
        occurs = predicted + support > 0
        defined = ~xp.isnan(each)
        if self.task == "multiclass":
            each = xp.where(occurs, each, 0.0 if self.absent == "zero" else np.nan)
            defined = xp.where(occurs, defined, self.absent != "drop")
        if self.average == "none":
            return xp.where(enters, each, np.nan)
        defined = enters & defined
        return divide(xp.where(defined, each, 0).sum(-1), defined.sum(-1))


class Precision(ClassRatio):
    """Share of a class's predictions that are right; macro average by default.

    `hits / predicted`, in [0, 1], higher is better, as scikit-learn's
    `precision_score`. Ties go to the lower class index. Labels out of range and rows
    with a score that is not finite are counted in `counts.invalid`, never scored.

    Args:
      task: "multiclass" (`logits` `[..., classes]`, `labels` integers `[...]`),
        "binary" (`logits` and `labels` `[...]`; of the positive class, whatever the
        average) or "multilabel" (both `[..., classes]`).
      average: "macro" is the mean over classes, "weighted" that by labels, "micro"
        the ratio of summed counts; "none" gives `[classes]`.
      classes: needed unless the task is binary.
      threshold: probability from which a binary or multilabel score is positive.
      scores: Output that holds the scores, "logits" or "probs".
      ignore_index: label, or tuple of labels, that mark padding. An ignored class
        enters no average (nan in "none"), as one left out of scikit-learn's `labels`.
      weighted: weigh each label by `weights`, which are then needed.
      absent: of a multiclass class that is neither label nor prediction: "drop"
        leaves it out of the macro mean (scikit-learn without `labels`; nan in
        "none"), "zero" counts it as 0, "nan" makes the mean nan.
      zero_division: value of 0 / 0, where a class that is scored was never predicted:
        0, 1, or nan, which leaves it out of the mean.

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
    """Share of a class's labels that are predicted; macro average by default.

    `hits / labels`, in [0, 1], higher is better, as scikit-learn's `recall_score`.
    The arguments are those of `Precision`; zero_division is of a class that is scored
    but was never the label.
    """

    def _terms(self, hits: Any, predicted: Any, support: Any) -> tuple[Any, Any]:
        return hits, support


class F1(ClassRatio):
    """Harmonic mean of a class's precision and recall; macro average by default.

    `2 hits / (predicted + labels)`, in [0, 1], higher is better, as scikit-learn's
    `f1_score`: the macro mean is of the classes' F1. The arguments are those of
    `Precision`; zero_division is of a class without labels and predictions.
    """

    def _terms(self, hits: Any, predicted: Any, support: Any) -> tuple[Any, Any]:
        return 2.0 * hits, predicted + support


class FBeta(ClassRatio):
    """Mean of precision and recall, recall `beta` times as important; macro by default.

    `(1 + beta^2) hits / (predicted + beta^2 labels)`, in [0, 1], higher is better, as
    scikit-learn's `fbeta_score`.

    Args:
      beta: above 0; 1 is F1, 2 favours recall, 0.5 precision.

    The other arguments are those of `Precision`; zero_division is of a class without
    labels and predictions.
    """

    beta: float = 1.0

    def validate(self) -> None:
        """Refuse a beta that is not above 0."""
        super().validate()
        if not 0 < self.beta < math.inf:
            raise ValueError(f"FBeta: beta is above 0 and finite, got {self.beta}.")

    def _terms(self, hits: Any, predicted: Any, support: Any) -> tuple[Any, Any]:
        share = self.beta * self.beta
        return (1 + share) * hits, predicted + share * support
