"""Informedness and markedness."""

from __future__ import annotations

from typing import Any, ClassVar

from jaxmetrics.core import Direction
from jaxmetrics.metrics.classification._class_ratio import ClassRatio, Counts


class Informedness(ClassRatio):
    """Recall plus specificity minus 1 of a class: Youden's J; macro by default.

    `tp / (tp + fn) - fp / (tn + fp)`, in [-1, 1], higher is better: 0 for predictions
    that do not depend on the labels, 1 for perfect ones; nan without data (Youden 1950,
    Powers 2011). In the binary task it is scikit-learn's
    `balanced_accuracy_score(adjusted=True)`. The arguments are those of `Precision`;
    "micro" takes the ratios of summed counts. `zero_division` applies to a class that
    is never the label, or always.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.Informedness(task="binary", scores="preds")
      >>> preds, labels = [1, 1, 0, 0, 1], [1, 1, 1, 0, 0]
      >>> round(float(jm.evaluate(metric, preds=preds, labels=labels)), 4)
      0.1667
    """

    higher_is_better: ClassVar[Direction] = True

    def _fractions(self, counts: Counts) -> tuple[tuple[Any, Any], ...]:
        recall = (counts.hits, counts.support)
        return recall, (counts.false_positives, counts.negatives)

    def _combined(self, *ratios: Any) -> Any:
        recall, false_positive_rate = ratios
        return recall - false_positive_rate


class Markedness(ClassRatio):
    """Precision plus negative predictive value minus 1 of a class; macro by default.

    `tp / (tp + fp) - fn / (tn + fn)`, in [-1, 1], higher is better: 0 for labels that
    do not depend on the predictions; nan without data (Powers 2011). The arguments are
    those of `Precision`; "micro" takes the ratios of summed counts. `zero_division`
    applies to a class that is never predicted, or always.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.Markedness(task="binary", scores="preds")
      >>> preds, labels = [1, 1, 0, 0, 1], [1, 1, 1, 0, 0]
      >>> round(float(jm.evaluate(metric, preds=preds, labels=labels)), 4)
      0.1667
    """

    higher_is_better: ClassVar[Direction] = True

    def _fractions(self, counts: Counts) -> tuple[tuple[Any, Any], ...]:
        precision = (counts.hits, counts.predicted)
        return precision, (counts.false_negatives, counts.predicted_negatives)

    def _combined(self, *ratios: Any) -> Any:
        precision, false_omission_rate = ratios
        return precision - false_omission_rate
