"""Specificity, negative predictive value and rates of errors."""

from __future__ import annotations

from typing import Any, ClassVar

from jaxmetrics.core import Direction
from jaxmetrics.metrics.classification._class_ratio import ClassRatio, Counts


class Specificity(ClassRatio):
    """Fraction of the labels of other classes that are not predicted as a class.

    `tn / (tn + fp)`, the recall of the negatives (true negative rate), in [0, 1],
    higher is better; macro by default, nan without data. As imbalanced-learn's
    `specificity_score` and torchmetrics' `Specificity`. In the multiclass task the
    negatives of a class are the labels of all others. The arguments are those of
    `Precision`; `zero_division` applies where all labels are of the class. Under jit
    differences of counts beyond 2^24 are rounded.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.Specificity(task="binary", scores="preds")
      >>> value = jm.evaluate(metric, preds=[1, 0, 0, 1], labels=[1, 0, 0, 0])
      >>> round(float(value), 4)
      0.6667
    """

    higher_is_better: ClassVar[Direction] = True

    def _terms(self, counts: Counts) -> tuple[Any, Any]:
        return counts.true_negatives, counts.negatives


class NegativePredictiveValue(ClassRatio):
    """Fraction of the predictions of other classes whose label is not a class.

    `tn / (tn + fn)`, the precision of the negatives, in [0, 1], higher is better; macro
    by default, nan without data. As torchmetrics' `NegativePredictiveValue`. The
    arguments are those of `Precision`; `zero_division` applies where all predictions
    are of the class.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.NegativePredictiveValue(task="binary", scores="preds")
      >>> float(jm.evaluate(metric, preds=[1, 0, 0, 1], labels=[1, 0, 1, 0]))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    def _terms(self, counts: Counts) -> tuple[Any, Any]:
        return counts.true_negatives, counts.predicted_negatives


class FalsePositiveRate(ClassRatio):
    """Fraction of the labels of other classes that are predicted as a class.

    `fp / (tn + fp)`, one minus `Specificity`, also called fall-out; in [0, 1], lower is
    better; macro by default, nan without data. The arguments are those of `Precision`;
    `zero_division` applies where all labels are of the class.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.FalsePositiveRate(task="binary", scores="preds")
      >>> float(jm.evaluate(metric, preds=[1, 0, 0, 1], labels=[1, 0, 1, 0]))
      0.5
    """

    higher_is_better: ClassVar[Direction] = False

    def _terms(self, counts: Counts) -> tuple[Any, Any]:
        return counts.false_positives, counts.negatives


class FalseNegativeRate(ClassRatio):
    """Fraction of the labels of a class that are not predicted: the miss rate.

    `fn / (tp + fn)`, one minus `Recall`, in [0, 1], lower is better; macro by default,
    nan without data. The arguments are those of `Precision`; `zero_division` applies to
    a class with predictions that was never the label.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.FalseNegativeRate(task="binary", scores="preds")
      >>> float(jm.evaluate(metric, preds=[1, 0, 0, 1], labels=[1, 0, 1, 0]))
      0.5
    """

    higher_is_better: ClassVar[Direction] = False

    def _terms(self, counts: Counts) -> tuple[Any, Any]:
        return counts.false_negatives, counts.support


class FalseDiscoveryRate(ClassRatio):
    """Fraction of the predictions of a class that are wrong.

    `fp / (tp + fp)`, one minus `Precision` (Benjamini and Hochberg 1995), in [0, 1],
    lower is better; macro by default, nan without data. The arguments are those of
    `Precision`; `zero_division` applies to a class with labels that was never
    predicted.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.FalseDiscoveryRate(task="binary", scores="preds")
      >>> float(jm.evaluate(metric, preds=[1, 0, 0, 1], labels=[1, 0, 1, 0]))
      0.5
    """

    higher_is_better: ClassVar[Direction] = False

    def _terms(self, counts: Counts) -> tuple[Any, Any]:
        return counts.false_positives, counts.predicted
